"""Today: how everything stands, live."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from dicomnode.web.access import Caller, Viewer
from dicomnode.web.live import live
from dicomnode.web.monitoring import plots
from dicomnode.web.monitoring.overview import Overview, glance
from dicomnode.web.rendering import page, text_of
from dicomnode.web.site import Here, Site

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_PARTS = ("standing", "figures", "plots", "peers", "models")


@router.get("/")
def today(request: Request, here: Here, caller: Viewer) -> HTMLResponse:
    """The whole page."""
    values = _values(here, glance(here.database, here.settings(), now=here.now()))
    return page(request, "today.html", caller, parts=_PARTS, **values)


@router.get("/today/live")
def follow(here: Here, caller: Viewer) -> StreamingResponse:
    """What changes of it."""
    return live(here, caller, lambda: _parts(here, caller))


def _parts(here: Site, caller: Caller) -> dict[str, str]:
    values = _values(here, here.overviews.latest(here.database, here.settings(), now=here.now()))
    return {name: text_of(f"today_{name}.html", caller, values) for name in _PARTS}


def _values(here: Site, now: Overview) -> dict[str, object]:
    return {
        "now": now,
        "cards": here.shelf(),
        "bound": {name: rules.model for name, rules in here.settings().pipelines.items()},
        "throughput": plots.by_hour(now.hours),
        "machines": [(each.holder, plots.of_machine(each.samples)) for each in now.machines],
        "size": (plots.WIDTH, plots.HEIGHT),
    }

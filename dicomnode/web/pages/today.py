"""Today: how everything stands, live."""

import threading
import time

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from dicomnode.web import plots
from dicomnode.web.access import Caller, Viewer
from dicomnode.web.live import EVERY_S, live
from dicomnode.web.overview import Overview, glance
from dicomnode.web.rendering import page, text_of
from dicomnode.web.site import Here, Site

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_PARTS = ("standing", "figures", "plots", "peers", "models")


class _Shared:
    """One overview for all who look at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._overview: Overview | None = None

    def overview(self, here: Site) -> Overview:
        """One that is not older than it may be."""
        with self._lock:
            if self._overview is None or time.monotonic() - self._at > EVERY_S * 0.75:
                self._overview = glance(here)
                self._at = time.monotonic()
            return self._overview


_shared = _Shared()


@router.get("/")
def today(request: Request, here: Here, caller: Viewer) -> HTMLResponse:
    """The whole page."""
    return page(request, "today.html", caller, parts=_PARTS, **_values(glance(here)))


@router.get("/today/live")
def follow(here: Here, caller: Viewer) -> StreamingResponse:
    """What changes of it."""
    return live(here, caller, lambda: _parts(here, caller))


def _parts(here: Site, caller: Caller) -> dict[str, str]:
    values = _values(_shared.overview(here))
    return {name: text_of(f"today_{name}.html", caller, values) for name in _PARTS}


def _values(now: Overview) -> dict[str, object]:
    return {
        "now": now,
        "throughput": plots.by_hour(now.hours),
        "machines": [(each.holder, plots.of_machine(each.samples)) for each in now.machines],
        "size": (plots.WIDTH, plots.HEIGHT),
    }

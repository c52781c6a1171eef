"""The worklist: searched as one types, and what is done with many jobs at once."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import Field

from dicomnode.records import State
from dicomnode.web import acting, studies
from dicomnode.web.access import Caller, Operator, Viewer
from dicomnode.web.acting import Done
from dicomnode.web.asked import LARGEST
from dicomnode.web.rendering import is_of_script, page, part
from dicomnode.web.site import Here, Site
from dicomnode.web.studies import Asked
from dicomnode.worklist.criteria import Wanted, findings_known, pipelines_known, senders_known

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_ACTS: Mapping[str, tuple[str, Callable[[Site, Caller, Iterable[int]], list[Done]]]] = {
    "retry": ("Retry", acting.retry),
    "resend": ("Send again", acting.resend),
    "hurry": ("Do first", acting.raise_priority),
    "cancel": ("Cancel", acting.cancel),
}


@router.get("/studies")
def search(
    request: Request,
    here: Here,
    caller: Viewer,
    wanted: Asked,
    after: Annotated[str, Query(max_length=400)] = "",
) -> HTMLResponse:
    """What is found; while one types, only that."""
    return _answer(request, here, caller, wanted, after)


@router.post("/studies")
def act(
    request: Request,
    here: Here,
    caller: Operator,
    wanted: Asked,
    act: Annotated[str, Form()],
    job: Annotated[list[Annotated[int, Field(ge=1, le=LARGEST)]] | None, Form()] = None,
    sure: Annotated[bool, Form()] = False,
    after: Annotated[str, Query(max_length=400)] = "",
) -> HTMLResponse:
    """Do something with the jobs that are ticked; a browser without scripts is asked first."""
    chosen = (job or [])[: acting.MOST]
    known = _ACTS.get(act)
    if known is None or not chosen:
        return _answer(request, here, caller, wanted, after, problem="No job is ticked.")
    words, do = known
    if not sure and not is_of_script(request):
        question = {"act": act, "words": words, "jobs": chosen}
        action = f"/studies?{studies.as_query(wanted)}&after={after}"
        return page(request, "studies_sure.html", caller, action=action, **question)
    done = do(here, caller, chosen)
    return _answer(request, here, caller, wanted, after, done=done)


def _answer(
    request: Request,
    here: Site,
    caller: Caller,
    wanted: Wanted,
    after: str,
    *,
    done: Iterable[Done] = (),
    problem: str = "",
) -> HTMLResponse:
    done = list(done)
    values = {
        "found": studies.look(here, caller, wanted, after=after),
        "cards": here.shelf(),
        "asked": wanted,
        "query": studies.as_query(wanted),
        "after": after,
        "done": done,
        "summary": acting.in_words(done),
        "problem": problem,
        "acts": {name: words for name, (words, _) in _ACTS.items()},
    }
    if is_of_script(request):
        return part("studies_found.html", caller, values)
    return page(request, "studies.html", caller, **values, **_choices(here))


def _choices(here: Site) -> dict[str, object]:
    """What there is to choose from."""
    configured = here.settings().pipelines
    with here.database.reading() as tx:
        return {
            "states": list(State),
            "senders": senders_known(tx),
            "labels": findings_known(tx),
            "pipelines": sorted({*configured, *pipelines_known(tx)}),
        }

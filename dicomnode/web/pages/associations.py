"""Who came and what became of it, with what to do about what went wrong."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from dicomnode.logbook.associations import Search
from dicomnode.web.access import Administrator, Caller, Viewer
from dicomnode.web.asked import Before, query_of
from dicomnode.web.associations import Wanted, look, troubles
from dicomnode.web.configuration.adding import add_caller
from dicomnode.web.live import live
from dicomnode.web.rendering import page, text_of
from dicomnode.web.site import Here, Site

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_A_PAGE = 50


@router.get("/associations")
def table(
    request: Request,
    here: Here,
    caller: Viewer,
    wanted: Wanted,
    before: Before = 0,
) -> HTMLResponse:
    """Associations, newest first, and on top what went wrong lately."""
    values = _found(here, wanted, before)
    wrong = [] if before else troubles(here)
    return page(request, "associations.html", caller, troubles=wrong, **values)


@router.post("/associations/peer")
def add(
    here: Here,
    caller: Administrator,
    ae_title: Annotated[str, Form()],
    address: Annotated[str, Form()],
) -> RedirectResponse:
    """Make who was refused as unknown a peer that may send."""
    name = add_caller(here, caller, ae_title, address)
    return RedirectResponse(f"/configuration/peers/{name}?saved=added", 303)


@router.get("/associations/live")
def follow(here: Here, caller: Viewer, wanted: Wanted) -> StreamingResponse:
    """The same, as it changes."""
    return live(here, caller, lambda: _parts(here, caller, wanted))


def _parts(here: Site, caller: Caller, wanted: Search) -> dict[str, str]:
    values = {"troubles": troubles(here)} | _found(here, wanted, 0)
    return {
        name: text_of(f"associations_{name}.html", caller, values) for name in ("troubles", "found")
    }


def _found(here: Site, wanted: Search, before: int) -> dict[str, object]:
    found = look(here, wanted, before=before, limit=_A_PAGE + 1)
    asked = {"ae": wanted.ae, "address": wanted.address, "outcome": wanted.outcome}
    return {
        "found": found[:_A_PAGE],
        "next": found[_A_PAGE - 1].row.id if len(found) > _A_PAGE else 0,
        "before": before,
        "asked": asked,
        "query": query_of(asked),
    }

"""Every configuration that was in force: who made it, what it changed, and back to it."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dicomnode.config.load import digest_of, read
from dicomnode.config.proposal import propose
from dicomnode.web.access import Administrator
from dicomnode.web.asked import Before, Number
from dicomnode.web.configuration.changing import going_back, history, number_of, version
from dicomnode.web.rendering import page
from dicomnode.web.site import Here

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/configuration/history")
def listed(request: Request, here: Here, caller: Administrator, before: Before = 0) -> HTMLResponse:
    """The versions, newest first."""
    texts = read(here.config)
    versions, more = history(here, before=before)
    return page(
        request,
        "configuration_history.html",
        caller,
        versions=versions,
        more=more,
        before=before,
        now=digest_of(texts),
        number=number_of(here, texts),
    )


@router.get("/configuration/history/{number}")
def one(request: Request, here: Here, caller: Administrator, number: Number) -> HTMLResponse:
    """A version, what it changed, and what going back to it would change."""
    found = version(here, number)
    texts = read(here.config)
    words = f"back to version {number}"
    return page(
        request,
        "configuration_version.html",
        caller,
        kept=found,
        folder=here.config,
        proposal=propose(here.config, texts, going_back(texts, found.files)),
        words=words,
        back=str(number),
        what="Roll back",
        problem="",
        changed=False,
    )

"""Models: what each is for, how well it was measured to do, who uses it, and how it is recalled."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dicomnode.web.access import Viewer
from dicomnode.web.models import models
from dicomnode.web.rendering import page
from dicomnode.web.site import Here

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/models")
def show(request: Request, here: Here, caller: Viewer) -> HTMLResponse:
    """All of them, each with its card."""
    return page(request, "models.html", caller, found=models(here))

"""Try a pipeline on one's own files: the results are seen before anything is sent anywhere."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, StreamingResponse

from dicomnode.errors import NotFound
from dicomnode.web.access import Caller, Operator
from dicomnode.web.live import live
from dicomnode.web.rendering import page, text_of
from dicomnode.web.site import Here, Site
from dicomnode.web.trials import tried
from dicomnode.web.trials.trials import Trial
from dicomnode.web.trying import LARGEST, NotTooLarge, begin, export, note_seen

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_SIDE = 1600  #: pixels of a picture's longer side


@router.get("/try")
def form(request: Request, here: Here, caller: Operator) -> HTMLResponse:
    """What to try, and what one tried within the hour."""
    settings = here.settings()
    values = {
        "pipelines": settings.pipelines,
        "cards": here.shelf(),
        "most": settings.node.web.try_max_bytes,
        "trials": here.trials.of(caller.name),
    }
    return page(request, "trying.html", caller, **values)


@router.post("/try", max_body_size=LARGEST)
async def start(request: Request, here: Here, small: NotTooLarge, caller: Operator) -> Response:
    """Take the files and begin."""
    trial = await begin(request, here, caller)
    return RedirectResponse(f"/try/{trial.id}", 303)


@router.get("/try/{number}")
def show(request: Request, here: Here, caller: Operator, number: str) -> HTMLResponse:
    """How it goes, or what came of it."""
    trial = here.trials.get(number, caller.name)
    return page(request, "trying_one.html", caller, **_values(here, caller, trial))


@router.get("/try/{number}/live")
def follow(here: Here, caller: Operator, number: str) -> StreamingResponse:
    """The same, as it changes."""
    here.trials.get(number, caller.name)
    return live(here, caller, lambda: _parts(here, caller, number))


@router.post("/try/{number}/remove")
def remove(here: Here, caller: Operator, number: str) -> RedirectResponse:
    """End and forget it now."""
    here.trials.remove(here.trials.get(number, caller.name).id)
    return RedirectResponse("/try", 303)


@router.get("/try/{number}/pictures/{place}.png")
def picture(
    here: Here,
    caller: Operator,
    number: str,
    place: int,
    size: Annotated[int, Query(ge=16, le=8192)] = _SIDE,
) -> Response:
    """A result that is a picture."""
    path = tried.result(here.trials.get(number, caller.name), place)
    return Response(here.pictures.draw(path, 1, size).data, media_type="image/png")


@router.get("/try/{number}/results/{place}")
def download(here: Here, caller: Operator, number: str, place: int) -> FileResponse:
    """A result, a DICOM file. Noted in the audit trail."""
    return export(here, caller, here.trials.get(number, caller.name), place)


def _values(here: Site, caller: Caller, trial: Trial) -> dict[str, object]:
    if not trial.running:
        note_seen(here, caller, trial)
    return {"trial": trial, "studies": tried.shown(trial), "cards": here.shelf()}


def _parts(here: Site, caller: Caller, number: str) -> dict[str, str]:
    """How it goes; at the end, nothing that follows it any more."""
    try:
        trial = here.trials.get(number, caller.name)
    except NotFound as error:
        return {"trial": f'<p class="note">{error}</p>', "follow": ""}
    values = _values(here, caller, trial)
    html = text_of("trying_result.html", caller, values)
    return {"trial": html} | ({} if trial.running else {"follow": ""})

"""Pictures of images and captures, for the pages that show them."""

from html import escape
from textwrap import wrap
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response

from dicomnode.errors import NotAnalysable, NotFound
from dicomnode.web.access import Caller, Viewer, note_study
from dicomnode.web.site import Here, Site
from dicomnode.web.uids import InPath
from dicomnode.worklist import dossier
from dicomnode.worklist.dossier import Object

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_MOST_FRAMES = 1_000_000
#: No browser or proxy keeps what shows a patient.
_KEPT = "private, no-store"


@router.get("/pictures/{sop_instance_uid}.png")
def picture(
    request: Request,
    here: Here,
    caller: Viewer,
    sop_instance_uid: InPath,
    frame: Annotated[int, Query(ge=1, le=_MOST_FRAMES)] = 1,
    size: Annotated[int, Query(ge=0, le=8192)] = 0,
) -> Response:
    """A frame as a viewer would show it first; its longer side has `size` pixels at most.

    Noted in the audit trail where the caller has not looked at the study within the hour.
    """
    with here.database.reading() as tx:
        found = dossier.find(tx, sop_instance_uid)
    _note_first(here, caller, found)
    path = (
        here.store.find(found.ref.study_uid, sop_instance_uid)
        if found.kind is None
        else here.store.path_of_result(found.ref.study_uid, sop_instance_uid)
    )
    if path is None or not path.exists():
        raise NotFound("this object was removed")
    try:
        drawn = here.pictures.draw(path, frame, size)
    except NotAnalysable as error:
        return _in_its_place(request, str(error))
    headers = {"etag": drawn.etag, "cache-control": _KEPT}
    if drawn.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(drawn.data, media_type="image/png", headers=headers)


def _note_first(here: Site, caller: Caller, found: Object) -> None:
    uid = found.ref.study_uid
    if here.seen.is_new(caller.name, uid, now=here.now()):
        with here.database.transaction() as tx:
            note_study(tx, here, caller, "study.seen", uid, "picture")


def _in_its_place(request: Request, problem: str) -> Response:
    """What is wrong, where the picture would be; a browser shows it whatever the status."""
    if "image/" not in request.headers.get("accept", ""):
        raise HTTPException(422, problem)
    lines = "".join(
        f'<tspan x="80" dy="16">{escape(line)}</tspan>' for line in wrap(problem, 24)[:7]
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 160" width="160" height="160">'
        '<rect width="160" height="160" fill="#222"/><text y="24" font-size="11" fill="#eee" '
        f'font-family="sans-serif" text-anchor="middle">{lines}</text></svg>'
    )
    return Response(svg, 422, media_type="image/svg+xml", headers={"cache-control": _KEPT})

"""A pipeline tried on files that somebody sends: from the request to what is shown and kept of it.

What runs it is in `trials/`; the lines of the audit trail are written here.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from dicomnode.errors import NotFound
from dicomnode.web.access import Caller, note
from dicomnode.web.site import Here, Site
from dicomnode.web.trials import tried
from dicomnode.web.trials.trials import Trial, Wanted

__all__ = ["FORM", "LARGEST", "NotTooLarge", "begin", "export", "note_seen"]

LARGEST = 1 << 40  #: what a route hears at most; the setting says less
_MOST_FILES = 5000
_MOST_NOTED = 100  #: studies that are named in the audit trail

#: What a route takes, for OpenAPI: it reads the form itself, when it knows who sends how much.
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["pipeline", "files"],
                    "properties": {
                        "pipeline": {"type": "string", "description": "Whose rules and model."},
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "DICOM files, or zips of them.",
                        },
                    },
                }
            }
        },
    }
}


async def _not_too_large(request: Request, here: Here) -> AsyncIterator[None]:
    """Asked before anything of it is read; at the end nothing of it stays, whoever read it."""
    most = here.settings().node.web.try_max_bytes
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise HTTPException(411, "say how long it is: Content-Length")
    if int(length) > most:
        raise HTTPException(413, f"it is longer than {most} bytes (web.try_max_bytes)")
    try:
        yield
    finally:
        await request.close()


#: In a route, before who calls it.
NotTooLarge = Annotated[None, Depends(_not_too_large)]


async def begin(request: Request, here: Site, caller: Caller) -> Trial:
    """Read the form, and begin. Noted in the audit trail.

    Raises:
        HTTPException: there is no file, or too much of it; or a zip is broken.
        NotFound: there is no such pipeline.
        WrongStep: another trial is going on.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(415, "send it as multipart/form-data")
    form = await request.form(max_files=_MOST_FILES, max_fields=10)
    return await run_in_threadpool(_begin, here, caller, form)


def _begin(here: Site, caller: Caller, form: FormData) -> Trial:
    settings = here.settings()
    pipeline = form.get("pipeline")
    if not isinstance(pipeline, str) or pipeline not in settings.pipelines:
        raise NotFound("there is no such pipeline")
    uploads = [each for each in form.getlist("files") if isinstance(each, UploadFile)]
    given = [each.file for each in uploads if each.size]
    if not given:
        raise HTTPException(422, "choose at least one file, which is not empty")
    wanted = Wanted(
        owner=caller.name,
        pipeline=pipeline,
        uploads=given,
        most_bytes=settings.node.web.try_max_bytes,
        room_bytes=settings.node.storage.low_water_mark_bytes,
        at=here.now(),
    )
    trial = here.trials.begin(here.store, here.config, wanted)
    with here.database.transaction() as tx:
        count = f"{trial.files} {'file' if trial.files == 1 else 'files'}"
        note(tx, here, caller, "trial.begun", detail=f"pipeline {pipeline}, {count}")
    return trial


def export(here: Site, caller: Caller, trial: Trial, place: int) -> FileResponse:
    """A result to be kept. Noted in the audit trail."""
    path = tried.result(trial, place)
    with here.database.transaction() as tx:
        note(tx, here, caller, "trial.exported", detail=f"pipeline {trial.pipeline}, {path.name}")
    return FileResponse(path, media_type="application/dicom", filename=path.name)


def note_seen(here: Site, caller: Caller, trial: Trial) -> None:
    """Note in the audit trail that its owner sees the results, once."""
    if trial.seen:
        return
    trial.seen = True
    with here.database.transaction() as tx:
        for study in trial.studies[:_MOST_NOTED]:
            detail = f"pipeline {trial.pipeline}"
            note(tx, here, caller, "trial.seen", study_uid=study["study_uid"], detail=detail)

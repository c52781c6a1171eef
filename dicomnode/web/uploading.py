"""Files that somebody sends to try a pipeline on, from the request to the trial that is begun."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from dicomnode.errors import NotFound
from dicomnode.web.access import Caller, note
from dicomnode.web.site import Here, Site
from dicomnode.web.trials import Trial

__all__ = ["FORM", "LARGEST", "NotTooLarge", "begin"]

LARGEST = 1 << 40  #: what a route hears at most; the setting says less
_MOST_FILES = 5000

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
    storage = settings.node.storage
    trial = here.trials.begin(
        here.store,
        here.config,
        caller.name,
        pipeline,
        given,
        most_bytes=settings.node.web.try_max_bytes,
        room_bytes=storage.low_water_mark_bytes,
        now=here.now(),
    )
    with here.database.transaction() as tx:
        count = f"{trial.files} {'file' if trial.files == 1 else 'files'}"
        note(tx, here, caller, "trial.begun", detail=f"pipeline {pipeline}, {count}")
    return trial

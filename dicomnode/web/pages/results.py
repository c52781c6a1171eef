"""One result: a report as a tree, a picture over its image, and the object itself."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from pydicom import Dataset, dcmread

from dicomnode.errors import NotFound
from dicomnode.records import ResultKind
from dicomnode.web.access import Caller, Viewer, note_study
from dicomnode.web.rendering import page
from dicomnode.web.showing import kinds
from dicomnode.web.showing.overlays import stacks
from dicomnode.web.showing.report_tree import read_tree
from dicomnode.web.site import Here, Site
from dicomnode.web.uids import InPath
from dicomnode.worklist import dossier, results
from dicomnode.worklist.dossier import Object

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/results/{sop_instance_uid}")
def show(request: Request, here: Here, caller: Viewer, sop_instance_uid: InPath) -> HTMLResponse:
    """What it says. Noted in the audit trail."""
    found, path = _find(here, sop_instance_uid)
    kind = found.kind or ResultKind.SC
    with here.database.reading() as tx:
        made = results.made(tx, sop_instance_uid)
        patient_id = dossier.patient_id(tx, found.ref.study_uid)
    _note(here, caller, found, "study.seen")
    here.seen.is_new(caller.name, found.ref.study_uid, now=here.now())
    values = {
        "made": made,
        "cards": here.shelf(),
        "patient_id": patient_id,
        "title": kinds.NAMES[kind],
        "stacks": stacks(here.store, found.ref.study_uid, [sop_instance_uid])
        if kind is ResultKind.SC
        else [],
        "tree": read_tree(_read(path)) if kind in kinds.TREES else None,
        "bytes_of": path.stat().st_size,
    }
    return page(request, "result.html", caller, **values)


@router.get("/results/{sop_instance_uid}/file")
def download(here: Here, caller: Viewer, sop_instance_uid: InPath) -> FileResponse:
    """The object as it was sent, a DICOM file. Noted in the audit trail."""
    found, path = _find(here, sop_instance_uid)
    _note(here, caller, found, "result.exported")
    return FileResponse(
        path,
        media_type="application/dicom",
        filename=f"{sop_instance_uid}.dcm",
        headers={"cache-control": "private, no-store"},
    )


@router.get("/results/{sop_instance_uid}/pdf")
def document(here: Here, caller: Viewer, sop_instance_uid: InPath) -> Response:
    """The page that is in an Encapsulated PDF. Noted in the audit trail."""
    found, path = _find(here, sop_instance_uid)
    if found.kind is not ResultKind.PDF:
        raise NotFound("this result is no PDF")
    _note(here, caller, found, "result.exported")
    dataset = _read(path)
    length = int(dataset.get("EncapsulatedDocumentLength") or 0)
    pdf: bytes = dataset.EncapsulatedDocument
    headers = {"content-disposition": 'inline; filename="result.pdf"'}
    return Response(pdf[: length or None], media_type="application/pdf", headers=headers)


def _find(here: Site, sop_instance_uid: str) -> tuple[Object, Path]:
    """A result and its file.

    Raises:
        NotFound: it is none of our results, or was removed.
    """
    with here.database.reading() as tx:
        found = dossier.find(tx, sop_instance_uid)
    if found.kind is None:
        raise NotFound("this object is no result of this node")
    path = here.store.path_of_result(found.ref.study_uid, sop_instance_uid)
    if not path.exists():
        raise NotFound("this result was removed: the time for keeping it is over")
    return found, path


def _read(path: Path) -> Dataset:
    """A file that this node wrote."""
    return dcmread(path)


def _note(here: Site, caller: Caller, found: Object, action: str) -> None:
    detail = f"{found.kind} {found.ref.sop_instance_uid}"
    with here.database.transaction() as tx:
        note_study(tx, here, caller, action, found.ref.study_uid, detail)

"""Key Object Selection: which images of a study matter, and what was made of them."""

from collections.abc import Iterator, Sequence

from pydicom import Dataset
from pydicom.uid import (
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicomnode.answers import Concept, FrameRef
from dicomnode.records import InstanceRef, ResultKind
from dicomnode.report import codes, identity, wording
from dicomnode.report.references import evidence
from dicomnode.report.request import Making
from dicomnode.report.sr import items
from dicomnode.report.sr.observer import observer

__all__ = ["add_document", "pointers", "selections"]

_IMAGES = (SecondaryCaptureImageStorage, SegmentationStorage)  #: of what we make
_DOCUMENTS = (ResultKind.SR, ResultKind.SR3D, ResultKind.TEXT, ResultKind.PDF)


def selections(making: Making) -> Iterator[tuple[Dataset, None]]:
    """Images of present findings, most probable first, then their pictures and the report.

    Title (113000,DCM,"Of Interest") of TID 2010 (PS3.3 section A.35.4). Nothing where nothing is
    present: then no image matters more than another.
    """
    frames = [
        finding.frame
        for finding in wording.by_weight(making.prediction.findings)
        if wording.to_mark(finding)
    ]
    if frames:
        yield _selection(making, frames), None


def _selection(making: Making, frames: Sequence[FrameRef]) -> Dataset:
    prediction, order = making.prediction, making.order
    ds = identity.copied(making.patient)
    ds.SOPInstanceUID = making.uid(ResultKind.KO, "1")
    series_uid = making.uid(ResultKind.KO, "series")
    identity.add_series(ds, prediction, order, series_uid, "AI key images", "4")
    identity.add_equipment(ds, making.patient, prediction.model, order)
    pictures = [made.ref for made in making.made_of(ResultKind.SC)]
    documents = [made.ref for kind in _DOCUMENTS for made in making.made_of(kind)]
    children = [
        *observer(prediction.model, order.words),
        items.text(codes.KEY_OBJECT_DESCRIPTION, _description(making)),
        *_sources(frames),
        *pointers([*pictures, *documents]),
    ]
    shown = [*(frame.image for frame in frames), *pictures, *documents]
    add_document(ds, codes.OF_INTEREST, children, shown)
    return ds


def _description(making: Making) -> str:
    prediction, order = making.prediction, making.order
    found = wording.headline(prediction, order)
    cautions = wording.cautions(prediction.model, order.words)
    return order.words.joined((found, wording.partial(order), *cautions))


def _sources(frames: Sequence[FrameRef]) -> Iterator[Dataset]:
    """Each image once, with those of its frames that matter."""
    images: dict[InstanceRef, list[int]] = {}
    for frame in dict.fromkeys(frames):
        numbers = images.setdefault(frame.image, [])
        numbers += [] if frame.frame is None else [frame.frame]
    for image, numbers in images.items():
        yield _unnamed(items.image(codes.SOURCE, image, frames=numbers))


def pointers(references: Sequence[InstanceRef]) -> Iterator[Dataset]:
    """An item for each object, by what it is: rows 8 and 10 of TID 2010."""
    for ref in references:
        point = items.image if ref.sop_class_uid in _IMAGES else items.composite
        yield _unnamed(point(codes.SOURCE, ref))


def _unnamed(item: Dataset) -> Dataset:
    """TID 2010 gives what it points at no name; to highdicom an item without one is none."""
    plain = Dataset()
    plain.update(item)
    del plain.ConceptNameCodeSequence
    return plain


def add_document(
    ds: Dataset, title: Concept, children: Sequence[Dataset], shown: Sequence[InstanceRef]
) -> None:
    """Key Object Document and SR Document Content modules (PS3.3 sections C.17.6.1, C.17.6.2).

    `shown` is every instance that `children` point at.
    """
    ds.SOPClassUID = KeyObjectSelectionDocumentStorage
    ds.Modality = "KO"
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.ContentDate, ds.ContentTime = ds.SeriesDate, ds.SeriesTime
    ds.CurrentRequestedProcedureEvidenceSequence = evidence(shown)
    ds.update(items.container(title, [], template="2010", relation=None))
    ds.ContentSequence = list(children)

"""Prediction to Structured Report: the modules of a Comprehensive SR around the content tree."""

from collections.abc import Iterator, Sequence

from pydicom import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage

from dicomnode.records import Concept, InstanceRef, Prediction, ResultKind
from dicomnode.report import codes, identity, wording
from dicomnode.report.references import evidence
from dicomnode.report.request import Made, Making, Order
from dicomnode.report.tree import content

__all__ = ["reports", "reports_3d"]


def reports(making: Making) -> Iterator[tuple[Dataset, None]]:
    """The one report, without file meta information (PS3.3 section A.35.3)."""
    yield _report(making, ResultKind.SR, ComprehensiveSRStorage, "1"), None


def reports_3d(making: Making) -> Iterator[tuple[Dataset, None]]:
    """The same as a Comprehensive 3D SR (PS3.3 section A.35.13), as IHE AIR wants it."""
    yield _report(making, ResultKind.SR3D, Comprehensive3DSRStorage, "5"), None


def _report(making: Making, kind: ResultKind, sop_class_uid: UID, digit: str) -> Dataset:
    source, prediction, order = making.source, making.prediction, making.order
    pictures = making.made_of(ResultKind.SC)
    header = identity.one_patient(source.headers)
    ds = identity.copied(header)
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = making.uid(kind, "1")
    ds.Modality = "SR"
    identity.add_series(ds, prediction, order, making.uid(kind, "series"), "AI report", digit)
    identity.add_equipment(ds, header, prediction.model, order)
    ds.ReferencedPerformedProcedureStepSequence = []
    _add_document(ds, prediction, order)
    ds.CurrentRequestedProcedureEvidenceSequence = evidence(_referenced(prediction, pictures))
    if order.predecessors:
        ds.PredecessorDocumentsSequence = evidence(order.predecessors)
    ds.CodingSchemeIdentificationSequence = codes.private_schemes(_concepts(prediction))
    ds.update(content(source, prediction, order, pictures, ds.SOPInstanceUID))
    return ds


def _add_document(ds: Dataset, prediction: Prediction, order: Order) -> None:
    """SR Document General module (PS3.3 Table C.17-2), references left out."""
    ds.ContentDate, ds.ContentTime = ds.SeriesDate, ds.SeriesTime
    ds.CompletionFlag = "PARTIAL" if order.partial else "COMPLETE"
    if order.partial:
        ds.CompletionFlagDescription = wording.completeness(prediction, order)[:64]
    ds.VerificationFlag = "UNVERIFIED"
    ds.PreliminaryFlag = "PRELIMINARY"
    ds.PerformedProcedureCodeSequence = []


def _referenced(prediction: Prediction, pictures: Sequence[Made]) -> Iterator[InstanceRef]:
    yield from dict.fromkeys(frame.image for frame in prediction.frames)
    yield from (picture.ref for picture in pictures)


def _concepts(prediction: Prediction) -> list[Concept]:
    return [finding.concept for finding in prediction.findings]

"""Prediction to Structured Report: the modules of a Comprehensive SR around the content tree."""

from collections.abc import Iterable, Iterator, Sequence

from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage

from dicomnode.records import Concept, InstanceRef, Prediction, ResultKind
from dicomnode.report import codes, identity, wording
from dicomnode.report.request import Made, Making, Order
from dicomnode.report.tree import content

__all__ = ["reports"]


def reports(making: Making) -> Iterator[tuple[Dataset, None]]:
    """The one report, without file meta information (PS3.3 section A.35.3)."""
    source, prediction, order = making.source, making.prediction, making.order
    pictures = making.made_of(ResultKind.SC)
    header = identity.one_patient(source.headers)
    ds = identity.copied(header)
    ds.SOPClassUID = ComprehensiveSRStorage
    ds.SOPInstanceUID = making.uid("sr", "1")
    ds.Modality = "SR"
    identity.add_series(ds, prediction, order, making.uid("sr", "series"), "AI report", "1")
    identity.add_equipment(ds, header, prediction.model, order)
    ds.ReferencedPerformedProcedureStepSequence = []
    _add_document(ds, prediction, order)
    ds.CurrentRequestedProcedureEvidenceSequence = _evidence(_referenced(prediction, pictures))
    if order.predecessors:
        ds.PredecessorDocumentsSequence = _evidence(order.predecessors)
    ds.CodingSchemeIdentificationSequence = codes.private_schemes(_concepts(prediction))
    ds.update(content(source, prediction, order, pictures, ds.SOPInstanceUID))
    yield ds, None


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


def _evidence(references: Iterable[InstanceRef]) -> list[Dataset]:
    """Studies, in them series, in them instances (PS3.3 Table C.17-3)."""
    tree: dict[str, dict[str, list[Dataset]]] = {}
    for ref in references:
        instance = Dataset()
        instance.ReferencedSOPClassUID = ref.sop_class_uid
        instance.ReferencedSOPInstanceUID = ref.sop_instance_uid
        tree.setdefault(ref.study_uid, {}).setdefault(ref.series_uid, []).append(instance)
    return [_study(uid, series) for uid, series in tree.items()]


def _study(uid: str, series: dict[str, list[Dataset]]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = uid
    study.ReferencedSeriesSequence = []
    for series_uid, instances in series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedSOPSequence = instances
        study.ReferencedSeriesSequence.append(item)
    return study

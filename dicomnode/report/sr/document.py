"""The modules of every Structured Report, whatever its content says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID, BasicTextSRStorage, Comprehensive3DSRStorage, ComprehensiveSRStorage

from dicomnode.records import InstanceRef, ResultKind
from dicomnode.report import identity, wording
from dicomnode.report.references import evidence
from dicomnode.report.request import Order

__all__ = ["REPORTS", "Naming", "document"]

#: Kinds that are Structured Reports: the SOP class, and the last digit of the series' number.
REPORTS: Mapping[ResultKind, tuple[UID, str]] = {
    ResultKind.SR: (ComprehensiveSRStorage, "1"),
    ResultKind.SR3D: (Comprehensive3DSRStorage, "5"),
    ResultKind.TEXT: (BasicTextSRStorage, "6"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What a document is, and how its series is called and numbered."""

    kind: ResultKind
    uid: str
    series_uid: str
    title: str  #: of the series
    digit: str = ""  #: the last one of its number, where it is not that of the kind


def document(
    header: Dataset,
    answer: identity.Answer,
    order: Order,
    naming: Naming,
    referenced: Iterable[InstanceRef],
) -> Dataset:
    """SR Document Series and General modules (PS3.3 Tables C.17-1 and C.17-2); content is added.

    The document is about `referenced`, and takes the place of the order's predecessors.
    """
    sop_class_uid, digit = REPORTS[naming.kind]
    ds = identity.copied(header)
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = naming.uid
    ds.Modality = "SR"
    identity.add_series(ds, answer, order, naming.series_uid, naming.title, naming.digit or digit)
    identity.add_equipment(ds, header, answer.model, order)
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.ContentDate, ds.ContentTime = ds.SeriesDate, ds.SeriesTime
    ds.CompletionFlag = "PARTIAL" if order.partial else "COMPLETE"
    if order.partial:
        ds.CompletionFlagDescription = wording.partial(order)[:64]
    ds.VerificationFlag = "UNVERIFIED"
    ds.PreliminaryFlag = "PRELIMINARY"
    ds.PerformedProcedureCodeSequence = []
    ds.CurrentRequestedProcedureEvidenceSequence = evidence(referenced)
    if order.predecessors:
        ds.PredecessorDocumentsSequence = evidence(order.predecessors)
    return ds

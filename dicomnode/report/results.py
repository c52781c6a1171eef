"""A prediction becomes finished objects, of each kind that is ordered.

Pure: the same source, prediction and order give the same bytes under the same UIDs.
"""

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO

from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.errors import ReportError
from dicomnode.records import Finding, InstanceRef, Prediction, Result, ResultKind, Score
from dicomnode.report import identity
from dicomnode.report.capture import captures
from dicomnode.report.reading import value
from dicomnode.report.request import Made, Making, Order, Source
from dicomnode.report.structured import reports, reports_3d

__all__ = ["Order", "Source", "make_results"]


#: What makes each kind: yields each object, and the one finding that it shows, if it shows one.
_Maker = Callable[[Making], Iterator[tuple[Dataset, Finding | None]]]
_MAKERS: Mapping[ResultKind, _Maker] = {
    ResultKind.SC: captures,
    ResultKind.SR: reports,
    ResultKind.SR3D: reports_3d,
}


def make_results(source: Source, prediction: Prediction, order: Order) -> tuple[Result, ...]:
    """Every object the order asks for, in the order in which they must leave."""
    study_uid = value(identity.one_patient(source.headers), "StudyInstanceUID")
    if not prediction.frames or not prediction.findings:
        raise ReportError("the prediction is empty")
    if any(frame.image.study_uid != study_uid for frame in prediction.frames):
        raise ReportError("the prediction is of another study than the images")
    summary = {
        finding.label: Score(probability=finding.probability, presence=finding.presence)
        for finding in prediction.findings
    }
    key = _key(prediction, order)
    results: list[Result] = []
    made: list[Made] = []
    for kind in [kind for kind in ResultKind if kind in order.kinds]:
        making = Making(
            source=source, prediction=prediction, order=order, made=tuple(made), key=key
        )
        for ds, finding in _MAKERS[kind](making):
            results.append(_result(ds, kind, summary))
            made.append(Made(ref=results[-1].ref, kind=kind, finding=finding))
    return tuple(results)


def _key(prediction: Prediction, order: Order) -> tuple[str, ...]:
    """What the UIDs of results follow from."""
    model = prediction.model
    frames = [f"{frame.image.sop_instance_uid}/{frame.frame}" for frame in prediction.frames]
    earlier = [ref.sop_instance_uid for ref in order.predecessors]
    asked = [order.pipeline, str(order.revision), str(order.received), str(order.expected)]
    named = [model.name, model.version, model.digest]
    study = prediction.frames[0].image.study_uid
    asked += [str(order.partial), order.language]
    return (study, *frames, "by", *named, "for", *asked, "after", *earlier)


def _result(ds: Dataset, kind: ResultKind, summary: dict[str, Score]) -> Result:
    ref = InstanceRef(
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_uid=str(ds.SeriesInstanceUID),
        study_uid=str(ds.StudyInstanceUID),
    )
    return Result(ref=ref, kind=kind, part10=_part10(ds), summary=summary)


def _part10(ds: Dataset) -> bytes:
    """The whole file (PS3.10 section 7)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    ds.file_meta = meta
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()

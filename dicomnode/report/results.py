"""A prediction becomes finished objects: Secondary Captures, then the Structured Report.

Pure: the same source, prediction and order give the same bytes under the same UIDs.
"""

from io import BytesIO

from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, result_uid
from dicomnode.errors import ReportError
from dicomnode.records import InstanceRef, Prediction, Result, ResultKind, Score
from dicomnode.report import identity
from dicomnode.report.capture import make_capture, subjects
from dicomnode.report.reading import value
from dicomnode.report.request import Order, Picture, Source
from dicomnode.report.structured import make_report

__all__ = ["Order", "Source", "make_results"]


def make_results(source: Source, prediction: Prediction, order: Order) -> tuple[Result, ...]:
    """Every object the order asks for; the report comes last and points at the pictures."""
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
    pictures: list[Picture] = []
    if ResultKind.SC in order.kinds:
        for number, subject in enumerate(subjects(prediction), 1):
            ds = make_capture(
                source,
                prediction,
                order,
                subject,
                uid=result_uid(*key, "sc", str(number)),
                series_uid=result_uid(*key, "sc", "series"),
                number=number,
            )
            results.append(_result(ds, ResultKind.SC, summary))
            pictures.append(Picture(ref=results[-1].ref, finding=subject))
    if ResultKind.SR in order.kinds:
        ds = make_report(
            source,
            prediction,
            order,
            pictures,
            uid=result_uid(*key, "sr", "1"),
            series_uid=result_uid(*key, "sr", "series"),
        )
        results.append(_result(ds, ResultKind.SR, summary))
    return tuple(results)


def _key(prediction: Prediction, order: Order) -> tuple[str, ...]:
    """What the UIDs of results follow from."""
    model = prediction.model
    frames = [f"{frame.image.sop_instance_uid}/{frame.frame}" for frame in prediction.frames]
    earlier = [ref.sop_instance_uid for ref in order.predecessors]
    asked = [order.pipeline, str(order.revision), str(order.received), str(order.expected)]
    named = [model.name, model.version, model.digest]
    study = prediction.frames[0].image.study_uid
    return (study, *frames, "by", *named, "for", *asked, str(order.partial), "after", *earlier)


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

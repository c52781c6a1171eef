"""Lists of the instances that an object refers to, as each IOD wants them."""

from collections.abc import Iterable

from pydicom import Dataset

from dicomnode.answers import FrameRef
from dicomnode.records import InstanceRef

__all__ = ["by_series", "evidence", "frame", "instance"]


def instance(ref: InstanceRef) -> Dataset:
    """One instance: SOP Instance Reference macro (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = ref.sop_class_uid
    item.ReferencedSOPInstanceUID = ref.sop_instance_uid
    return item


def frame(ref: FrameRef) -> Dataset:
    """One frame of an instance, or one image: Image SOP Instance Reference macro (Table 10-3)."""
    item = instance(ref.image)
    if ref.frame is not None:
        item.ReferencedFrameNumber = ref.frame
    return item


def evidence(references: Iterable[InstanceRef]) -> list[Dataset]:
    """Studies, in them series, in them instances: each once (PS3.3 Table C.17-3)."""
    studies: dict[str, list[InstanceRef]] = {}
    for ref in references:
        studies.setdefault(ref.study_uid, []).append(ref)
    items = []
    for uid, of_study in studies.items():
        study = Dataset()
        study.StudyInstanceUID = uid
        study.ReferencedSeriesSequence = by_series(of_study, "ReferencedSOPSequence")
        items.append(study)
    return items


def by_series(references: Iterable[InstanceRef], instances: str) -> list[Dataset]:
    """Series, in them instances, each once, under the keyword that the module wants.

    `ReferencedInstanceSequence` for images (PS3.3 Table C.12-8), `ReferencedImageSequence` for
    presentation states (Table C.11.11-1b), `ReferencedSOPSequence` for documents (Table C.17-3).
    """
    series: dict[str, list[Dataset]] = {}
    for ref in dict.fromkeys(references):
        series.setdefault(ref.series_uid, []).append(instance(ref))
    items = []
    for uid, of_series in series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        setattr(item, instances, of_series)
        items.append(item)
    return items

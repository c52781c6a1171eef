"""What the images of a study say of it that the worklist does not keep: read from their headers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dicomnode.dicom.attributes import Header, read_header, text
from dicomnode.errors import StoreError, Unreadable
from dicomnode.records import InstanceRef
from dicomnode.storage.objects import ObjectStore

__all__ = ["MOST_READ", "Described", "describe"]

MOST_READ = 8  #: series of which an image is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A study in the words of its images; empty where they do not say, or are gone."""

    description: str  #: Study Description (0008,1030)
    study_time: str  #: Study Time (0008,0030), such as 13:14:15, by the modality's clock
    modalities: tuple[str, ...]  #: Modality (0008,0060), in order of arrival


def describe(store: ObjectStore, refs: Sequence[InstanceRef]) -> Described:
    """The study, as one image of each series has it; the first that says something counts."""
    headers = list(_headers(store, refs[:MOST_READ]))
    modalities = (text(header, "Modality") for header in headers)
    return Described(
        description=_first(headers, "StudyDescription"),
        study_time=_clock(_first(headers, "StudyTime")),
        modalities=tuple(dict.fromkeys(modality for modality in modalities if modality)),
    )


def _headers(store: ObjectStore, refs: Sequence[InstanceRef]) -> Iterator[Header]:
    for ref in refs:
        try:
            if path := store.find(ref.study_uid, ref.sop_instance_uid):
                yield read_header(path)
        except (StoreError, Unreadable):
            continue  # another image may say it


def _first(headers: Sequence[Header], keyword: str) -> str:
    return next((said for header in headers if (said := text(header, keyword))), "")


def _clock(said: str) -> str:
    """A time (PS3.5 section 6.2, TM) without fractions; as it is where it is none."""
    digits = said.partition(".")[0].replace(":", "")
    if not digits.isdecimal() or len(digits) not in (2, 4, 6):
        return said
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))

"""Why a study is held, for the person who has to look: which image names which patient."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dicomnode.dicom.attributes import Header, read_header, text
from dicomnode.dicom.patient import Difference, differences
from dicomnode.errors import StoreError, Unreadable
from dicomnode.storage.objects import ObjectStore

__all__ = ["Held", "Named", "Value", "look"]

_MOST_READ = 2000  #: headers of a study
_MOST_NAMED = 12  #: images that are named beside one value


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An image, as people find it."""

    sop_instance_uid: str
    series: str  #: Series Number (0020,0011), or empty
    number: str  #: Instance Number (0020,0013), or empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What stands in some images."""

    attribute: str  #: keyword; of a name with its group
    text: str  #: as the first of them writes it; empty where they have none
    images: tuple[Named, ...]  #: the first of them
    count: int  #: of all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How the images of a study disagree about the patient."""

    patients: int  #: that the images name, at least
    attributes: tuple[tuple[Value, ...], ...]  #: of each attribute, the most frequent value first
    read: int  #: images that were looked at
    images: int  #: of the study


@lru_cache(maxsize=4)  # an open page looks again and again; what is kept under a UID never changes
def look(store: ObjectStore, study_uid: str, uids: tuple[str, ...]) -> Held:
    """What differs between these images of a study, as far as they are read."""
    headers = list(_headers(store, study_uid, uids[:_MOST_READ]))
    found = differences(headers)
    return Held(
        patients=max((len(each.values) for each in found), default=2),
        attributes=tuple(_values(each, headers) for each in found),
        read=len(headers),
        images=len(uids),
    )


def _headers(store: ObjectStore, study_uid: str, uids: Sequence[str]) -> Iterator[Header]:
    for uid in uids:
        try:
            if path := store.find(study_uid, uid):
                yield read_header(path)
        except (StoreError, Unreadable):
            continue  # it named nobody when the study was held


def _values(difference: Difference, headers: Sequence[Header]) -> tuple[Value, ...]:
    return tuple(
        Value(
            attribute=difference.attribute,
            text=said,
            images=tuple(_named(headers[place]) for place in places[:_MOST_NAMED]),
            count=len(places),
        )
        for said, places in difference.values.items()
    )


def _named(header: Header) -> Named:
    return Named(
        sop_instance_uid=str(header.SOPInstanceUID),
        series=text(header, "SeriesNumber"),
        number=text(header, "InstanceNumber"),
    )

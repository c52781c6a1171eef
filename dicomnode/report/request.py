"""What a result is made from: the images that were analysed, and what was ordered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicomnode.answers import Finding, FrameRef, Prediction
from dicomnode.dicom.appearance import appearance
from dicomnode.dicom.uids import result_uid
from dicomnode.errors import ReportError
from dicomnode.records import InstanceRef, ResultKind
from dicomnode.report.catalogue import Words, words

__all__ = ["Made", "Making", "Order", "Source"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """The images that were analysed."""

    headers: Sequence[Dataset]  #: of every image, without pixel data, in order of the study
    #: a frame as seen: uint8 (rows, columns, 3), window applied, MONOCHROME1 inverted
    display: Callable[[FrameRef], NDArray[np.uint8]]
    #: what `dicom/appearance.py` says of a grey frame; None: what it says of the header alone
    look: Callable[[FrameRef], Dataset] | None = None

    def header(self, image: InstanceRef) -> Dataset:
        """The header of one image; ReportError where the source does not hold it."""
        try:
            return self._by_uid[image.sop_instance_uid]
        except KeyError:
            raise ReportError(f"no header of image {image.sop_instance_uid}") from None

    @cached_property
    def _by_uid(self) -> Mapping[str, Dataset]:
        return {str(header.get("SOPInstanceUID")): header for header in self.headers}

    def appearance(self, frame: FrameRef) -> Dataset:
        """How a viewer has to show a grey frame, so that it looks as `display` has it."""
        if self.look:
            return self.look(frame)
        return appearance(self.header(frame.image), frame.frame or 1)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the job asks for; nothing here changes when the job is run again."""

    pipeline: str
    revision: int
    made_at: datetime  #: aware; written in the source's zone where it names one, else in its own
    kinds: frozenset[ResultKind]
    ae_title: str  #: of this node
    received: int  #: instances of the study that were here, results of ours left out
    expected: int | None  #: instances the sending peer has, where it told
    partial: bool  #: analysed although images were missing
    predecessors: tuple[InstanceRef, ...] = ()  #: Structured Reports of earlier revisions
    language: str = "en"  #: of the words in results; RFC 5646

    @property
    def words(self) -> Words:
        """The sentences of that language."""
        return words(self.language)


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """An object that was made already, as those that come after point at it."""

    ref: InstanceRef
    kind: ResultKind
    finding: Finding | None  #: what it shows, where it is about one; else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Making:
    """All that one kind of result is made from."""

    source: Source
    patient: Dataset  #: the header that patient and study are copied from
    prediction: Prediction
    order: Order
    made: tuple[Made, ...]  #: kinds that leave earlier, in order
    key: tuple[str, ...]  #: what the UIDs of the results follow from

    def uid(self, *name: str) -> str:
        """The UID of something in these results; the same name gives the same UID."""
        return result_uid(*self.key, *name)

    def made_of(self, kind: ResultKind) -> list[Made]:
        """What was made of one kind."""
        return [made for made in self.made if made.kind is kind]

"""The frozen nouns of an answer: what a model says of a study, and the results made of it.

`InstanceRef` names an object, `FrameRef` one frame of it. Outlines are in source pixels, column
before row (PS3.3 C.18.6.1.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dicomnode.errors import Cause
from dicomnode.records import InstanceRef, ResultKind

__all__ = [
    "Concept",
    "Finding",
    "Form",
    "FrameRef",
    "Interval",
    "ModelRef",
    "OperatingPoint",
    "Prediction",
    "Presence",
    "Refusal",
    "Region",
    "Result",
    "Score",
    "Translation",
]


# --- what the model says --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """A coded concept (PS3.3 Table 8.8-1)."""

    value: str
    scheme: str
    meaning: str


class Presence(StrEnum):
    """What is said of a finding (CID 240)."""

    PRESENT = "present"
    ABSENT = "absent"
    UNDETERMINED = "undetermined"


class Form(StrEnum):
    """How the findings of an answer go together."""

    FINDINGS = "findings"  #: each for itself
    CLASSES = "classes"  #: one of them holds
    GRADES = "grades"  #: one of them holds, and they ascend


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRef:
    """One frame of one image, as a result names it."""

    image: InstanceRef
    frame: int | None  #: from 1; None for a single-frame image
    rows: int  #: of the source frame, in pixels
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A measured share with its 95 % confidence interval, all in 0..1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """How well a finding is told at its threshold, and on what that was measured."""

    sensitivity: Interval
    specificity: Interval
    positives: int  #: cases with the finding
    negatives: int  #: cases without it
    data: str  #: on what, in words
    translations: Mapping[str, str] = field(default_factory=dict)  #: of `data` (RFC 5646)


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """An area of a frame that speaks for a finding."""

    outline: tuple[tuple[float, float], ...]  #: closed; (column, row) in source pixels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finding:
    """What the model says of one label, over all frames it was shown.

    Of classes and grades at most one is present. Where that is not clear, none is, and those that
    may be are undetermined.
    """

    label: str  #: as in the card
    concept: Concept
    probability: float  #: 0..1, of the most suspicious frame
    threshold: float  #: 0..1, from the card
    presence: Presence
    frame: FrameRef  #: the most suspicious frame
    heat: NDArray[np.float32] | None = None  #: 0..1, (rows, columns) of `frame`; present ones only
    regions: tuple[Region, ...] = ()  #: on `frame`
    operating: OperatingPoint | None = None  #: None where the card has no measurements of it
    names: Mapping[str, str] = field(default_factory=dict)  #: `label` in other languages (RFC 5646)
    at_least: bool = False  #: of a grade: probability and threshold are of it or any higher one
    marked: bool = True  #: is it something to point at? "normal" and the lowest grade are not


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What a card says of its model, in another language; empty where it does not."""

    disclaimer: str = ""
    intended_use: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Which model spoke: enough to name it in a result for ever."""

    name: str
    version: str
    digest: str  #: SHA-256 of the weights, hexadecimal
    manufacturer: str
    intended_use: str
    disclaimer: str  #: said in every result, such as "demonstration, not for clinical use"
    explanation: str  #: the method of the heat map, such as "Grad-CAM"
    calibration: str = ""  #: how probabilities were calibrated, such as "temperature"; empty: not
    views: tuple[str, ...] = ()  #: that the model is for, such as PA (0018,5101); empty: any
    translations: Mapping[str, Translation] = field(default_factory=dict)  #: by language (RFC 5646)
    members: tuple[str, ...] = ()  #: tags of the models that answer together; empty: it is one

    @property
    def tag(self) -> str:
        """Name and version in one, as the worklist and people name it."""
        return f"{self.name}@{self.version}"

    @property
    def tags(self) -> tuple[str, ...]:
        """Its own, and those of its members: none of them may be recalled."""
        return (self.tag, *self.members)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """The model's whole answer for one job; `findings` in the order of the card."""

    model: ModelRef
    frames: tuple[FrameRef, ...]  #: every frame that was analysed, in order of the study
    findings: tuple[Finding, ...]
    left_out: int = 0  #: images that were not analysed, as the model is not for them
    form: Form = Form.FINDINGS  #: how the findings go together
    together: bool = False  #: were the frames looked at as one, such as a volume?


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why there is no answer: said in the PACS in the place where it would be."""

    cause: Cause
    detail: str  #: in English words, fit for a log
    model: ModelRef | None  #: None where not even its card could be read


# --- what leaves ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What was said of one label, for lists."""

    probability: float  #: 0..1
    presence: Presence
    at_least: bool = False  #: of a grade: the probability is of it or any higher one
    threshold: float | None = None  #: 0..1; none where it was not written down
    calibrated: bool | None = None  #: is the probability, by the card? none as before


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One finished DICOM object, encoded once and for all."""

    ref: InstanceRef
    kind: ResultKind
    part10: bytes = field(repr=False)  #: the whole file
    summary: Mapping[str, Score] = field(default_factory=dict)  #: by label
    model: str = ""  #: whose answer it is, as "name@version"; empty where no model speaks
    members: tuple[str, ...] = ()  #: the models that it is made of, where there are several

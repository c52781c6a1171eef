"""What an evaluation found, ready to be printed, drawn, or written as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.measures.figures import Figure
from dicomnode.learn.measures.points import Point

__all__ = [
    "MATCHED",
    "Band",
    "Bin",
    "Comparison",
    "Curves",
    "Difference",
    "Evaluation",
    "Line",
    "Mean",
    "Threshold",
]

Numbers = NDArray[np.float64]

#: The operating point of a model at which it is beside a reader.
MATCHED = "the reader's specificity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One finding at one operating point."""

    point: Point
    threshold: float | None  #: present from here; None: no threshold, nothing is called present
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    figures: Mapping[str, Figure]  #: sensitivity, specificity, ppv, npv, f1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Band:
    """A curve, (points, 2) as x and y, and its 95 % band, (places, 3) as x, low and high."""

    curve: Numbers
    band: Numbers  #: empty where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Images of similar probability."""

    said: float  #: mean probability
    images: int
    true: Figure  #: the share that has the finding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """What plots are drawn from."""

    roc: Band
    precision_recall: Band
    reliability: tuple[Bin, ...]
    mean_probability: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """All that was measured of one finding in one group of images."""

    finding: str
    variable: str = ""  #: of the group, such as sex; empty: all images
    group: str = ""
    images: int  #: truth and probability known
    patients: int
    positives: int
    without: int  #: images left out, as their truth is unknown or nothing was said
    auroc: Figure  #: interval by DeLong
    auroc_error: float | None  #: standard error by DeLong
    figures: Mapping[str, Figure]  #: auroc (by bootstrap), average_precision, ece, brier
    points: tuple[Threshold, ...]
    curves: Curves | None = None  #: of all images only

    @property
    def prevalence(self) -> float | None:
        """Share of images with the finding; PPV, NPV, F1 and average precision depend on it."""
        return self.positives / self.images if self.images else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The plain mean over findings, in one group."""

    variable: str
    group: str
    findings: int  #: that could be told apart there; the others are not in the mean
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One measure of the model, the other's, and by how much the model's is higher."""

    measure: str
    point: str  #: name of the operating point; empty for measures of the whole
    ours: float | None
    theirs: float | None
    figure: Figure  #: ours less theirs
    p: float | None  #: that it is by chance; None where it cannot be told
    test: str  #: what gave p
    p_holm: float | None = None  #: p adjusted for the number of findings (Holm, 1979)
    only_ours: int | None = None  #: images that only the model is right about
    only_theirs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """The model beside another model, or beside a reader, on one finding."""

    other: str
    binary: bool  #: is the other a reader?
    finding: str  #: empty: the mean over all findings
    images: int  #: of which both spoke
    positives: int
    differences: tuple[Difference, ...]
    curves: Curves | None = None  #: of the other model, to be drawn beside the model's


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """The whole result."""

    name: str  #: of the model
    images: int
    patients: int
    clustered: bool  #: do patients have several images?
    resamples: int
    seed: int
    points: tuple[Point, ...]
    lines: tuple[Line, ...]
    means: tuple[Mean, ...]
    comparisons: tuple[Comparison, ...] = ()
    notes: Sequence[str] = field(default_factory=tuple)  #: what a reader has to know of the data

"""Operating points: which threshold is looked at, and what is measured there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dicomnode.errors import NotFound
from dicomnode.learn.measures.figures import ratio
from dicomnode.learn.measures.ranked import Confusion, Counts, Ranked

__all__ = ["AT_POINT", "Chosen", "Point", "choose", "measures_at", "parse_point", "reach"]

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]
Truth = NDArray[np.bool_]

#: What is measured at a point, and between which of the four counts it is a share.
AT_POINT = ("sensitivity", "specificity", "ppv", "npv", "f1")

_HELP = "card, youden, sensitivity=0.95, specificity=0.9, or a number from 0 to 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """How a threshold is found."""

    kind: Literal["card", "youden", "sensitivity", "specificity", "threshold"]
    target: float = 0.0  #: at least this sensitivity or specificity, or the threshold itself

    @property
    def name(self) -> str:
        """As tables call it."""
        if self.kind == "card":
            return "card"
        if self.kind == "youden":
            return "Youden"
        sign = "=" if self.kind == "threshold" else "\N{GREATER-THAN OR EQUAL TO}"
        return f"{self.kind} {sign} {self.target:g}"

    @property
    def chosen(self) -> bool:
        """Is the threshold chosen by looking at the truth of these very images?"""
        return self.kind in ("youden", "sensitivity", "specificity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A point with the threshold that it has for one finding."""

    point: Point
    threshold: float  #: present from here; infinite: nothing is to be called present


def parse_point(text: str) -> Point:
    """A point as it is written in a command; NotFound says what could be."""
    kind, _, number = text.strip().lower().partition("=")
    if kind in ("card", "youden") and not number:
        return Point(kind="card" if kind == "card" else "youden")
    try:
        target = float(number or kind)
    except ValueError:
        target = np.nan
    if not 0 <= target <= 1 or (number and kind not in ("sensitivity", "specificity", "threshold")):
        raise NotFound(f"there is no operating point {text!r}; there are: {_HELP}")
    if kind == "sensitivity":
        return Point(kind="sensitivity", target=target)
    return Point(kind="specificity" if kind == "specificity" else "threshold", target=target)


def choose(point: Point, card: float | None, scores: Numbers, truth: Truth) -> float:
    """The threshold of a point on these images, (images,); infinite where none reaches it.

    `card` is the threshold of the card, which has one where the point is the card's.
    """
    if point.kind == "threshold":
        return point.target
    if point.kind == "card":
        if card is None:
            raise ValueError("a card without this finding has no threshold for it")
        return card
    ranked = Ranked(scores, truth)
    counts = ranked.counts(np.ones((len(scores), 1)))
    row = int(_place(point, counts)[0])
    return float(ranked.levels[row - 1]) if row else np.inf


def _place(point: Point, counts: Counts) -> Places:
    if point.kind == "sensitivity":
        return _first(counts.hits >= point.target * counts.positives - _SLACK)
    if point.kind == "specificity":
        return reach(counts, np.full(counts.hits.shape[1], point.target))
    gain = counts.hits * counts.negatives - (counts.called - counts.hits) * counts.positives
    return _first(gain == gain.max(axis=0))


_SLACK = 1e-9  #: of a count: shares such as 0.9 are not exact in binary


def reach(counts: Counts, specificity: Numbers) -> Places:
    """The row with the highest sensitivity at which specificity still is so high, (resamples,).

    Of rows with that sensitivity, the one of highest specificity.
    """
    alarms = counts.called - counts.hits
    allowed = alarms <= (1 - specificity) * counts.negatives + _SLACK
    last = allowed.shape[0] - 1 - allowed[::-1].argmax(axis=0)
    most = np.take_along_axis(counts.hits, last[None], axis=0)
    return _first(counts.hits >= most)


def _first(fits: NDArray[np.bool_]) -> Places:
    """The first row in which each column is true."""
    row: Places = fits.argmax(axis=0)
    return row


def measures_at(confusion: Confusion) -> Mapping[str, Numbers]:
    """What a threshold is worth, each (resamples,); NaN where there is nothing to divide by."""
    tp, fp = confusion.true_positive, confusion.false_positive
    fn, tn = confusion.false_negative, confusion.true_negative
    return {
        "sensitivity": ratio(tp, tp + fn),
        "specificity": ratio(tn, tn + fp),
        "ppv": ratio(tp, tp + fp),
        "npv": ratio(tn, tn + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
    }

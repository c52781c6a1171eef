"""Scores to what is said of each label: which looks decide, and which labels are present."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from dicomnode.answers import Form, Presence
from dicomnode.classify.calibration import DIGITS
from dicomnode.classify.card.output import Label, Output

__all__ = ["Decided", "decide", "presences", "threshold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What is said of one label over all looks."""

    probability: float  #: 0..1
    look: int  #: which of them speaks most for it


def decide(
    scores: Sequence[Sequence[float]], combine: Literal["max", "mean"] | None, output: Output
) -> list[Decided]:
    """One for each label, of scores (looks, labels); the first of equal looks speaks.

    Of grades the look with the gravest answer speaks for the lowest, too.
    """
    told = np.array(scores, dtype=np.float64)
    speaks = told.argmax(0)
    if output.form is Form.GRADES:
        speaks[0] = speaks[1]
    means = combine == "mean" or (combine is None and output.form is Form.CLASSES)
    probabilities = told.mean(0).round(DIGITS) if means else told[speaks, np.arange(told.shape[1])]
    return [
        Decided(probability=float(probability), look=int(look))
        for probability, look in zip(probabilities, speaks, strict=True)
    ]


def threshold(labels: Sequence[Label], index: int, output: Output) -> float:
    """What a label's probability is held against; of the lowest grade what the next one leaves."""
    if output.form is Form.GRADES and index == 0:
        return round(1 - labels[1].threshold, DIGITS)
    return labels[index].threshold


def presences(
    labels: Sequence[Label], probabilities: Sequence[float], output: Output
) -> list[Presence]:
    """What is said of each label; closer to a threshold than its margin, it is undetermined."""
    match output.form:
        case Form.FINDINGS:
            return [_alone(*pair) for pair in zip(labels, probabilities, strict=True)]
        case Form.CLASSES:
            return _of_classes(labels, probabilities)
        case Form.GRADES:
            return _of_grades(labels, np.array(probabilities))
        case _:
            assert_never(output.form)


def _alone(label: Label, probability: float) -> Presence:
    if abs(probability - label.threshold) < label.margin:
        return Presence.UNDETERMINED
    return Presence.PRESENT if probability >= label.threshold else Presence.ABSENT


def _of_classes(labels: Sequence[Label], probabilities: Sequence[float]) -> list[Presence]:
    """The most probable, if over its threshold; else nothing is excluded."""
    top = int(np.argmax(probabilities))
    if _alone(labels[top], probabilities[top]) is not Presence.PRESENT:
        return [Presence.UNDETERMINED] * len(labels)
    return [Presence.PRESENT if index == top else Presence.ABSENT for index in range(len(labels))]


def _of_grades(labels: Sequence[Label], probabilities: NDArray[np.float64]) -> list[Presence]:
    """The highest over its threshold; where a margin leaves several, any of these it may be."""
    thresholds = np.array([label.threshold for label in labels[1:]])
    margins = np.array([label.margin for label in labels[1:]])
    away = probabilities[1:] - thresholds
    sure = _highest(away >= margins)
    possible = max(sure, _highest((away >= 0) | (away > -margins)))
    here = Presence.PRESENT if sure == possible else Presence.UNDETERMINED
    return [here if sure <= grade <= possible else Presence.ABSENT for grade in range(len(labels))]


def _highest(over: NDArray[np.bool_]) -> int:
    """The highest grade whose step is taken; 0: none."""
    return int(np.flatnonzero(over).max(initial=-1)) + 1

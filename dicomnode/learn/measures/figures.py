"""A measured value with its 95 % interval, or the reason why there is none."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Figure", "Method", "Z", "figure", "ratio", "reason", "two_sided", "wilson"]

Numbers = NDArray[np.float64]

Z = 1.959964  #: of a two-sided 95 % interval
_ENOUGH = 0.9  #: of the resamples have to have a value, or there is no interval

Method = Literal["bootstrap", "DeLong", "Wilson"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a result; `why` tells what is missing of it, and is empty where nothing is."""

    value: float | None
    low: float | None = None  #: of the 95 % interval
    high: float | None = None
    method: Method | None = None  #: how the interval was made
    why: str = ""


def figure(value: float, resampled: Numbers, why: str = "") -> Figure:
    """The percentile interval of a bootstrap around a value; NaN is what could not be measured.

    `why` is the reason if there is no value. No interval is given where more than a tenth of the
    resamples had none, nor where all of them agree: so few cases vary less than they are uncertain.
    """
    if math.isnan(value):
        return Figure(value=None, why=why or "cannot be measured on these images")
    known = resampled[~np.isnan(resampled)]
    if not len(resampled):
        return Figure(value=value, why="no interval: no resamples were drawn")
    if len(known) < _ENOUGH * len(resampled):
        why = "no interval: so few cases that more than a tenth of the resamples have no value"
        return Figure(value=value, why=why)
    low, high = (float(edge) for edge in np.quantile(known, (0.025, 0.975)))
    if low == high:
        return Figure(value=value, why="no interval: all resamples have the same value")
    return Figure(value=value, low=low, high=high, method="bootstrap")


def reason(positives: int, images: int) -> str:
    """Why nothing can be told apart among images; empty where it can."""
    if not images:
        return "there are no images"
    if not positives:
        return "no image has it"
    return "every image has it" if positives == images else ""


def wilson(hits: float, total: float) -> tuple[float, float]:
    """Wilson's score interval of a share; it is honest at 0 and at 1 as well (Wilson, 1927)."""
    share, z2 = hits / total, Z**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def ratio(part: Numbers, whole: Numbers) -> Numbers:
    """Element by element; NaN where there is nothing to divide by."""
    part, whole = np.broadcast_arrays(part, whole)
    divided: Numbers = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return divided


def two_sided(z: float) -> float:
    """How probable a standard normal number is that is at least as far from 0."""
    return math.erfc(abs(z) / math.sqrt(2))

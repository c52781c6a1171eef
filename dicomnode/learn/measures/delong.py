"""Areas under ROC curves without resampling: DeLong's interval, and his test of two curves.

DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988). Where patients have several images the
variance is that of Obuchowski, Biometrics 53 (1997), which sums by patient; with one image each it
is DeLong's own.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.measures.figures import Figure, Z, reason, two_sided

__all__ = ["Areas", "areas", "auroc", "interval", "paired"]

Numbers = NDArray[np.float64]
Truth = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Areas:
    """Areas of several scores of the same images, and how they vary together."""

    values: Numbers  #: (scores,)
    covariance: Numbers  #: (scores, scores); NaN with fewer than two patients on either side
    fewer: int  #: images of the smaller of the two groups


def areas(scores: Numbers, truth: Truth, patients: NDArray[np.intp] | None = None) -> Areas:
    """Areas of (scores, images), each with positives and negatives; `patients` as in resampling."""
    owners = np.arange(len(truth)) if patients is None else patients
    placed = [_placements(row, truth) for row in scores]
    above, below = (np.stack(side) for side in zip(*placed, strict=True))
    values = above.mean(axis=1)
    fewer = min(above.shape[1], below.shape[1])
    people, whose = np.unique(owners, return_inverse=True)
    with_it = _Sums(above - values[:, None], whose[truth], len(people))
    without = _Sums(below - values[:, None], whose[~truth], len(people))
    if min(with_it.people, without.people) < 2:
        unknown = np.full((len(values), len(values)), np.nan)
        return Areas(values=values, covariance=unknown, fewer=fewer)
    cross = with_it.means @ without.means.T * len(people) / (len(people) - 1)
    covariance = with_it.covariance + without.covariance + cross + cross.T
    return Areas(values=values, covariance=covariance, fewer=fewer)


class _Sums:
    """What each patient's images of one group add to the areas' error."""

    def __init__(self, off: Numbers, whose: NDArray[np.intp], people: int) -> None:
        sums = [np.bincount(whose, weights=row, minlength=people) for row in off]
        self.means: Numbers = np.stack(sums) / off.shape[1]  #: (scores, people)
        self.people = len(np.unique(whose))

    @property
    def covariance(self) -> Numbers:
        return self.means @ self.means.T * (self.people / (self.people - 1))


def _placements(scores: Numbers, truth: Truth) -> tuple[Numbers, Numbers]:
    """For each positive the share of negatives below, for each negative that of positives above."""
    positive, negative = np.sort(scores[truth]), np.sort(scores[~truth])
    wins = np.searchsorted(negative, scores[truth], "left")
    above = (wins + np.searchsorted(negative, scores[truth], "right")) / 2 / len(negative)
    losses = np.searchsorted(positive, scores[~truth], "right")
    below = 1 - (losses + np.searchsorted(positive, scores[~truth], "left")) / 2 / len(positive)
    return above, below


def auroc(
    scores: Numbers, truth: Truth, patients: NDArray[np.intp] | None = None
) -> tuple[Figure, float | None]:
    """The area of (images,) with its interval, and its standard error, as far as there are any."""
    if why := reason(int(truth.sum()), len(truth)):
        return Figure(value=None, why=why), None
    found = areas(scores[None], truth, patients)
    area, variance = float(found.values[0]), float(found.covariance[0, 0])
    if math.isnan(variance):
        return Figure(value=area, why="no interval: fewer than two patients on one side"), None
    low, high = interval(area, variance, found.fewer)
    return Figure(value=area, low=low, high=high, method="DeLong"), math.sqrt(max(variance, 0.0))


def interval(area: float, variance: float, fewer: int) -> tuple[float, float]:
    """The 95 % interval on the logit scale, on which it cannot leave 0..1.

    Where all cases are alike, as in a perfect order, the variance is 0; the interval then is that
    of half a wrong case among the smaller group, of `fewer` images.
    """
    inner = min(max(area, 0.5 / fewer), 1 - 0.5 / fewer)
    spread = math.sqrt(max(variance, 0.0))
    if spread == 0:
        spread = 0.5 / fewer
    middle, half = math.log(inner / (1 - inner)), Z * spread / (inner * (1 - inner))
    low, high = ((1 + math.tanh(x / 2)) / 2 for x in (middle - half, middle + half))
    return (0.0 if area == 0 else min(low, area)), (1.0 if area == 1 else max(high, area))


def paired(two: Areas) -> tuple[float, float, float | None]:
    """Difference of the first area less the second, its standard error, and the p-value.

    None for p where the error is 0 and the areas differ: then it cannot be told.
    """
    difference = float(two.values[0] - two.values[1])
    (a, c), (_, b) = two.covariance
    error = math.sqrt(max(0.0, float(a + b - 2 * c)))
    if error > 1e-12:
        return difference, error, two_sided(difference / error)
    return difference, 0.0, 1.0 if abs(difference) < 1e-12 else None

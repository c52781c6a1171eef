"""Measures with 95 % confidence intervals, and the threshold that balances them."""

import math

import numpy as np
from numpy.typing import NDArray

from dicomnode.classify.card import Estimate, Measures

__all__ = ["auroc", "best_threshold", "measure", "proportion"]

_Z = 1.959964  # of a two-sided 95 % interval

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]


def measure(label: str, scores: Scores, truth: Truth, threshold: float) -> Measures:
    """How well scores tell `truth`, as a whole and at a threshold."""
    present = scores >= threshold
    return Measures(
        label=label,
        positives=int(truth.sum()),
        negatives=int((~truth).sum()),
        auroc=auroc(scores, truth),
        sensitivity=proportion(int(present[truth].sum()), int(truth.sum())),
        specificity=proportion(int((~present)[~truth].sum()), int((~truth).sum())),
    )


def auroc(scores: Scores, truth: Truth) -> Estimate:
    """Area under the ROC curve; interval by DeLong's variance on the logit scale.

    Where no pair is in the wrong order the variance is 0; the interval then is that of half a
    wrong case among the smaller group.
    """
    positive, negative = scores[truth], scores[~truth]
    wins = np.searchsorted(np.sort(negative), positive, "left") / len(negative)
    ties = np.searchsorted(np.sort(negative), positive, "right") / len(negative)
    above = (wins + ties) / 2  # for each positive: the share of negatives below it
    losses = np.searchsorted(np.sort(positive), negative, "right") / len(positive)
    even = np.searchsorted(np.sort(positive), negative, "left") / len(positive)
    below = 1 - (losses + even) / 2
    area = float(above.mean())
    variance = above.var(ddof=1) / len(positive) + below.var(ddof=1) / len(negative)
    fewer = min(len(positive), len(negative))
    inner = min(max(area, 0.5 / fewer), 1 - 0.5 / fewer)
    error = max(math.sqrt(variance), 0.5 / fewer if area in (0, 1) else 0) / (inner * (1 - inner))
    low, high = (_expit(math.log(inner / (1 - inner)) + z * error) for z in (-_Z, _Z))
    return _estimate(area, low, 1.0 if area == 1 else high)


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def proportion(hits: int, total: int) -> Estimate:
    """A share with Wilson's interval."""
    share, z2 = hits / total, _Z**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return _estimate(share, middle - half, middle + half)


def _estimate(value: float, low: float, high: float) -> Estimate:
    low, high = max(0.0, min(low, value)), min(1.0, max(high, value))
    return Estimate(value=round(value, 4), low=round(low, 4), high=round(high, 4))


def best_threshold(scores: Scores, truth: Truth) -> float:
    """Where sensitivity plus specificity is highest; in the middle where a range of values is."""
    levels = np.unique(scores)
    cuts = (levels[1:] + levels[:-1]) / 2
    gain = np.array([(scores[truth] >= c).mean() + (scores[~truth] < c).mean() for c in cuts])
    best = cuts[gain >= gain.max() - 1e-9]
    return round(float(best[len(best) // 2]), 4)

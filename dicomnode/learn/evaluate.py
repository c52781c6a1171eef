"""Measures as a model's card holds them, and the threshold that balances mistakes.

The measuring itself is done in `measures/`.
"""

import numpy as np
from numpy.typing import NDArray

from dicomnode.classify.card.measured import Measures
from dicomnode.classify.card.tables import Estimate
from dicomnode.errors import ModelError
from dicomnode.learn.measures import delong
from dicomnode.learn.measures.figures import wilson

__all__ = ["auroc", "best_threshold", "measure", "proportion"]

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]


def measure(label: str, scores: Scores, truth: Truth, present: Truth) -> Measures:
    """How well scores tell `truth` as a whole, and what is called present by them.

    Raises:
        ModelError: all images have the finding, or none has it.
    """
    return Measures(
        label=label,
        positives=int(truth.sum()),
        negatives=int((~truth).sum()),
        auroc=auroc(scores, truth),
        sensitivity=proportion(int(present[truth].sum()), int(truth.sum())),
        specificity=proportion(int((~present)[~truth].sum()), int((~truth).sum())),
    )


def auroc(scores: Scores, truth: Truth) -> Estimate:
    """Area under the ROC curve with DeLong's interval; 0..1 where a single case forbids one.

    Raises:
        ModelError: all images have the finding, or none has it.
    """
    area, _ = delong.auroc(scores, truth)
    if area.value is None:
        raise ModelError(f"a finding cannot be measured: {area.why}")
    low, high = (0.0, 1.0) if area.low is None or area.high is None else (area.low, area.high)
    return _estimate(area.value, low, high)


def proportion(hits: int, total: int) -> Estimate:
    """A share with Wilson's interval."""
    return _estimate(hits / total, *wilson(hits, total))


def _estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=round(value, 4), low=round(low, 4), high=round(high, 4))


def best_threshold(scores: Scores, truth: Truth) -> float:
    """Where sensitivity plus specificity is highest; in the middle where a range of values is."""
    levels = np.unique(scores)
    cuts = (levels[1:] + levels[:-1]) / 2
    gain = np.array([(scores[truth] >= c).mean() + (scores[~truth] < c).mean() for c in cuts])
    best = cuts[gain >= gain.max() - 1e-9]
    return round(float(best[len(best) // 2]), 4)

"""Scores in order, so that what depends on thresholds is counted for many resamples at once.

Scores are sorted once. A resample is a weight for each image, 0 or more times; all counts are sums
of weights between levels. With the weight 1 for each image these are the plain counts, so a value
and its resamples come from the same lines of code.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.measures.figures import ratio

__all__ = ["Confusion", "Counts", "Ranked", "auroc", "average_precision"]

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]
Truth = NDArray[np.bool_]
Weights = NDArray[np.uint8] | Numbers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusion:
    """The four counts at one threshold, one of each a resample; they need not be whole."""

    true_positive: Numbers
    false_positive: Numbers
    false_negative: Numbers
    true_negative: Numbers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counts:
    """How many are called present at each level; row 0 is above all levels, where nothing is.

    Columns are resamples. Levels fall; an image is called present from its own score upwards.
    """

    hits: Numbers  #: (levels + 1, resamples): those that have the finding
    called: Numbers  #: (levels + 1, resamples): with it or without
    above: Numbers  #: (levels, resamples): called, those at the level itself left out
    positives: Numbers  #: (resamples,)
    negatives: Numbers  #: (resamples,)

    def at(self, place: Places) -> Confusion:
        """The four counts at a row for each resample, (resamples,)."""
        hits = np.take_along_axis(self.hits, place[None], axis=0)[0]
        alarms = np.take_along_axis(self.called, place[None], axis=0)[0] - hits
        return Confusion(
            true_positive=hits,
            false_positive=alarms,
            false_negative=self.positives - hits,
            true_negative=self.negatives - alarms,
        )


class Ranked:
    """Scores of one finding, (images,), with the truth; `thresholds` are levels of interest.

    Levels are the scores of images that have the finding, as no other threshold is ever better,
    and the thresholds. NaN is not allowed among scores.
    """

    def __init__(self, scores: Numbers, truth: Truth, thresholds: tuple[float, ...] = ()) -> None:
        order = np.argsort(-scores, kind="stable")
        rising, positive = np.sort(scores), np.sort(scores[truth])
        self.levels: Numbers = np.unique(np.concatenate([positive, thresholds]))[::-1]
        self._order = order
        self._positive = order[truth[order]]
        self._hits = len(positive) - np.searchsorted(positive, self.levels, "left")
        self._called = len(scores) - np.searchsorted(rising, self.levels, "left")
        self._above = len(scores) - np.searchsorted(rising, self.levels, "right")
        self._edges = np.unique(np.concatenate([[0], self._called, self._above, [len(scores)]]))

    def counts(self, weights: Weights) -> Counts:
        """Counts of resamples; `weights` are (images, resamples)."""
        nothing = np.zeros((1, weights.shape[1]))
        hits = np.concatenate(
            [nothing, np.cumsum(weights[self._positive], axis=0, dtype=np.float64)]
        )
        called = self._cumulated(weights[self._order])
        positives = hits[-1]
        return Counts(
            hits=np.concatenate([nothing, hits[self._hits]]),
            called=np.concatenate([nothing, self._take(called, self._called)]),
            above=self._take(called, self._above),
            positives=positives,
            negatives=called[-1] - positives,
        )

    def row(self, threshold: float) -> int:
        """The row of `counts` that belongs to one of the thresholds, or to infinity."""
        return int(np.searchsorted(-self.levels, -threshold, "right"))

    def _cumulated(self, falling: Weights) -> Numbers:
        """Sums of weights from the top to each edge; only edges are ever asked for."""
        if len(self._edges) < 2:
            return np.zeros((1, falling.shape[1]))
        parts = np.add.reduceat(falling, self._edges[:-1], axis=0, dtype=np.int64)
        return np.concatenate([np.zeros((1, falling.shape[1])), np.cumsum(parts, axis=0)])

    def _take(self, called: Numbers, count: Places) -> Numbers:
        taken: Numbers = called[np.searchsorted(self._edges, count)]
        return taken


def auroc(counts: Counts) -> Numbers:
    """Area under the ROC curve, (resamples,): the share of pairs in order, ties count half."""
    gained = np.diff(counts.hits, axis=0)
    alarms_above = counts.above - counts.hits[:-1]
    alarms = counts.called[1:] - counts.hits[1:]
    beaten = counts.negatives - (alarms_above + alarms) / 2
    return ratio((gained * beaten).sum(axis=0), counts.positives * counts.negatives)


def average_precision(counts: Counts) -> Numbers:
    """Average precision, (resamples,): precision at each level, weighed by the recall it adds.

    Without interpolation, as scikit-learn has it; its level by chance is the prevalence.
    """
    gained = np.diff(counts.hits, axis=0)
    precision = np.divide(
        counts.hits[1:],
        counts.called[1:],
        out=np.zeros_like(gained),
        where=counts.called[1:] > 0,
    )
    return ratio((gained * precision).sum(axis=0), counts.positives)

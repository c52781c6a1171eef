"""How far probabilities are from what is true, for many resamples at once."""

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.measures.figures import ratio

__all__ = ["BINS", "Reliable"]

Numbers = NDArray[np.float64]
Truth = NDArray[np.bool_]

BINS = 10  #: of equal width, from 0 to 1


class Reliable:
    """Probabilities of one finding, (images,), with the truth."""

    def __init__(self, scores: Numbers, truth: Truth) -> None:
        bins = np.minimum((scores * BINS).astype(np.intp), BINS - 1)
        self._order = np.argsort(bins, kind="stable")
        off = (scores - truth)[self._order]
        self._off, self._squared = off[:, None], (off**2)[:, None]
        self._starts = np.unique(np.searchsorted(bins[self._order], np.unique(bins)))

    def measure(self, weights: NDArray[np.uint8] | Numbers) -> tuple[Numbers, Numbers]:
        """Expected calibration error and Brier score, (resamples,); `weights` (images, resamples).

        The error is the mean over bins of the distance between mean probability and observed share,
        weighed by their size (Naeini et al., AAAI 2015); the score is the mean squared difference.
        """
        falling = weights[self._order].astype(np.float64)
        total = falling.sum(axis=0)
        if not len(falling):
            return ratio(total, total), ratio(total, total)
        apart = np.abs(np.add.reduceat(falling * self._off, self._starts, axis=0)).sum(axis=0)
        return ratio(apart, total), ratio((falling * self._squared).sum(axis=0), total)

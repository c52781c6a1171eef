"""Resamples of patients, as weights: the cluster bootstrap.

All images of a patient are drawn or left out together, as they resemble each other; where every
patient has one image this is the plain bootstrap (Efron and Tibshirani, 1993).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["resamples"]

_BLOCK = 2_500_000  #: weights made at a time, so that memory does not grow with the images


def resamples(patients: NDArray[np.intp], count: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Weights in blocks of (images, some resamples), `count` resamples in all.

    `patients` are numbers from 0, one an image, none left out. The same seed gives the same
    resamples, however they are cut into blocks. No patient is drawn more than 255 times: of more
    than 255 patients, that has a probability below 1e-500.
    """
    rng = np.random.default_rng(seed)
    people = int(patients.max()) + 1 if len(patients) else 0
    width = max(1, _BLOCK // max(1, len(patients)))
    for first in range(0, count, width):
        drawn = np.empty((min(width, count - first), people), np.uint8)
        for row in drawn:
            row[:] = np.bincount(rng.integers(0, people, people), minlength=people)
        yield np.ascontiguousarray(drawn.T)[patients]

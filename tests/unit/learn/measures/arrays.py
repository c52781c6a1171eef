"""Short ways to write arrays of scores and truth."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["once", "people", "scores", "truth"]


def scores(*values: float) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def truth(*values: int) -> NDArray[np.bool_]:
    return np.array(values, dtype=np.bool_)


def people(*values: int) -> NDArray[np.intp]:
    return np.array(values, dtype=np.intp)


def once(count: int) -> NDArray[np.float64]:
    """The weights of one resample in which each image is there once."""
    return np.ones((count, 1))

"""Patients dealt into parts, so that every part has its share of each label.

Greedy iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011): the label that
is rarest among those still to be dealt goes first, to the part that lacks it most. A patient's
images stay together.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["deal"]

_EVEN = 1e-9


def deal(
    patients: Sequence[str], truth: NDArray[np.float64], shares: Sequence[float], seed: int
) -> NDArray[np.intp]:
    """The part, from 0, that each image goes to.

    `truth` is (images, labels), NaN where it is not known; `shares` say how much of everything each
    part should get, and are brought to a sum of 1.
    """
    names, whose = np.unique(np.array(patients, dtype=object).astype(str), return_inverse=True)
    sums = np.zeros((len(names), truth.shape[1] + 1))
    np.add.at(sums, whose, np.column_stack([np.nan_to_num(truth), np.ones(len(truth))]))
    wanted = np.array(shares, dtype=float)[:, None] / np.sum(shares) * sums.sum(0)
    order = np.random.default_rng(seed).permutation(len(names))
    dealt = np.full(len(names), -1, dtype=np.intp)
    while (left := order[dealt[order] < 0]).size:
        label = _rarest(sums[left])
        for patient in left[sums[left, label] > 0]:
            part = _neediest(wanted, label)
            dealt[patient] = part
            wanted[part] -= sums[patient]
    return dealt[whose]


def _rarest(sums: NDArray[np.float64]) -> int:
    """The label with the fewest images left; the last column, all images, when no label has any."""
    counts = sums[:, :-1].sum(0)
    there = np.flatnonzero(counts > 0)
    return int(there[counts[there].argmin()]) if there.size else sums.shape[1] - 1


def _neediest(wanted: NDArray[np.float64], label: int) -> int:
    """Where most of a label is wanted; of those where most images are."""
    lacks = wanted[:, label]
    best = np.flatnonzero(lacks >= lacks.max() - _EVEN)
    return int(best[wanted[best, -1].argmax()])

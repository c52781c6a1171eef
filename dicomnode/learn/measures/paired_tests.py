"""Tests of two answers to the same images, and what they are worth when many are made."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.measures.figures import two_sided

__all__ = ["holm", "mcnemar", "mcnemar_by_patient"]


def holm(p: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm, 1979), in the order in which they came."""
    adjusted, least = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        least = max(least, min(1.0, p[index] * (len(p) - rank)))
        adjusted[index] = least
    return adjusted


def mcnemar(only_ours: int, only_theirs: int) -> float:
    """McNemar's test, exact and two-sided: are the two kinds of disagreement as frequent?"""
    total, fewer = only_ours + only_theirs, min(only_ours, only_theirs)
    steps = np.arange(1, fewer + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(total - steps + 1) - np.log(steps))])
    return min(1.0, 2 * float(np.exp(logs - total * math.log(2)).sum()))


def mcnemar_by_patient(
    only_ours: NDArray[np.bool_], only_theirs: NDArray[np.bool_], patients: NDArray[np.intp]
) -> float:
    """The same where patients have several images: the modified test of Obuchowski.

    Yang, Sun and Hardin, Biometrical Journal 52 (2010). With one image each it is McNemar's
    without correction.
    """
    leads = np.bincount(patients, weights=only_ours.astype(float) - only_theirs)
    spread = float((leads**2).sum())
    return 1.0 if spread == 0 else two_sided(float(leads.sum()) / math.sqrt(spread))

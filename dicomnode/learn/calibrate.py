"""Calibration fitted on images that were not trained on, and how far probabilities then are off."""

import numpy as np
from numpy.typing import NDArray

from dicomnode.classify.calibration import probabilities
from dicomnode.classify.card.fitted import Curve
from dicomnode.learn.measures.reliability import Reliable

__all__ = ["brier", "calibration_error", "isotonic", "platt", "temperature"]

Numbers = NDArray[np.float64]
Truth = NDArray[np.bool_]

_COLDEST, _HOTTEST = 0.05, 20.0
_STEPS, _DAMPING = 100, 1e-9  # of Newton's method
_GOLDEN = (5**0.5 - 1) / 2


def temperature(logits: Numbers, truth: Truth) -> float:
    """The number that logits are divided by to make the truth most likely, 0.05 to 20.

    One for all that is given, (images, labels) or (images,). Golden-section search: the negative
    log-likelihood has one minimum.
    """
    low, high = np.log(_COLDEST), np.log(_HOTTEST)
    for _ in range(40):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if _surprise(logits / np.exp(left), truth) <= _surprise(logits / np.exp(right), truth):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 4)


def platt(logits: Numbers, truth: Truth) -> tuple[float, float]:
    """Temperature and offset of one label, (images,), that make the truth most likely.

    The truth is taken as a little uncertain, the more so the fewer cases there are (Platt, 1999),
    so that there is an answer where the network is never wrong. Newton's method; it is convex.
    """
    positives = int(truth.sum())
    sure, unsure = (positives + 1) / (positives + 2), 1 / (len(truth) - positives + 2)
    target = np.where(truth, sure, unsure)
    inputs = np.stack([logits, np.ones_like(logits)], axis=1)
    weights = np.array([0.0, np.log(sure / (1 - sure)) / 2 + np.log(unsure / (1 - unsure)) / 2])
    for _ in range(_STEPS):
        said = probabilities(inputs @ weights)
        slope = inputs.T @ (said - target)
        curve = (inputs * (said * (1 - said))[:, None]).T @ inputs
        step = np.linalg.solve(curve + _DAMPING * np.eye(2), slope)
        weights = weights - step / max(1.0, float(np.abs(step).max()))
    scale = max(float(weights[0]), 1 / _HOTTEST)
    return round(1 / scale, 4), round(float(weights[1]), 4)


def _surprise(logits: Numbers, truth: Truth) -> float:
    """Mean negative log-likelihood."""
    return float(np.logaddexp(0, np.where(truth, -logits, logits)).mean())


def isotonic(raw: Numbers, truth: Truth) -> Curve:
    """The curve nearest to the truth that never falls: pool adjacent violators.

    `raw` are probabilities of one label, (images,).
    """
    levels, where = np.unique(raw.round(4), return_inverse=True)
    blocks: list[tuple[float, float, list[float]]] = []  # sum, count, levels
    for index, level in enumerate(levels):
        here = truth[where == index]
        total, count, members = float(here.sum()), float(len(here)), [float(level)]
        while blocks and blocks[-1][0] * count >= total * blocks[-1][1]:
            before = blocks.pop()
            total, count, members = total + before[0], count + before[1], before[2] + members
        blocks.append((total, count, members))
    points = [
        (level, round(total / count, 4))
        for total, count, members in blocks
        for level in sorted({members[0], members[-1]})
    ]
    return Curve(raw=tuple(x for x, _ in points), calibrated=tuple(y for _, y in points))


def calibration_error(scores: Numbers, truth: Truth) -> float:
    """Expected calibration error of (images,): ten bins of equal width, weighed by their size."""
    return _reliability(scores, truth)[0]


def brier(scores: Numbers, truth: Truth) -> float:
    """Mean squared difference between probabilities and the truth."""
    return _reliability(scores, truth)[1]


def _reliability(scores: Numbers, truth: Truth) -> tuple[float, float]:
    (error,), (score,) = Reliable(scores, truth).measure(np.ones((len(scores), 1)))
    return float(error), float(score)

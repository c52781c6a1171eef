"""Weights rounded to bfloat16 so that the errors of a sum cancel.

Rounding each weight to the nearest number leaves a neuron off by much the same for every image:
inputs after a ReLU are never negative, so errors do not average out. Here each weight goes to that
neighbour which takes back what those before it were off, for average inputs of several images. (The
ideas are those of bias correction, Nagel et al., ICCV 2019, and of adaptive rounding, Nagel et al.,
ICML 2020; nothing is trained.)
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["rounded"]

_OWN = 0.5  #: how much a weight's own error counts beside what it adds to the sums

_Floats = NDArray[np.float32]


def rounded(weights: _Floats, seen: _Floats, positions: int = 1) -> _Floats:
    """Weights (rows, inputs * positions) as numbers of bfloat16, in float32.

    `seen` are (examples, inputs): what comes in on average. The `positions` of a kernel see the
    same of one input.
    """
    nearest, other = _neighbours(weights)
    scaled = seen / np.float32(np.sqrt(len(seen)))
    strength = (scaled * scaled).sum(axis=0)
    off = np.zeros((len(weights), len(seen)), dtype=np.float32)  # of each row, for each example
    result = nearest.copy()
    for index in np.argsort(-strength, kind="stable"):  # the weakest last: what stays is small
        example = np.ascontiguousarray(scaled[:, index])
        own = strength[index] * np.float32(1 + _OWN)
        for at in range(index * positions, (index + 1) * positions):
            before = 2 * (off @ example)
            first, second = weights[:, at] - nearest[:, at], weights[:, at] - other[:, at]
            turned = second * (before + own * second) < first * (before + own * first)
            result[turned, at] = other[turned, at]
            off += np.where(turned, second, first)[:, np.newaxis] * example
    return result


def _neighbours(weights: _Floats) -> tuple[_Floats, _Floats]:
    """The nearest bfloat16 number of each weight, and that on its other side."""
    bits = np.ascontiguousarray(weights, dtype=np.float32).view(np.uint32)
    inner = bits & np.uint32(0xFFFF0000)
    outer = inner + np.uint32(0x10000) * (bits != inner)
    low, high = inner.view(np.float32), outer.view(np.float32)
    up = np.abs(high - weights) < np.abs(weights - low)
    return np.where(up, high, low), np.where(up, low, high)

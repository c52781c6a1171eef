"""From the network's logits to probabilities that hold, by the card.

Temperature scaling divides logits (Guo et al., ICML 2017), Platt scaling also shifts them (Platt,
1999); isotonic regression bends the probability by a curve that never falls (Zadrozny and Elkan,
KDD 2002). None of them puts two frames in the other order.
"""

import numpy as np
from numpy.typing import NDArray

from dicomnode.classify.fitted import Calibration

__all__ = ["answered", "probabilities"]

_DIGITS = 4  #: of an answer: one thread more or less changes none


def probabilities(
    logits: NDArray[np.float64], calibration: Calibration | None = None
) -> NDArray[np.float64]:
    """Logits (..., labels) to probabilities of the same shape, calibrated if the card says how."""
    if calibration is None:
        return _sigmoid(logits)
    if calibration.method != "isotonic":
        shift = np.array(calibration.offsets or (0.0,))
        return _sigmoid(logits / np.array(calibration.temperatures) + shift)
    raw = _sigmoid(logits)
    bent = [
        np.interp(raw[..., index], curve.raw, curve.calibrated)
        for index, curve in enumerate(calibration.curves)
    ]
    return np.stack(bent, axis=-1)


def answered(
    logits: NDArray[np.float64], calibration: Calibration | None = None
) -> NDArray[np.float64]:
    """Probabilities as they are answered: rounded, and never so that one would be certain."""
    surest = 10.0**-_DIGITS
    rounded = probabilities(logits, calibration).round(_DIGITS)
    return np.clip(rounded, surest, 1 - surest)


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without overflow, however certain the network is."""
    half: NDArray[np.float64] = 0.5 * (1 + np.tanh(logits / 2))
    return half

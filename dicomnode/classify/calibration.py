"""From the network's logits to probabilities that hold, by the card.

Temperature scaling divides logits (Guo et al., ICML 2017), Platt scaling also shifts them (Platt,
1999); isotonic regression bends the probability by a curve that never falls (Zadrozny and Elkan,
KDD 2002). Of logits that compete, the first two are temperature and vector scaling (Guo et al.);
classes that were bent are made to sum to 1 again. None puts two frames in the other order, but of
classes, whose probabilities depend on each other.
"""

import numpy as np
from numpy.typing import NDArray

from dicomnode.answers import Form
from dicomnode.classify.card.fitted import Calibration
from dicomnode.classify.card.output import Output

__all__ = ["DIGITS", "answered", "probabilities"]

DIGITS = 4  #: of an answer: one thread more or less changes none
_EACH_FOR_ITSELF = Output()

_Numbers = NDArray[np.float64]


def probabilities(
    logits: _Numbers, calibration: Calibration | None = None, output: Output = _EACH_FOR_ITSELF
) -> _Numbers:
    """Logits (..., numbers) to probabilities (..., labels), calibrated if the card says how.

    Of an ordinal output they are those of each grade or a higher one, and never rise with the
    grade; but of the lowest, its own.
    """
    steps = _steps(_scaled(logits, calibration), output)
    if calibration is not None and calibration.curves:
        steps = _bent(steps, calibration, output)
    if output.form is not Form.GRADES:
        return steps
    falling = np.minimum.accumulate(steps, axis=-1)
    return np.concatenate([1 - falling[..., :1], falling], axis=-1)


def answered(
    logits: _Numbers, calibration: Calibration | None = None, output: Output = _EACH_FOR_ITSELF
) -> _Numbers:
    """Probabilities as they are answered: rounded, and never so that one would be certain."""
    surest = 10.0**-DIGITS
    rounded = probabilities(logits, calibration, output).round(DIGITS)
    return np.clip(rounded, surest, 1 - surest)


def _scaled(logits: _Numbers, calibration: Calibration | None) -> _Numbers:
    if calibration is None or not calibration.temperatures:
        return logits
    offsets = np.array(calibration.offsets or (0.0,))
    scaled: _Numbers = logits / np.array(calibration.temperatures) + offsets
    return scaled


def _steps(logits: _Numbers, output: Output) -> _Numbers:
    """What is held against thresholds: (..., steps)."""
    if not output.softmax:
        return _sigmoid(logits)
    shares: _Numbers = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    if output.form is Form.GRADES:
        shares = np.flip(np.cumsum(np.flip(shares, -1), axis=-1), -1).clip(0, 1)
    competing: _Numbers = shares if output.form is Form.CLASSES else shares[..., 1:]
    return competing


def _bent(steps: _Numbers, calibration: Calibration, output: Output) -> _Numbers:
    bent: _Numbers = np.stack(
        [
            np.interp(steps[..., index], curve.raw, curve.calibrated)
            for index, curve in enumerate(calibration.curves)
        ],
        axis=-1,
    )
    if output.form is not Form.CLASSES:
        return bent
    total = bent.sum(-1, keepdims=True)
    whole: _Numbers = np.where(total > 0, bent / np.where(total > 0, total, 1), steps)
    return whole


def _sigmoid(logits: _Numbers) -> _Numbers:
    """Without overflow, however certain the network is."""
    half: _Numbers = 0.5 * (1 + np.tanh(logits / 2))
    return half

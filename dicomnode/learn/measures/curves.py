"""ROC, precision-recall and calibration of one finding, as points for plots."""

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.measures.cells import GRID, Cell, Measured
from dicomnode.learn.measures.figures import Figure, wilson
from dicomnode.learn.measures.results import Band, Bin, Curves

__all__ = ["draw"]

Numbers = NDArray[np.float64]

_MOST = 240  #: points of a curve; nobody sees more
_GROUPS = 10  #: of the reliability diagram, equally many images in each


def draw(cell: Cell, measured: Measured) -> Curves | None:
    """What to plot; None where the images all have the finding, or none has it."""
    positives = int(cell.truth.sum())
    if positives in (0, len(cell.truth)):
        return None
    counts = cell.plain()
    hits, called, above = (c[:, 0] for c in (counts.hits, counts.called, counts.above))
    negatives = len(cell.truth) - positives
    before = np.stack([(above - hits[:-1]) / negatives, hits[:-1] / positives], axis=1)
    at = np.stack([(called - hits)[1:] / negatives, hits[1:] / positives], axis=1)
    roc = np.stack([before, at], axis=1)  # up to a level, and with those that are at it
    precision = np.divide(hits[1:], called[1:], out=np.ones_like(called[1:]), where=called[1:] > 0)
    recall = hits / positives
    steps = np.stack(
        [np.stack([recall[:-1], precision], 1), np.stack([recall[1:], precision], 1)], axis=1
    )
    return Curves(
        roc=Band(
            curve=np.concatenate([[[0, 0]], _thinned(roc), [[1, 1]]]),
            band=_band(measured.resampled["roc"]),
        ),
        precision_recall=Band(curve=_thinned(steps), band=_band(measured.resampled["pr"])),
        reliability=_reliability(cell),
        mean_probability=float(cell.scores.mean()),
    )


def _thinned(steps: Numbers) -> Numbers:
    """(levels, 2, 2) to (points, 2), evenly chosen, the first and the last among them."""
    kept = np.unique(np.linspace(0, len(steps) - 1, _MOST).round().astype(np.intp))
    points: Numbers = steps[kept].reshape(-1, 2)
    return points


def _band(resampled: Numbers) -> Numbers:
    known = resampled[:, ~np.isnan(resampled).any(axis=0)]
    if known.shape[1] < 2:
        return np.empty((0, 3))
    low, high = np.quantile(known, (0.025, 0.975), axis=1)
    return np.stack([GRID, low, high], axis=1)


def _reliability(cell: Cell) -> tuple[Bin, ...]:
    order = np.argsort(cell.scores, kind="stable")
    made = []
    for rows in np.array_split(order, min(_GROUPS, len(order))):
        share, hits = float(cell.truth[rows].mean()), int(cell.truth[rows].sum())
        low, high = wilson(hits, len(rows))
        true = Figure(value=share, low=low, high=high, method="Wilson")
        made.append(Bin(said=float(cell.scores[rows].mean()), images=len(rows), true=true))
    return tuple(made)

"""What is measured of one finding in one group of images, once and then for every resample."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.measures.points import Chosen, measures_at, reach
from dicomnode.learn.measures.ranked import Counts, Ranked, auroc, average_precision
from dicomnode.learn.measures.reliability import Reliable
from dicomnode.learn.measures.resamples import resamples

__all__ = [
    "GRID",
    "WHOLE",
    "Calls",
    "Cell",
    "Matched",
    "Measurable",
    "Measured",
    "key",
    "measure_all",
]

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]
Truth = NDArray[np.bool_]
Weights = NDArray[np.uint8] | Numbers

#: What is measured of a finding without a threshold.
WHOLE = ("auroc", "average_precision", "ece", "brier")
#: Shares at which curves are drawn with their bands: false positive rate, and recall.
GRID: Numbers = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """Values of one cell, and the same in each resample, by key."""

    values: Mapping[str, Numbers]  #: (1,); curves (places, 1)
    resampled: Mapping[str, Numbers]  #: (resamples,); curves (places, resamples)

    def value(self, of: str) -> float:
        """One value; NaN where it cannot be measured."""
        return float(self.values[of][0])


class Measurable(Protocol):
    """Something that can be measured with any weights of its images."""

    @property
    def rows(self) -> Places:
        """Which of all images belong to it."""

    def measure(self, weights: Weights) -> dict[str, Numbers]:
        """By key, (resamples,); `weights` are (images of `rows`, resamples)."""


def key(point: int, measure: str) -> str:
    """How the measure at one of the points is named among values."""
    return f"{point}:{measure}"


class Calls:
    """One finding called present from thresholds on."""

    def __init__(
        self, rows: Places, scores: Numbers, truth: Truth, points: Sequence[Chosen]
    ) -> None:
        self.rows, self.scores, self.truth, self.points = rows, scores, truth, tuple(points)
        finite = (chosen.threshold for chosen in points if np.isfinite(chosen.threshold))
        self.ranked = Ranked(scores, truth, tuple(finite))

    def measure(self, weights: Weights) -> dict[str, Numbers]:
        """What each point is worth."""
        return self._at_points(self.ranked.counts(weights))

    def _at_points(self, counts: Counts) -> dict[str, Numbers]:
        found = {}
        for index, chosen in enumerate(self.points):
            row = np.full(counts.hits.shape[1], self.ranked.row(chosen.threshold))
            for name, values in measures_at(counts.at(row)).items():
                found[key(index, name)] = values
        return found

    def plain(self) -> Counts:
        """The counts with each image once."""
        return self.ranked.counts(np.ones((len(self.scores), 1)))


class Cell(Calls):
    """One finding in one group, with all that is measured of it; `curves` asks for bands too."""

    def __init__(
        self,
        rows: Places,
        scores: Numbers,
        truth: Truth,
        points: Sequence[Chosen],
        *,
        curves: bool = False,
    ) -> None:
        super().__init__(rows, scores, truth, points)
        self._reliable = Reliable(scores, truth)
        self._curves = curves

    def measure(self, weights: Weights) -> dict[str, Numbers]:
        """What the finding's scores are worth, as a whole and at each point."""
        counts = self.ranked.counts(weights)
        values = auroc(counts), average_precision(counts), *self._reliable.measure(weights)
        whole = dict(zip(WHOLE, values, strict=True))
        curves = {"roc": _roc(counts), "pr": _pr(counts)} if self._curves else {}
        return whole | self._at_points(counts) | curves


class Matched:
    """A model at the specificity that a reader has, resample by resample."""

    def __init__(self, model: Calls, reader: Calls) -> None:
        self.rows = model.rows
        self._model, self._reader = model.ranked, reader

    def measure(self, weights: Weights) -> dict[str, Numbers]:
        """Sensitivity and specificity of the model where its specificity is the reader's."""
        theirs = self._reader.measure(weights)
        counts = self._model.counts(weights)
        wanted = np.nan_to_num(theirs[key(0, "specificity")], nan=1.0)
        ours = measures_at(counts.at(reach(counts, wanted)))
        return {name: ours[name] for name in ("sensitivity", "specificity")}


def measure_all(
    cells: Sequence[Measurable],
    patients: Places,
    count: int,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> list[Measured]:
    """All cells on the same resamples, so that their differences are paired.

    `patients` are numbers from 0, one for each of all images; `step` is called for each
    resample that is done.
    """
    values = [cell.measure(np.ones((len(cell.rows), 1))) for cell in cells]
    parts: list[dict[str, list[Numbers]]] = [{name: [] for name in value} for value in values]
    for weights in resamples(patients, count, seed):
        for cell, of_cell in zip(cells, parts, strict=True):
            for name, numbers in cell.measure(weights[cell.rows]).items():
                of_cell[name].append(numbers)
        for _ in range(weights.shape[1]):
            step()
    return [
        Measured(values=value, resampled={n: _joined(p, value[n]) for n, p in of_cell.items()})
        for value, of_cell in zip(values, parts, strict=True)
    ]


def _joined(parts: list[Numbers], like: Numbers) -> Numbers:
    return np.concatenate(parts, axis=-1) if parts else like[..., :0]


def _roc(counts: Counts) -> Numbers:
    """Sensitivity at each false positive rate of the grid, (places, resamples)."""
    alarms = counts.called - counts.hits
    drawn = np.full((len(GRID), alarms.shape[1]), np.nan)
    for column in np.flatnonzero((counts.positives > 0) & (counts.negatives > 0)):
        allowed = GRID * counts.negatives[column] + 1e-9
        row = np.searchsorted(alarms[:, column], allowed, "right") - 1
        drawn[:, column] = counts.hits[row, column] / counts.positives[column]
    return drawn


def _pr(counts: Counts) -> Numbers:
    """Precision at each recall of the grid, (places, resamples); the first is that of the top."""
    drawn = np.full((len(GRID), counts.hits.shape[1]), np.nan)
    for column in np.flatnonzero(counts.positives > 0):
        hits = counts.hits[:, column]
        least = np.maximum(GRID * counts.positives[column] - 1e-9, 1e-9)
        row = np.searchsorted(hits, least, "left")
        drawn[:, column] = hits[row] / counts.called[row, column]
    return drawn

"""A model beside another model or a reader, on the same images: differences and paired tests."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.measures import delong
from dicomnode.learn.measures.cells import WHOLE, Calls, Cell, Matched, Measurable, Measured, key
from dicomnode.learn.measures.curves import draw
from dicomnode.learn.measures.figures import Figure, Z, figure
from dicomnode.learn.measures.paired_tests import holm, mcnemar, mcnemar_by_patient
from dicomnode.learn.measures.points import AT_POINT, Chosen, Point, choose
from dicomnode.learn.measures.results import MATCHED, Comparison, Difference
from dicomnode.learn.measures.sample import UNKNOWN, Opinion, Sample

__all__ = ["Pairs"]

Numbers = NDArray[np.float64]

_THEIRS = Chosen(
    point=Point(kind="threshold", target=0.5), threshold=0.5
)  # of a reader, who says 0 or 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Both on one finding, on the images of which both spoke."""

    opinion: Opinion
    finding: str
    ours: Cell
    theirs: Calls
    matched: Matched | None  #: beside a reader only

    @property
    def cells(self) -> list[Measurable]:
        return [self.ours, self.theirs, *([self.matched] if self.matched else [])]


class Pairs:
    """All comparisons that a sample asks for."""

    def __init__(self, sample: Sample, points: Sequence[Point]) -> None:
        self._patients = sample.patients
        self._pairs = [
            _pair(sample, opinion, column, points)
            for opinion in sample.others
            for column in range(len(sample.findings))
            if not np.isnan(opinion.scores[:, column]).all()
        ]

    @property
    def cells(self) -> list[Measurable]:
        """What has to be measured, on the same resamples as everything else."""
        return [cell for pair in self._pairs for cell in pair.cells]

    def compared(self, measured: Sequence[Measured]) -> tuple[Comparison, ...]:
        """The comparisons, given what was measured of `cells`; means over findings come last."""
        rest = iter(measured)
        taken = [(pair, [next(rest) for _ in pair.cells]) for pair in self._pairs]
        made = [
            Comparison(
                other=pair.opinion.name,
                binary=pair.opinion.binary,
                finding=pair.finding,
                images=len(pair.ours.rows),
                positives=int(pair.ours.truth.sum()),
                differences=tuple(self._differences(pair, of_pair)),
                curves=draw(pair.theirs, of_pair[1]) if isinstance(pair.theirs, Cell) else None,
            )
            for pair, of_pair in taken
        ]
        return (*_adjusted(made), *_means(taken))

    def _differences(self, pair: _Pair, measured: Sequence[Measured]) -> Iterator[Difference]:
        ours, theirs, *matched = measured
        if not pair.opinion.binary:
            yield self._areas(pair)
            for name in WHOLE[1:]:
                yield _resampled(name, "", (ours, name), (theirs, name))
        for index, chosen in enumerate(pair.ours.points):
            other = 0 if pair.opinion.binary else index
            for name in AT_POINT:
                both = (ours, key(index, name)), (theirs, key(other, name))
                found = _resampled(name, chosen.point.name, *both)
                if name in ("sensitivity", "specificity"):
                    found = self._called(pair, index, other, found)
                yield found
        for of_matched in matched:
            for name in ("sensitivity", "specificity"):
                yield _resampled(name, MATCHED, (of_matched, name), (theirs, key(0, name)))

    def _areas(self, pair: _Pair) -> Difference:
        """The areas by DeLong's test; NaN where there is nothing to tell apart."""
        cell = pair.ours
        test = "DeLong by patient" if self._several(cell) else "DeLong"
        if int(cell.truth.sum()) in (0, len(cell.truth)):
            return Difference(
                measure="auroc", point="", ours=None, theirs=None, p=None, test=test,
                figure=Figure(value=None, why="nothing to tell apart"),
            )  # fmt: skip
        both = np.stack([cell.scores, pair.theirs.scores])
        found = delong.areas(both, cell.truth, self._patients[cell.rows])
        difference, error, p = delong.paired(found)
        shown = Figure(value=difference, why="no interval: too few patients")
        if not math.isnan(error):
            half = Z * error
            shown = Figure(
                value=difference, low=difference - half, high=difference + half, method="DeLong"
            )
        return Difference(
            measure="auroc",
            point="",
            ours=float(found.values[0]),
            theirs=float(found.values[1]),
            figure=shown,
            p=p,
            test=test,
        )

    def _several(self, cell: Calls) -> bool:
        return len(np.unique(self._patients[cell.rows])) < len(cell.rows)

    def _called(self, pair: _Pair, ours: int, theirs: int, found: Difference) -> Difference:
        """McNemar's test on the images with the finding, or on those without."""
        cell, other = pair.ours, pair.theirs
        asked = cell.truth if found.measure == "sensitivity" else ~cell.truth
        right = (cell.scores >= cell.points[ours].threshold) == cell.truth
        right_too = (other.scores >= other.points[theirs].threshold) == cell.truth
        only = ((right & ~right_too)[asked], (right_too & ~right)[asked])
        counts = int(only[0].sum()), int(only[1].sum())
        p, test = mcnemar(*counts), "McNemar, exact"
        patients = self._patients[cell.rows][asked]
        if len(np.unique(patients)) < len(patients):
            p, test = mcnemar_by_patient(*only, patients), "McNemar by patient"
        return replace(found, p=p, test=test, only_ours=counts[0], only_theirs=counts[1])


def _pair(sample: Sample, opinion: Opinion, column: int, points: Sequence[Point]) -> _Pair:
    truth = sample.truth[:, column]
    ours, theirs = sample.scores[:, column], opinion.scores[:, column]
    rows = np.flatnonzero((truth != UNKNOWN) & ~np.isnan(ours) & ~np.isnan(theirs))
    there, finding = truth[rows] == 1, sample.findings[column]
    card, other_card = (of.thresholds.get(finding) for of in (sample, opinion))
    if not opinion.binary:
        shared = [p for p in points if p.kind != "card" or None not in (card, other_card)]
        cell = Cell(rows, ours[rows], there, _chosen(shared, card, ours[rows], there))
        at = _chosen(shared, other_card, theirs[rows], there)
        other = Cell(rows, theirs[rows], there, at, curves=True)
        return _Pair(opinion=opinion, finding=finding, ours=cell, theirs=other, matched=None)
    mine = [p for p in points if p.kind != "card" or card is not None]
    cell = Cell(rows, ours[rows], there, _chosen(mine, card, ours[rows], there))
    reader = Calls(rows, theirs[rows], there, [_THEIRS])
    return _Pair(
        opinion=opinion, finding=finding, ours=cell, theirs=reader, matched=Matched(cell, reader)
    )


def _chosen(
    points: Sequence[Point], card: float | None, scores: Numbers, truth: NDArray[np.bool_]
) -> list[Chosen]:
    return [Chosen(point=p, threshold=choose(p, card, scores, truth)) for p in points]


def _resampled(
    name: str, point: str, ours: tuple[Measured, str], theirs: tuple[Measured, str]
) -> Difference:
    values = [measured.value(of) for measured, of in (ours, theirs)]
    drawn = ours[0].resampled[ours[1]] - theirs[0].resampled[theirs[1]]
    return _difference(name, point, values, drawn)


def _difference(name: str, point: str, values: Sequence[float], drawn: Numbers) -> Difference:
    """A difference by bootstrap, p among it: how often the resamples cross zero, twice."""
    ours, theirs = values
    found = figure(ours - theirs, drawn, "one of the two cannot be measured")
    p = None
    if found.low is not None:
        known = drawn[~np.isnan(drawn)]
        crossed = min(int((known <= 0).sum()), int((known >= 0).sum()))
        p = min(1.0, 2 * (crossed + 1) / (len(known) + 1))
    return Difference(
        measure=name,
        point=point,
        ours=None if math.isnan(ours) else ours,
        theirs=None if math.isnan(theirs) else theirs,
        figure=found,
        p=p,
        test="bootstrap",
    )


def _means(taken: Sequence[tuple[_Pair, Sequence[Measured]]]) -> Iterator[Comparison]:
    """The mean over the findings that can be told apart, model by model."""
    names = dict.fromkeys(pair.opinion.name for pair, _ in taken if not pair.opinion.binary)
    for name in names:
        mine = [
            (pair, measured)
            for pair, measured in taken
            if pair.opinion.name == name and not math.isnan(measured[0].value("auroc"))
        ]
        if len(mine) < 2:
            continue
        differences = []
        for measure in WHOLE:
            values = [float(np.mean([m[i].value(measure) for _, m in mine])) for i in (0, 1)]
            drawn = [np.mean([m[i].resampled[measure] for _, m in mine], axis=0) for i in (0, 1)]
            differences.append(_difference(measure, "", values, drawn[0] - drawn[1]))
        yield Comparison(
            other=name,
            binary=False,
            finding="",
            images=max(len(pair.ours.rows) for pair, _ in mine),
            positives=0,
            differences=tuple(differences),
        )


def _adjusted(made: Sequence[Comparison]) -> list[Comparison]:
    """Each p beside what it is worth when so many findings are tested in the same way."""
    families: dict[tuple[str, str, str], list[tuple[str, float]]] = {}
    for one in made:
        for told in one.differences:
            if told.p is not None:
                family = families.setdefault((one.other, told.measure, told.point), [])
                family.append((one.finding, told.p))
    adjusted = {
        (*name, finding): worth
        for name, family in families.items()
        for (finding, _), worth in zip(family, holm([p for _, p in family]), strict=True)
    }
    return [replace(one, differences=tuple(_with_holm(one, adjusted))) for one in made]


def _with_holm(
    one: Comparison, adjusted: Mapping[tuple[str, str, str, str], float]
) -> Iterator[Difference]:
    for told in one.differences:
        worth = adjusted.get((one.other, told.measure, told.point, one.finding))
        yield replace(told, p_holm=worth)

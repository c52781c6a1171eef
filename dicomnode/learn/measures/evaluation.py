"""All measures of a sample, in all of its groups, each with its interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dicomnode.learn.measures import delong
from dicomnode.learn.measures.cells import WHOLE, Cell, Measured, key, measure_all
from dicomnode.learn.measures.comparison import Pairs
from dicomnode.learn.measures.curves import draw
from dicomnode.learn.measures.figures import Figure, figure, reason, wilson
from dicomnode.learn.measures.points import AT_POINT, Chosen, Point, choose
from dicomnode.learn.measures.results import Evaluation, Line, Mean, Threshold
from dicomnode.learn.measures.sample import UNKNOWN, Group, Sample

__all__ = ["Plan", "evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a sample is evaluated."""

    points: tuple[Point, ...]
    resamples: int = 1000
    seed: int = 0


def evaluate(sample: Sample, plan: Plan, step: Callable[[], None] = lambda: None) -> Evaluation:
    """Measure everything; `step` is called for each resample that is done."""
    everything = Group(variable="", name="", rows=np.arange(len(sample.truth)))
    groups = (everything, *sample.groups)
    places = [(group, column) for group in groups for column in range(len(sample.findings))]
    chosen = [_chosen(sample, plan.points, column) for column in range(len(sample.findings))]
    cells = [_cell(sample, chosen[column], group, column) for group, column in places]
    pairs = Pairs(sample, plan.points)
    measured = measure_all([*cells, *pairs.cells], sample.patients, plan.resamples, plan.seed, step)
    lines = [
        _line(sample, group, column, cell, of_cell)
        for (group, column), cell, of_cell in zip(places, cells, measured, strict=False)
    ]
    width = len(sample.findings)
    of_groups = [measured[at : at + width] for at in range(0, len(cells), width)]
    return Evaluation(
        name=sample.name,
        images=len(sample.truth),
        patients=int(sample.patients.max(initial=-1)) + 1,
        clustered=sample.clustered,
        resamples=plan.resamples,
        seed=plan.seed,
        points=plan.points,
        lines=tuple(lines),
        means=tuple(_mean(g, of_group) for g, of_group in zip(groups, of_groups, strict=True)),
        comparisons=pairs.compared(measured[len(cells) :]),
    )


def _chosen(sample: Sample, points: Sequence[Point], column: int) -> list[Chosen]:
    """Thresholds of a finding, chosen on all images and then held, also in groups."""
    truth, scores = sample.truth[:, column], sample.scores[:, column]
    known = (truth != UNKNOWN) & ~np.isnan(scores)
    card = sample.thresholds.get(sample.findings[column])
    return [
        Chosen(point=point, threshold=choose(point, card, scores[known], truth[known] == 1))
        for point in points
        if point.kind != "card" or card is not None
    ]


def _cell(sample: Sample, points: Sequence[Chosen], group: Group, column: int) -> Cell:
    truth, scores = sample.truth[group.rows, column], sample.scores[group.rows, column]
    known = (truth != UNKNOWN) & ~np.isnan(scores)
    return Cell(
        group.rows[known],
        scores[known],
        truth[known] == 1,
        points,
        curves=not group.variable,
    )


def _line(sample: Sample, group: Group, column: int, cell: Cell, measured: Measured) -> Line:
    positives = int(cell.truth.sum())
    patients = sample.patients[cell.rows]
    why = reason(positives, len(cell.rows))
    area, error = delong.auroc(cell.scores, cell.truth, patients)
    return Line(
        finding=sample.findings[column],
        variable=group.variable,
        group=group.name,
        images=len(cell.rows),
        patients=len(np.unique(patients)),
        positives=positives,
        without=len(group.rows) - len(cell.rows),
        auroc=area,
        auroc_error=error,
        figures={
            name: figure(measured.value(name), measured.resampled[name], why) for name in WHOLE
        },
        points=tuple(_thresholds(cell, measured)),
        curves=None if group.variable else draw(cell, measured),
    )


def _thresholds(cell: Cell, measured: Measured) -> Sequence[Threshold]:
    made = []
    for index, chosen in enumerate(cell.points):
        threshold = chosen.threshold
        called = cell.scores >= threshold
        hits, alarms = int((called & cell.truth).sum()), int((called & ~cell.truth).sum())
        missed = int(cell.truth.sum()) - hits
        silent = len(called) - hits - alarms - missed
        counts = (hits, alarms, missed, silent)
        made.append(
            Threshold(
                point=chosen.point,
                threshold=threshold if np.isfinite(threshold) else None,
                true_positive=hits,
                false_positive=alarms,
                false_negative=missed,
                true_negative=silent,
                figures={n: _share(n, counts, measured, index) for n in AT_POINT},
            )
        )
    return made


def _share(name: str, counts: tuple[int, int, int, int], measured: Measured, at: int) -> Figure:
    """A measure at a threshold: bootstrap, and Wilson's interval where that shows no spread."""
    tp, fp, fn, tn = counts
    shares = {
        "sensitivity": (tp, tp + fn, "no image has it"),
        "specificity": (tn, tn + fp, "every image has it"),
        "ppv": (tp, tp + fp, "nothing is called present"),
        "npv": (tn, tn + fn, "everything is called present"),
        "f1": (2 * tp, 2 * tp + fp + fn, "no image has it, and none is called present"),
    }
    part, whole, why = shares[name]
    found = figure(measured.value(key(at, name)), measured.resampled[key(at, name)], why)
    if found.value is None or found.low is not None or name == "f1":
        return found
    low, high = wilson(part, whole)
    return Figure(value=found.value, low=low, high=high, method="Wilson")


def _mean(group: Group, measured: Sequence[Measured]) -> Mean:
    """The mean over the findings that some images of the group have, and some have not."""
    told = [one for one in measured if not np.isnan(one.value("auroc"))]
    figures = {}
    for name in WHOLE:
        if not told:
            figures[name] = Figure(value=None, why="no finding can be told apart")
            continue
        value = float(np.mean([one.value(name) for one in told]))
        resampled = np.mean([one.resampled[name] for one in told], axis=0)
        figures[name] = figure(value, resampled)
    return Mean(variable=group.variable, group=group.name, findings=len(told), figures=figures)

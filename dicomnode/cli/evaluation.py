"""An evaluation as tables in the terminal, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dicomnode.cli.output import print_table, say
from dicomnode.learn.measures.figures import Figure
from dicomnode.learn.measures.points import AT_POINT
from dicomnode.learn.measures.results import Comparison, Difference, Evaluation, Line
from dicomnode.learn.page.words import MEASURES, percent, plain, probability, share

__all__ = ["as_json", "print_evaluation"]

_WHOLE = ("average_precision", "brier", "ece")


def print_evaluation(evaluation: Evaluation) -> None:
    """What a person asks first: how well each finding is told, and what thresholds are worth."""
    several = "patients" if evaluation.clustered else "images"
    head = f"{evaluation.name}: {evaluation.images} images of {evaluation.patients} patients"
    say(head, "bold", wrap=True)
    for note in evaluation.notes:
        say(f"- {note}", wrap=True)
    whole = [line for line in evaluation.lines if not line.variable]
    _print_whole(evaluation, whole)
    for point in evaluation.points:
        rows = [row for line in whole for row in _at(line, point.name)]
        columns = ["finding", "from", *(f"{MEASURES[name]} %" for name in AT_POINT)]
        print_table(columns, rows, title=f"called present: {point.name}")
    _print_groups(evaluation)
    for other in dict.fromkeys(one.other for one in evaluation.comparisons):
        _print_comparison([one for one in evaluation.comparisons if one.other == other])
    _print_reasons(whole)
    words = f"{evaluation.resamples} resamples of {several}, seed {evaluation.seed}"
    if not evaluation.resamples:
        words = "Wilson's of shares at a threshold, and none of what needs resamples"
    say(f"\n95 % intervals: AUROC by DeLong, else {words}", "italic", wrap=True)


def _print_whole(evaluation: Evaluation, lines: Sequence[Line]) -> None:
    rows = [
        (
            line.finding,
            str(line.positives),
            share(line.prevalence),
            plain(line.auroc),
            *(plain(line.figures[name]) for name in _WHOLE),
        )
        for line in lines
    ]
    if len(rows) > 1:
        mean = evaluation.means[0]
        figures = [plain(mean.figures[name]) for name in ("auroc", *_WHOLE)]
        rows.append((f"mean of {mean.findings}", "", "", *figures))
    heads = [MEASURES[name] for name in ("auroc", *_WHOLE)]
    print_table(["finding", "with it", "prevalence", *heads], rows, title="told apart")


def _at(line: Line, point: str) -> list[tuple[str, ...]]:
    return [
        (
            line.finding,
            "-" if one.threshold is None else f"{one.threshold:.4g}",
            *(percent(one.figures[name]) for name in AT_POINT),
        )
        for one in line.points
        if one.point.name == point
    ]


def _print_groups(evaluation: Evaluation) -> None:
    for variable in dict.fromkeys(one.variable for one in evaluation.lines if one.variable):
        of_it = [line for line in evaluation.lines if line.variable == variable]
        names = list(dict.fromkeys(line.group for line in of_it))
        cell = {(line.finding, line.group): line for line in of_it}
        findings = list(dict.fromkeys(line.finding for line in of_it))
        rows = [(finding, *(_area(cell[finding, name]) for name in names)) for finding in findings]
        means = [mean for mean in evaluation.means if mean.variable == variable]
        if len(findings) > 1:
            told = (f"{plain(mean.figures['auroc'])} of {mean.findings}" for mean in means)
            rows.append(("mean", *told))
        print_table(["finding", *names], rows, title=f"AUROC by {variable} (n with it)")


def _area(line: Line) -> str:
    return f"{plain(line.auroc)} n={line.positives}"


def _print_comparison(made: Sequence[Comparison]) -> None:
    """What decides: areas of another model, and the first point of a reader; the page has all."""
    other, told = made[0].other, made[0].differences
    if made[0].binary:
        first = [one for one in told if one.only_ours is not None][:2]
        matched = [one for one in told if one.measure == "sensitivity"][-1:]
        shown = [(one.measure, one.point) for one in (*matched, *first)]
    else:
        shown = [("auroc", ""), ("average_precision", "")]
    columns = ["finding", "model", other, "difference", "p", "p, Holm", "test"]
    for measure, point in shown:
        rows = [
            _compared(one, difference)
            for one in made
            for difference in one.differences
            if (difference.measure, difference.point) == (measure, point)
        ]
        at = f" at {point}" if point else ""
        print_table(columns, rows, title=f"{MEASURES[measure]}{at}, beside {other}")


def _compared(one: Comparison, difference: Difference) -> tuple[str, ...]:
    ours, theirs = (
        "-" if value is None else f"{value:.3f}" for value in (difference.ours, difference.theirs)
    )
    return (
        one.finding or "mean",
        ours,
        theirs,
        plain(difference.figure, sign=True),
        probability(difference.p),
        probability(difference.p_holm) if one.finding else "",
        difference.test,
    )


def _print_reasons(lines: Sequence[Line]) -> None:
    """Why a figure of the tables, or its interval, is missing."""
    said: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        figures = [("auroc", line.auroc), *((name, line.figures[name]) for name in _WHOLE)]
        figures += [(f"{n}, {p.point.name}", f) for p in line.points for n, f in p.figures.items()]
        for name, figure in figures:
            if figure.why:
                said.setdefault((line.finding, figure.why), []).append(MEASURES.get(name, name))
    for (finding, why), names in said.items():
        say(f"- {finding}: {why} ({'; '.join(names)})", wrap=True)


# --- JSON -----------------------------------------------------------------------------------


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The whole evaluation, curves left out; keys are those of `learn/measures/results.py`."""
    plain_facts = {
        name: getattr(evaluation, name)
        for name in ("name", "images", "patients", "clustered", "resamples", "seed")
    }
    return plain_facts | {
        "notes": list(evaluation.notes),
        "lines": [_line(line) for line in evaluation.lines],
        "means": [asdict(mean) for mean in evaluation.means],
        "comparisons": [_comparison(one) for one in evaluation.comparisons],
    }


def _line(line: Line) -> dict[str, Any]:
    names = ("finding", "variable", "group", "images", "patients", "positives", "without")
    return {name: getattr(line, name) for name in names} | {
        "prevalence": line.prevalence,
        "auroc": _figure(line.auroc) | {"standard_error": line.auroc_error},
        "auroc_bootstrap": _figure(line.figures["auroc"]),
        **{name: _figure(line.figures[name]) for name in _WHOLE},
        "points": [asdict(one) | {"point": one.point.name} for one in line.points],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return asdict(figure)


def _comparison(one: Comparison) -> dict[str, Any]:
    names = ("other", "binary", "finding", "images", "positives")
    return {name: getattr(one, name) for name in names} | {
        "differences": [asdict(difference) for difference in one.differences]
    }

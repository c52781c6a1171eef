"""The whole page, from the outcome down to how to read it."""

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dicomnode.learn.measures.reliability import BINS
from dicomnode.learn.measures.results import MATCHED, Comparison, Evaluation, Line
from dicomnode.learn.page import plots, tables
from dicomnode.learn.page.words import MEASURES

__all__ = ["page"]

_STYLE = Path(__file__).with_name("style.css")


def page(evaluation: Evaluation, facts: Mapping[str, str]) -> str:
    """One HTML document; `facts` are told at its top. All words are escaped."""
    whole = [line for line in evaluation.lines if not line.variable]
    parts = [
        _head(evaluation, facts),
        tables.findings(whole, evaluation.means[0]),
        *_comparisons(evaluation),
        *(_finding(evaluation, line) for line in whole),
        _reading(evaluation),
    ]
    title = html.escape(f"Evaluation of {evaluation.name}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{_STYLE.read_text('utf-8')}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _head(evaluation: Evaluation, facts: Mapping[str, str]) -> str:
    told = {
        "images": f"{evaluation.images:,}",
        "patients": f"{evaluation.patients:,}",
        **facts,
        "bootstrap": f"{evaluation.resamples:,} resamples of "
        f"{'patients' if evaluation.clustered else 'images'}, seed {evaluation.seed}",
    }
    facts_told = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in told.items()
    )
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in evaluation.notes)
    return (
        f"<h1>Evaluation of {html.escape(evaluation.name)}</h1>"
        '<p class="quiet">What a model said, beside the truth. Research and quality assurance; '
        "no clearance for clinical use follows from it.</p>"
        f'<dl class="facts">{facts_told}</dl>'
        + (f'<div class="notes"><ul>{notes}</ul></div>' if notes else "")
        + "<h2>Findings</h2>"
    )


def _comparisons(evaluation: Evaluation) -> Iterator[str]:
    for other in dict.fromkeys(one.other for one in evaluation.comparisons):
        made = [one for one in evaluation.comparisons if one.other == other]
        yield f"<h2>Beside {html.escape(other)}</h2>"
        if made[0].binary:
            yield from _beside_reader(evaluation.name, made)
        else:
            yield from _beside_model(evaluation.name, made)


def _beside_model(ours: str, made: Sequence[Comparison]) -> Iterator[str]:
    tests = {one.test for c in made for one in c.differences if one.measure == "auroc"}
    test = min(tests - {"bootstrap"}, default="DeLong")
    yield "<h3>AUROC</h3>"
    yield f"<p class='quiet'>p of each finding by {test}, of the mean by bootstrap</p>"
    yield tables.differences(ours, made, "auroc", "")
    for measure in ("average_precision", "brier", "ece"):
        lower = "" if measure == "average_precision" else "; lower is better"
        yield f"<details><summary>{MEASURES[measure]}{lower}</summary>"
        yield f"{tables.differences(ours, made, measure, '')}</details>"
    yield from _at_points(ours, made)


def _beside_reader(ours: str, made: Sequence[Comparison]) -> Iterator[str]:
    yield (
        f"<h3>Sensitivity at {MATCHED}</h3>"
        "<p class='quiet'>the model's threshold is moved to where its specificity is at least the "
        "reader's; p by bootstrap</p>"
    )
    yield tables.differences(ours, made, "sensitivity", MATCHED)
    yield from _at_points(ours, made)


def _at_points(ours: str, made: Sequence[Comparison]) -> Iterator[str]:
    names = dict.fromkeys(
        difference.point
        for one in made
        for difference in one.differences
        if difference.only_ours is not None
    )
    for name in names:
        yield f"<details><summary>at {html.escape(name)}</summary>"
        for measure in ("sensitivity", "specificity"):
            yield f"<h3>{MEASURES[measure]}</h3>"
            yield tables.differences(ours, made, measure, name, discordant=True)
        yield "</details>"


def _finding(evaluation: Evaluation, line: Line) -> str:
    of_groups = [one for one in evaluation.lines if one.finding == line.finding and one.variable]
    others = [one for one in evaluation.comparisons if one.finding == line.finding]
    without = f"; {line.without:,} left out, truth or answer unknown" if line.without else ""
    parts = [
        f'<h2 id="{tables.anchor(line.finding)}">{html.escape(line.finding)}</h2>'
        f'<p class="quiet">{line.positives:,} of {line.images:,} images have it, of '
        f"{line.patients:,} patients{without}</p>",
        plots.legend(evaluation.name, others),
    ]
    if line.curves is not None:
        parts.append(
            '<div class="plots">'
            + plots.roc(line, line.curves, others)
            + plots.precision_recall(line, line.curves, others)
            + plots.calibration(line, line.curves)
            + plots.confusion(line.points)
            + "</div>"
        )
    else:
        parts.append(f'<p class="warn">No plots: {html.escape(line.auroc.why)}.</p>')
    parts.append(tables.operating(line.points))
    if of_groups:
        parts.append(tables.groups([line, *of_groups]))
    return "\n".join(parts)


def _reading(evaluation: Evaluation) -> str:
    delong = (
        "DeLong's variance summed by patient (Obuchowski, 1997), on the logit scale"
        if evaluation.clustered
        else "DeLong's method (1988), on the logit scale"
    )
    drawn = "patients" if evaluation.clustered else "images"
    told = (
        f"Intervals are of 95 %. AUROC: {delong}; its mean over findings, and everything else: "
        f"percentiles of {evaluation.resamples:,} resamples of {drawn}. "
        "<sup>w</sup>: Wilson's interval, where all resamples agree.",
        "PPV, NPV, F1 and average precision depend on how frequent a finding is among these "
        "images (prevalence); where it is rarer, PPV is lower.",
        "Youden: the threshold with the highest sum of sensitivity and specificity. Sensitivity "
        "or specificity of at least a number: the threshold that reaches it and costs least of the "
        "other. Such thresholds are chosen on all of these images, and then held: in groups "
        "and in resamples.",
        f"Calibration error: mean distance between probability and observed share over {BINS} bins "
        "of equal width, weighed by size. It is never below 0, so resamples push it up. Plots of "
        "calibration show ten groups of equally many images, with Wilson's intervals.",
        "Bands around curves are pointwise. McNemar's test is exact where each patient has one "
        "image, else summed by patient (Yang, 2010). p, Holm: adjusted for the number of findings.",
    )
    return "<h2>How to read this</h2>" + "".join(f"<p>{words}</p>" for words in told)

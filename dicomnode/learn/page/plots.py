"""The plots of one finding: ROC, precision and recall, calibration, and confusion."""

import html
from collections.abc import Iterable, Sequence

import numpy as np

from dicomnode.learn.measures.results import Comparison, Curves, Line, Threshold
from dicomnode.learn.page.svg import Frame, nice
from dicomnode.learn.page.words import plain, share

__all__ = ["calibration", "confusion", "legend", "precision_recall", "roc"]

_SIGNS = "123456789"
_READERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def roc(line: Line, curves: Curves, others: Sequence[Comparison]) -> str:
    """Sensitivity against false positive rate, with the operating points on it."""
    frame = Frame(title=f"ROC curve of {line.finding}", across="1 - specificity", up="sensitivity")
    chance = frame.line(np.array([[0.0, 0.0], [1.0, 1.0]]), "chance")
    marks = [
        frame.mark(1 - specificity, sensitivity, sign, "mark", one.point.name)
        for sign, one in zip(_SIGNS, line.points, strict=False)
        if (specificity := one.figures["specificity"].value) is not None
        and (sensitivity := one.figures["sensitivity"].value) is not None
    ]
    drawn = frame.drawn(
        chance,
        frame.band(curves.roc.band),
        *(frame.line(one.curves.roc.curve, "other") for one in others if one.curves),
        frame.line(curves.roc.curve, "model"),
        *marks,
        *_readers(frame, others),
    )
    resampled = line.figures["auroc"]
    aside = f"AUROC {plain(line.auroc)} by DeLong"
    if resampled.low is not None and resampled.high is not None:
        aside += f", {resampled.low:.3f}\N{EN DASH}{resampled.high:.3f} by bootstrap"
    return _figure("ROC", aside, drawn)


def _readers(frame: Frame, others: Sequence[Comparison]) -> Iterable[str]:
    for sign, one in zip(_READERS, (o for o in others if o.binary), strict=False):
        told = {d.measure: d.theirs for d in one.differences if d.point and d.theirs is not None}
        if "sensitivity" in told and "specificity" in told:
            x, y = 1 - told["specificity"], told["sensitivity"]
            yield frame.mark(x, y, sign, "reader", one.other)


def precision_recall(line: Line, curves: Curves, others: Sequence[Comparison]) -> str:
    """Precision against recall; the level of chance is the prevalence."""
    frame = Frame(
        title=f"Precision and recall of {line.finding}", across="recall (sensitivity)",
        up="precision (PPV)",
    )  # fmt: skip
    level = line.prevalence or 0.0
    marks = [
        frame.mark(recall, precision, sign, "mark", one.point.name)
        for sign, one in zip(_SIGNS, line.points, strict=False)
        if (precision := one.figures["ppv"].value) is not None
        and (recall := one.figures["sensitivity"].value) is not None
    ]
    drawn = frame.drawn(
        frame.line(np.array([[0.0, level], [1.0, level]]), "chance"),
        frame.band(curves.precision_recall.band),
        *(frame.line(one.curves.precision_recall.curve, "other") for one in others if one.curves),
        frame.line(curves.precision_recall.curve, "model"),
        *marks,
    )
    aside = f"average precision {plain(line.figures['average_precision'])}; dashed: prevalence"
    return _figure("Precision and recall", aside, drawn)


def calibration(line: Line, curves: Curves) -> str:
    """Observed shares against probabilities, in groups of equally many images."""
    bins = curves.reliability
    most = nice(max(max(one.said, one.true.high or 0.0) for one in bins))
    frame = Frame(
        title=f"Calibration of {line.finding}", across="mean probability", up="observed share",
        most=most,
    )  # fmt: skip
    drawn = frame.drawn(
        frame.line(np.array([[0.0, 0.0], [most, most]]), "chance"),
        frame.line(np.array([[one.said, one.true.value or 0.0] for one in bins]), "thin"),
        *(
            frame.whisker(
                one.said, one.true.low or 0.0, one.true.high or 0.0, one.true.value or 0.0,
                f"{one.images} images: said {share(one.said)}, have it {share(one.true.value)}",
            )
            for one in bins
        ),
    )  # fmt: skip
    aside = (
        f"error {plain(line.figures['ece'])}, Brier {plain(line.figures['brier'])}; "
        f"mean probability {share(curves.mean_probability)}, have it {share(line.prevalence)}"
    )
    return _figure("Calibration", aside, drawn)


def confusion(points: Sequence[Threshold]) -> str:
    """The four counts at each operating point, darker where more of the row is."""
    drawn = "".join(_matrix(sign, one) for sign, one in zip(_SIGNS, points, strict=False))
    aside = "images; shades are shares of the row"
    return _figure("Confusion", aside, f'<div class="matrices">{drawn}</div>', "full")


def _matrix(sign: str, one: Threshold) -> str:
    rows = (
        ("has it", one.true_positive, one.false_negative),
        ("has not", one.false_positive, one.true_negative),
    )
    lines = []
    for name, present, absent in rows:
        total = max(1, present + absent)
        cells = "".join(
            f'<td style="--share:{count / total:.3f}">{count:,}</td>' for count in (present, absent)
        )
        lines.append(f"<tr><th>{name}</th>{cells}</tr>")
    name = html.escape(one.point.name)
    return (
        f'<table class="matrix"><caption><b class="sign">{sign}</b> {name}</caption>'
        f"<tr><th></th><th>present</th><th>absent</th></tr>{''.join(lines)}</table>"
    )


def legend(name: str, others: Sequence[Comparison]) -> str:
    """Who is drawn how; empty where the model is alone."""
    if not others:
        return ""
    parts = [f'<span><i class="key-model"></i>{html.escape(name)}</span>']
    if any(one.curves for one in others):
        names = ", ".join(html.escape(one.other) for one in others if one.curves)
        parts.append(f'<span><i class="key-other"></i>{names}</span>')
    for sign, one in zip(_READERS, (o for o in others if o.binary), strict=False):
        parts.append(f'<span><b class="sign reader">{sign}</b>{html.escape(one.other)}</span>')
    return f'<p class="legend">{"".join(parts)}</p>'


def _figure(heading: str, aside: str, drawn: str, kind: str = "plot") -> str:
    words = f"<figcaption><h3>{heading}</h3><p>{html.escape(aside)}</p></figcaption>"
    return f'<figure class="{kind}">{words}{drawn}</figure>'

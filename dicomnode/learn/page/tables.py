"""The tables of the page: findings, operating points, groups, and differences."""

import html
from collections.abc import Iterable, Sequence

from dicomnode.learn.measures.figures import Figure
from dicomnode.learn.measures.points import AT_POINT
from dicomnode.learn.measures.results import Comparison, Difference, Line, Mean, Threshold
from dicomnode.learn.page.svg import forest
from dicomnode.learn.page.words import MEASURES, percent, plain, probability, share

__all__ = ["anchor", "differences", "findings", "groups", "operating", "scale"]

_WHOLE = ("average_precision", "brier", "ece")


def anchor(finding: str) -> str:
    """The name of a finding's section, for links."""
    return "finding-" + "".join(c if c.isalnum() else "-" for c in finding)


def scale(figures: Iterable[Figure]) -> tuple[float, float]:
    """What a forest plot of areas reaches over: 0.5 to 1, and lower where one is."""
    lows = [f.low if f.low is not None else f.value for f in figures if f.value is not None]
    lowest = min((low for low in lows if low is not None), default=0.5)
    return (min(0.5, int(lowest * 10) / 10), 1.0)


def findings(lines: Sequence[Line], mean: Mean) -> str:
    """One line a finding, and their mean."""
    reach, notes = scale(line.auroc for line in lines), _Footnotes()
    head = ["finding", "AUROC", _between(reach), "have it", "prevalence"]
    head += [MEASURES[name] for name in _WHOLE]
    rows = [
        _row(
            f'<th><a href="#{anchor(line.finding)}">{html.escape(line.finding)}</a></th>',
            *notes.area(line.auroc, reach),
            _cell(f"{line.positives:,}"),
            _cell(share(line.prevalence)),
            *(notes.figure(line.figures[name]) for name in _WHOLE),
        )
        for line in lines
    ]
    if len(lines) > 1:
        cells = [
            f"<th>mean of {mean.findings}</th>",
            *notes.area(mean.figures["auroc"], reach),
            "<td></td><td></td>",
            *(notes.figure(mean.figures[name]) for name in _WHOLE),
        ]
        rows.append(_row(*cells, kind="total"))
    return _table(head, rows, notes)


def operating(points: Sequence[Threshold]) -> str:
    """One line an operating point."""
    notes = _Footnotes()
    head = ["operating point", "threshold", *(f"{MEASURES[name]} %" for name in AT_POINT)]
    rows = [
        _row(
            f'<th><b class="sign">{sign}</b>{html.escape(one.point.name)}</th>',
            _cell("none" if one.threshold is None else f"{one.threshold:.4g}"),
            *(notes.figure(one.figures[name], percentage=True) for name in AT_POINT),
        )
        for sign, one in enumerate(points, start=1)
    ]
    return _table(head, rows, notes)


def groups(lines: Sequence[Line]) -> str:
    """One line a group of images, those of one property together."""
    reach, notes = scale(line.auroc for line in lines), _Footnotes()
    first = [(point.point.name, at) for at, point in enumerate(lines[0].points[:1])]
    head = ["", "AUROC", _between(reach), "images", "have it", "prevalence"]
    head += [MEASURES["average_precision"], MEASURES["ece"]]
    head += [
        f"{MEASURES[m]} %, {name}" for name, _ in first for m in ("sensitivity", "specificity")
    ]
    rows, variable = [], ""
    for line in lines:
        if line.variable != variable:
            variable = line.variable
            name = html.escape(variable)
            rows.append(f'<tr class="head"><th colspan="{len(head)}">{name}</th></tr>')
        rows.append(
            _row(
                f"<th>{html.escape(line.group) or 'all images'}</th>",
                *notes.area(line.auroc, reach),
                _cell(f"{line.images:,}"),
                _cell(f"{line.positives:,}"),
                _cell(share(line.prevalence)),
                notes.figure(line.figures["average_precision"]),
                notes.figure(line.figures["ece"]),
                *(
                    notes.figure(line.points[at].figures[m], percentage=True)
                    for _, at in first
                    for m in ("sensitivity", "specificity")
                ),
            )
        )
    return _table(head, rows, notes)


def differences(
    ours: str, made: Sequence[Comparison], measure: str, point: str, *, discordant: bool = False
) -> str:
    """One line a finding: both values, their difference, and p."""
    told = [
        (one, difference)
        for one in made
        for difference in one.differences
        if (difference.measure, difference.point) == (measure, point)
    ]
    if not told:
        return ""
    reach, notes = _reach([difference for _, difference in told]), _Footnotes()
    head = ["finding", "difference", _between(reach), ours, made[0].other, "p", "p, Holm"]
    head += [*(["only one is right"] if discordant else []), "images", "have it"]
    rows = [
        _row(
            f"<th>{html.escape(one.finding) or 'mean'}</th>",
            notes.figure(difference.figure, sign=True),
            _drawn(difference.figure, reach, 0.0),
            _cell(_number(difference.ours)),
            _cell(_number(difference.theirs)),
            f'<td title="{html.escape(difference.test)}">{probability(difference.p)}</td>',
            _cell(probability(difference.p_holm) if one.finding else ""),
            *([_cell(f"{difference.only_ours} : {difference.only_theirs}")] if discordant else []),
            _cell(f"{one.images:,}"),
            _cell(f"{one.positives:,}" if one.finding else ""),
            kind="" if one.finding else "total",
        )
        for one, difference in told
    ]
    return _table(head, rows, notes)


def _reach(told: Sequence[Difference]) -> tuple[float, float]:
    edges = [
        abs(edge)
        for difference in told
        for edge in (difference.figure.value, difference.figure.low, difference.figure.high)
        if edge is not None
    ]
    most = max(0.02, *edges) if edges else 0.02
    return -most, most


# --- cells ----------------------------------------------------------------------------------


def _between(reach: tuple[float, float]) -> str:
    return f"{reach[0]:.2g} to {reach[1]:.2g}"


def _table(head: Sequence[str], rows: Sequence[str], notes: "_Footnotes") -> str:
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    return (
        f'<div class="wide"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{notes.below()}"
    )


def _row(*cells: str, kind: str = "") -> str:
    return f'<tr class="{kind}">{"".join(cells)}</tr>' if kind else f"<tr>{''.join(cells)}</tr>"


def _cell(words: str) -> str:
    return f"<td>{html.escape(words)}</td>"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


class _Footnotes:
    """Why values or intervals are missing in one table, each reason said once below it."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def figure(self, figure: Figure, *, percentage: bool = False, sign: bool = False) -> str:
        """A cell with a value and its interval."""
        words = percent(figure) if percentage else plain(figure, sign=sign)
        mark = "w" if figure.method == "Wilson" else ""
        if figure.why:
            mark = str(self._numbers.setdefault(figure.why, len(self._numbers) + 1))
        title = f' title="{html.escape(figure.why)}"' if figure.why else ""
        sup = f"<sup>{mark}</sup>" if mark else ""
        return f"<td{title}>{html.escape(words)}{sup}</td>"

    def area(self, figure: Figure, reach: tuple[float, float]) -> tuple[str, str]:
        """Two cells: an area in numbers, and drawn."""
        return self.figure(figure), _drawn(figure, reach, 0.5)

    def below(self) -> str:
        """The reasons."""
        said = (f"<sup>{number}</sup> {html.escape(why)}" for why, number in self._numbers.items())
        return f'<p class="why">{"; ".join(said)}</p>' if self._numbers else ""


def _drawn(figure: Figure, reach: tuple[float, float], rule: float) -> str:
    known = figure.low is not None and figure.high is not None
    interval = (figure.low or 0.0, figure.high or 0.0) if known else None
    return f'<td class="draw">{forest(figure.value, interval, reach, rule)}</td>'

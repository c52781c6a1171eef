"""Plots as numbers: where bars, lines and marks stand in an SVG that a template draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dicomnode.logbook.standing import Sample
from dicomnode.worklist.overview import Hour

__all__ = ["HEIGHT", "WIDTH", "Bar", "Bars", "Lines", "Mark", "by_hour", "of_machine"]

WIDTH = 600  #: of a plot, in its own units
HEIGHT = 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 26
_GAP_S = 180  #: a line is broken where there is no sample for so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A word beside an axis, with its line."""

    at: float  #: pixels from the left, or from the top
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle; in pixels."""

    kind: str  #: its class
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars over hours."""

    bars: list[Bar]
    up: list[Mark]
    across: list[tuple[float, datetime]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Lines over minutes; each of several pieces, each a list of points as SVG wants them."""

    lines: dict[str, list[str]]
    up: list[Mark]
    across: list[tuple[float, datetime]]


def by_hour(hours: Sequence[Hour]) -> Bars:
    """What came in as one bar, what was done beside it, trouble on top of that."""
    most = _round(max((max(h.received, h.delivered + h.troubled) for h in hours), default=0))
    slot = (WIDTH - _LEFT - _RIGHT) / max(1, len(hours))
    bars = []
    for number, hour in enumerate(hours):
        x = _LEFT + slot * number
        bars.append(_bar("received", x + slot * 0.12, slot * 0.36, 0, hour.received, most))
        bars.append(_bar("delivered", x + slot * 0.52, slot * 0.36, 0, hour.delivered, most))
        end = hour.delivered + hour.troubled
        bars.append(_bar("troubled", x + slot * 0.52, slot * 0.36, hour.delivered, end, most))
    across = [
        (_LEFT + slot * number, hour.at) for number, hour in enumerate(hours) if number % 6 == 0
    ]
    return Bars(bars=[bar for bar in bars if bar.height], up=_levels(most), across=across)


def of_machine(samples: Sequence[Sample]) -> Lines:
    """Shares of CPU and GPU that were busy, from 0 to 100 %."""
    first, last = samples[0].at, samples[-1].at
    span = max(60.0, (last - first).total_seconds())

    def x(at: datetime) -> float:
        return _LEFT + (at - first).total_seconds() / span * (WIDTH - _LEFT - _RIGHT)

    lines: dict[str, list[str]] = {}
    for name in ("cpu", "gpu"):
        points = [
            (each.at, value) for each in samples if (value := getattr(each, name)) is not None
        ]
        if points:
            lines[name] = _pieces([(at, x(at), _y(min(1.0, share), 1)) for at, share in points])
    step = max(1, len(samples) // 4)
    across = [(x(each.at), each.at) for each in samples[::step]][:4]
    up = [Mark(at=_y(share, 1), words=f"{share:.0%}") for share in (0, 0.5, 1)]
    return Lines(lines=lines, up=up, across=across)


def _pieces(points: Sequence[tuple[datetime, float, float]]) -> list[str]:
    pieces: list[list[str]] = []
    before = None
    for at, x, y in points:
        if before is None or (at - before).total_seconds() > _GAP_S:
            pieces.append([])
        pieces[-1].append(f"{x:.1f},{y:.1f}")
        before = at
    return [" ".join(piece) for piece in pieces]


def _bar(kind: str, x: float, width: float, low: float, high: float, most: float) -> Bar:
    top = _y(high, most)
    return Bar(kind=kind, x=x, y=top, width=width, height=_y(low, most) - top)


def _y(value: float, most: float) -> float:
    return HEIGHT - _BOTTOM - value / most * (HEIGHT - _TOP - _BOTTOM)


def _levels(most: float) -> list[Mark]:
    return [Mark(at=_y(part, most), words=f"{part:g}") for part in (0, most / 2, most)]


def _round(most: float) -> int:
    """An even, round end for an axis that has to reach so far."""
    size = 1
    while True:
        for part in (2, 4, 6, 10):
            if part * size >= most:
                return part * size
        size *= 10

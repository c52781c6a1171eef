"""Frames, axes and marks of plots, as SVG that takes its colours from the page."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "forest", "nice"]

Numbers = NDArray[np.float64]

_SIZE = 340  #: of a plot, both ways
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 12, 46
_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)


def nice(most: float) -> float:
    """A round end for an axis from 0 that has to reach so far."""
    ends = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
    return next((end for end in ends if most <= end), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A square plot with both axes from 0 to the same end."""

    title: str  #: for who cannot see it
    across: str  #: label of the x axis
    up: str
    most: float = 1.0

    def x(self, value: float) -> float:
        """Where a value is from the left."""
        return _LEFT + value / self.most * (_SIZE - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Where a value is from the top."""
        return _SIZE - _BOTTOM - value / self.most * (_SIZE - _TOP - _BOTTOM)

    def drawn(self, *marks: str) -> str:
        """The whole plot with what is in it."""
        title = html.escape(self.title)
        return (
            f'<svg viewBox="0 0 {_SIZE} {_SIZE}" role="img" aria-label="{title}">'
            f"<title>{title}</title>{self._axes()}{''.join(marks)}</svg>"
        )

    def line(self, points: Numbers, kind: str) -> str:
        """A curve through (points, 2); `kind` is its class."""
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in _without_repeats(points))
        return f'<polyline class="{kind}" points="{path}"/>'

    def band(self, band: Numbers, kind: str = "band") -> str:
        """An area between low and high of (places, 3)."""
        edge = [(x, low) for x, low, _ in band] + [(x, high) for x, _, high in band[::-1]]
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in edge)
        return f'<polygon class="{kind}" points="{path}"/>' if edge else ""

    def mark(self, x: float, y: float, text: str, kind: str, hint: str) -> str:
        """A disc with a sign in it, and words for who points at it."""
        at = f'cx="{self.x(x):.1f}" cy="{self.y(y):.1f}"'
        sign = (
            f'<text x="{self.x(x):.1f}" y="{self.y(y) + 3.4:.1f}">{html.escape(text)}</text>'
            if text
            else ""
        )
        return f'<g class="{kind}"><title>{html.escape(hint)}</title><circle {at} r="7"/>{sign}</g>'

    def whisker(self, x: float, low: float, high: float, value: float, hint: str) -> str:
        """A value with its interval, upright."""
        at = f"{self.x(x):.1f}"
        return (
            f'<g class="whisker"><title>{html.escape(hint)}</title>'
            f'<line x1="{at}" x2="{at}" y1="{self.y(low):.1f}" y2="{self.y(high):.1f}"/>'
            f'<circle cx="{at}" cy="{self.y(value):.1f}" r="3.5"/></g>'
        )

    def _axes(self) -> str:
        step = next(s for s in _STEPS if self.most / s <= 5.01)
        values = [step * n for n in range(round(self.most / step) + 1)]
        left, right, bottom, top = self.x(0), self.x(self.most), self.y(0), self.y(self.most)
        parts = []
        for value in values:
            x, y, words = self.x(value), self.y(value), f"{value:g}"
            parts.append(
                f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
                f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{words}'
                f'</text><text class="tick" x="{left - 7}" y="{y + 4:.1f}" '
                f'text-anchor="end">{words}</text>'
            )
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        parts.append(
            f'<text class="axis" x="{middle_x}" y="{_SIZE - 8}" text-anchor="middle">'
            f"{html.escape(self.across)}</text>"
            f'<text class="axis" transform="translate(13 {middle_y}) rotate(-90)" '
            f'text-anchor="middle">{html.escape(self.up)}</text>'
        )
        return "".join(parts)


def _without_repeats(points: Numbers) -> Numbers:
    """Points of a step that is not there are not drawn."""
    if len(points) < 2:
        return points
    kept: Numbers = points[np.append(True, np.abs(np.diff(points, axis=0)).sum(axis=1) > 0)]
    return kept


_WIDE, _HIGH = 150, 16


def forest(
    value: float | None,
    interval: tuple[float, float] | None,
    scale: tuple[float, float],
    rule: float,
) -> str:
    """One row of a forest plot: a value with its interval, and a rule where nothing is told."""
    low, high = scale

    def x(number: float) -> float:
        inside = min(max(number, low), high)
        return 4 + (inside - low) / (high - low) * (_WIDE - 8)

    parts = [f'<line class="rule" x1="{x(rule):.1f}" x2="{x(rule):.1f}" y1="0" y2="{_HIGH}"/>']
    if interval is not None:
        ends: Sequence[float] = [x(edge) for edge in interval]
        parts.append(
            f'<line class="span" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="8" y2="8"/>'
            + "".join(
                f'<line class="span" x1="{e:.1f}" x2="{e:.1f}" y1="5" y2="11"/>' for e in ends
            )
        )
    if value is not None:
        parts.append(f'<circle cx="{x(value):.1f}" cy="8" r="3.6"/>')
    return (
        f'<svg class="forest" viewBox="0 0 {_WIDE} {_HIGH}" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )

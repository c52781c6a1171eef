"""Heat map to regions: the lines along which the heat falls below a share of its maximum.

A region is what is hot and touches edge to edge; holes in it count as part of it. Its outline runs
between pixels, where the heat, drawn straight from centre to centre, crosses the level.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dicomnode.answers import Region
from dicomnode.classify.samples.preprocess import Placement

__all__ = ["MAX_REGIONS", "regions"]

MAX_REGIONS = 5
_MIN_AREA = 0.002  #: of the frame; smaller regions are specks
_TOLERANCE = 0.25  #: in pixels of the network's square: an outline's points may be left out for it

Points = NDArray[np.float64]  #: (points, 2): column, row
Edge = tuple[int, int, int]  #: column and row of the corner where it starts, and its direction

#: Clockwise, the hot pixel at the right hand: right, down, left, up as (column, row).
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
#: From the corner where an edge starts to the pixel at its right and at its left, (column, row).
_HOT = np.array([(0, 0), (-1, 0), (-1, -1), (0, -1)])
_COLD = np.array([(0, -1), (0, 0), (-1, 0), (-1, -1)])


def regions(heat: NDArray[np.float32], fraction: float, placement: Placement) -> tuple[Region, ...]:
    """Outlines, in source pixels, of what lies above `fraction` of the maximum; largest first.

    `heat` covers the frame's part of the network's square.
    """
    level = fraction * float(heat.max())
    if level <= 0:
        return ()
    lines = [_simplified(_crossings(loop, heat, level)) for loop in _loops(heat >= level)]
    lines = [line for line in lines if _area(line) >= _MIN_AREA * heat.size]
    lines.sort(key=_area, reverse=True)
    offset = np.array([placement.left, placement.top])
    return tuple(_region(placement.to_source(line + offset)) for line in lines[:MAX_REGIONS])


def _region(points: Points) -> Region:
    return Region(outline=tuple((float(column), float(row)) for column, row in points))


def _loops(hot: NDArray[np.bool_]) -> Iterator[list[Edge]]:
    """The edges between hot and cold, walked round: clockwise about a region, else about a hole."""
    padded = np.pad(hot, 1)
    left: set[Edge] = set()
    for direction, (inward, outward) in enumerate(zip(_HOT, _COLD, strict=True)):
        toward = outward - inward
        cold = ~np.roll(padded, (-toward[1], -toward[0]), axis=(0, 1))
        rows, columns = np.nonzero(padded & cold)
        starts = np.stack([columns - 1 - inward[0], rows - 1 - inward[1]], axis=1)
        left.update((int(column), int(row), direction) for column, row in starts)
    for start in sorted(left):
        if start not in left:
            continue
        loop = [start]
        left.remove(start)
        while (following := _following(loop[-1], left)) is not None:
            left.remove(following)
            loop.append(following)
        yield loop


def _following(edge: Edge, left: set[Edge]) -> Edge | None:
    """The edge that goes on where one ends, round the same pixel if that can be."""
    column, row, direction = edge
    right, down = _STEPS[direction]
    turns = ((column + right, row + down, (direction + turn) % 4) for turn in (1, 0, 3))
    return next((turn for turn in turns if turn in left), None)


def _crossings(loop: list[Edge], heat: NDArray[np.float32], level: float) -> Points:
    """Where the heat crosses the level, one point an edge; closed. At the frame's rim: the rim."""
    edges = np.array(loop)
    hot, cold = edges[:, :2] + _HOT[edges[:, 2]], edges[:, :2] + _COLD[edges[:, 2]]
    padded = np.pad(heat.astype(np.float64), 1, constant_values=np.nan)
    above, below = (padded[at[:, 1] + 1, at[:, 0] + 1] for at in (hot, cold))
    share = np.where(np.isnan(below), 0.5, (above - level) / (above - below))
    points = hot + 0.5 + share[:, None] * (cold - hot)
    return np.vstack([points, points[:1]])


def _area(line: Points) -> float:
    """Of a closed line, in square pixels; negative where it runs about a hole."""
    (x, y), (after_x, after_y) = line[:-1].T, line[1:].T
    return float((x * after_y - after_x * y).sum() / 2)


def _simplified(line: Points) -> Points:
    """The line without points that lie close to it (Douglas and Peucker)."""
    kept = np.zeros(len(line), dtype=bool)
    kept[[0, -1]] = True
    open_parts = [(0, len(line) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        away = _away(line[first : last + 1])
        far = first + int(away.argmax())
        if away[far - first] > _TOLERANCE:
            kept[far] = True
            open_parts += [(first, far), (far, last)]
    return line[kept]


def _away(part: Points) -> NDArray[np.float64]:
    """How far each point is from the straight way between the ends."""
    offset, chord = part - part[0], part[-1] - part[0]
    length = np.hypot(*chord)
    away: NDArray[np.float64] = (
        np.abs(offset[:, 0] * chord[1] - offset[:, 1] * chord[0]) / length
        if length
        else np.hypot(*offset.T)
    )
    return away

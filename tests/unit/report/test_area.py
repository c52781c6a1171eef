"""Which pixels an outline holds: centres at half coordinates (PS3.3 C.18.6.1.2)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dicomnode.answers import Region
from dicomnode.report.marks.area import inside

Outline = Sequence[tuple[float, float]]


def held(*outlines: Outline, rows: int = 4, columns: int = 5) -> NDArray[np.uint8]:
    return inside(tuple(Region(outline=tuple(points)) for points in outlines), rows, columns)


def test_a_rectangle_on_pixel_edges_holds_exactly_its_pixels() -> None:
    assert held([(1, 1), (4, 1), (4, 3), (1, 3)]).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]


def test_closed_or_open_forwards_or_backwards_is_the_same() -> None:
    points = [(0.2, 0.1), (4.4, 1.3), (2.2, 3.8)]
    assert held(points).any()
    for other in ([*points, points[0]], points[::-1]):
        assert np.array_equal(held(other), held(points))


def test_a_pixel_counts_where_its_centre_lies_inside() -> None:
    assert held([(0, 0), (0.6, 0), (0.6, 0.6), (0, 0.6)])[0, 0] == 1
    assert not held([(0, 0), (0.4, 0), (0.4, 0.4), (0, 0.4)]).any()


def test_what_lies_beyond_the_frame_is_left_out() -> None:
    assert held([(-9, -9), (90, -9), (90, 90), (-9, 90)]).all()
    assert not held([(-9, -9), (-1, -9), (-1, -1), (-9, -1)]).any()
    assert held([(-9, 1), (2, 1), (2, 2), (-9, 2)]).sum() == 2


def test_regions_that_meet_are_held_once_and_a_line_holds_nothing() -> None:
    square = [(1, 1), (3, 1), (3, 3), (1, 3)]
    assert np.array_equal(held(square, square), held(square))
    assert not held([(0, 0), (4, 3)]).any()
    assert not held().any()


def test_a_disc_has_its_area() -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    outline = [(50 + 30 * np.cos(a), 60 + 30 * np.sin(a)) for a in angles]
    mask = held(outline, rows=120, columns=100)
    assert abs(mask.sum() - np.pi * 900) < 15
    rows, columns = np.nonzero(mask)
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == (60, 50)


def test_a_ring_that_crosses_itself_is_hollow_where_it_is_covered_twice() -> None:
    outer, inner = (
        [(0, 0), (5, 0), (5, 4), (0, 4), (0, 0)],
        [(1, 1), (4, 1), (4, 3), (1, 3), (1, 1)],
    )
    mask = held([*outer, *inner])
    assert mask[0].all()
    assert not mask[1:3, 1:4].any()

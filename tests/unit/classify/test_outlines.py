"""Heat maps to outlines, worked by hand, and on squares anywhere on any frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dicomnode.answers import Region
from dicomnode.classify.explaining.outlines import MAX_REGIONS, regions
from dicomnode.classify.samples.preprocess import Placement

PLACEMENT = Placement(rows=40, columns=80, top=4, left=0, height=8, width=16)


def heat(*blocks: tuple[int, int, int, int], value: float = 1.0) -> NDArray[np.float32]:
    """A map of the frame's part of the square, hot in each (top, left, bottom, right)."""
    found = np.zeros((8, 16), dtype=np.float32)
    for top, left, bottom, right in blocks:
        found[top:bottom, left:right] = value
    return found


def extent(region: Region) -> tuple[float, float, float, float]:
    """Left, top, right, bottom."""
    columns, rows = np.array(region.outline).T
    return columns.min(), rows.min(), columns.max(), rows.max()


def area(region: Region) -> float:
    (x, y), (after_x, after_y) = np.array(region.outline[:-1]).T, np.array(region.outline[1:]).T
    return float((x * after_y - after_x * y).sum() / 2)


def test_outlines_a_region_in_source_pixels_and_closes_it() -> None:
    (region,) = regions(heat((4, 12, 6, 14)), 0.5, PLACEMENT)
    assert extent(region) == (60, 20, 70, 30)
    assert region.outline[0] == region.outline[-1]
    assert area(region) == 87.5  # 10 by 10, its four corners cut


def test_an_outline_follows_its_region_into_a_bay() -> None:
    (region,) = regions(heat((0, 0, 6, 2), (4, 0, 6, 8)), 0.5, PLACEMENT)  # an L
    assert extent(region) == (0, 0, 40, 30)
    assert area(region) == pytest.approx(24 * 25, abs=25)  # its hull has 900


def test_an_outline_lies_where_the_heat_crosses_the_level() -> None:
    slope = np.tile(np.linspace(0, 1, 17, dtype=np.float32)[1:], (8, 1))
    (half,), (less,) = (regions(slope, fraction, PLACEMENT) for fraction in (0.5, 0.3))
    assert extent(half)[0] == pytest.approx((8 - 0.5) * 5)
    assert extent(less)[0] == pytest.approx((16 * 0.3 - 0.5) * 5, abs=0.25 * 5)


def test_a_hole_is_part_of_its_region() -> None:
    ring = heat((1, 1, 7, 7))
    ring[3:5, 3:5] = 0
    (region,) = regions(ring, 0.5, PLACEMENT)
    assert extent(region) == (5, 5, 35, 35)
    assert area(region) == pytest.approx(900, rel=0.02)


def test_only_what_reaches_the_fraction_of_the_maximum_counts() -> None:
    uneven = heat((0, 0, 2, 2)) + heat((4, 8, 6, 10), value=0.4)
    assert len(regions(uneven, 0.5, PLACEMENT)) == 1
    assert len(regions(uneven, 0.3, PLACEMENT)) == 2


def test_the_largest_comes_first_and_there_are_never_too_many() -> None:
    blocks = [(2 * (i // 4), 4 * (i % 4), 2 * (i // 4) + 1, 4 * (i % 4) + 1) for i in range(8)]
    found = regions(heat(*blocks, (7, 10, 8, 16)), 0.5, PLACEMENT)
    assert len(found) == MAX_REGIONS
    assert extent(found[0]) == (50, 35, 80, 40)


def test_diagonal_neighbours_are_two_regions() -> None:
    assert len(regions(heat((0, 0, 1, 1), (1, 1, 2, 2)), 0.5, PLACEMENT)) == 2


def test_specks_are_dropped() -> None:
    placement = Placement(rows=320, columns=320, top=0, left=0, height=160, width=160)
    speckled = np.zeros((160, 160), dtype=np.float32)
    speckled[3, 3] = 1
    assert regions(speckled, 0.5, placement) == ()


def test_a_cold_map_has_no_region() -> None:
    assert regions(heat(), 0.5, PLACEMENT) == ()


def test_a_map_that_is_hot_all_over_is_outlined_by_the_frame() -> None:
    (region,) = regions(heat((0, 0, 8, 16)), 0.5, PLACEMENT)
    assert extent(region) == (0, 0, 80, 40)


def test_a_smooth_shape_needs_few_points() -> None:
    rows, columns = np.mgrid[0:160, 0:160]
    distance = np.hypot(rows - 80, columns - 70)
    placement = Placement(rows=3200, columns=3200, top=0, left=0, height=160, width=160)
    (region,) = regions(np.exp(-((distance / 30) ** 2)).astype(np.float32), 0.5, placement)
    radius = 20 * 30 * np.sqrt(np.log(2))
    assert len(region.outline) < 60
    assert area(region) == pytest.approx(np.pi * radius**2, rel=0.03)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_noise_gives_closed_outlines_on_the_frame(
    height: int, width: int, data: st.DataObject
) -> None:
    hot = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    found = np.array(hot, dtype=np.float32).reshape(height, width)
    placement = Placement(rows=50, columns=30, top=1, left=2, height=height, width=width)
    outlines = regions(found, 0.5, placement)
    assert bool(outlines) == bool(found.any())
    for region in outlines:
        left, top, right, bottom = extent(region)
        assert region.outline[0] == region.outline[-1]
        assert 0 <= left < right <= 30
        assert 0 <= top < bottom <= 50
    sizes = [area(region) for region in outlines]
    assert sizes == pytest.approx(sorted(sizes, reverse=True))
    assert all(size > 0 for size in sizes)

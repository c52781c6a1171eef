"""Heat maps and outlines, worked by hand on a network that looks for brightness."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dicomnode.classify.card import Explanation
from dicomnode.classify.explain import MAX_REGIONS, Explainer, regions
from dicomnode.classify.preprocess import Placement, Prepared
from dicomnode.records import FrameRef, InstanceRef
from tests.tiny_model import Brightness

PLACEMENT = Placement(rows=40, columns=80, top=4, left=0, height=8, width=16)


def heat(*blocks: tuple[int, int, int, int], value: float = 1.0) -> NDArray[np.float32]:
    """A map of the frame's part of the square, hot in each (top, left, bottom, right)."""
    found = np.zeros((8, 16), dtype=np.float32)
    for top, left, bottom, right in blocks:
        found[top:bottom, left:right] = value
    return found


def test_outlines_a_region_in_source_pixels_and_closes_it() -> None:
    (region,) = regions(heat((4, 12, 6, 14)), 0.5, PLACEMENT)
    assert region.outline == ((60, 20), (70, 20), (70, 30), (60, 30), (60, 20))


def test_an_outline_is_the_convex_hull() -> None:
    corner = heat((0, 0, 3, 1), (2, 0, 3, 3))  # an L
    (region,) = regions(corner, 0.5, PLACEMENT)
    assert set(region.outline) == {(0, 0), (5, 0), (15, 10), (15, 15), (0, 15)}


def test_only_what_reaches_the_fraction_of_the_maximum_counts() -> None:
    uneven = heat((0, 0, 2, 2)) + heat((4, 8, 6, 10), value=0.4)
    assert len(regions(uneven, 0.5, PLACEMENT)) == 1
    assert len(regions(uneven, 0.3, PLACEMENT)) == 2


def test_the_largest_comes_first_and_there_are_never_too_many() -> None:
    blocks = [(2 * (i // 4), 4 * (i % 4), 2 * (i // 4) + 1, 4 * (i % 4) + 1) for i in range(8)]
    found = regions(heat(*blocks, (7, 10, 8, 16)), 0.5, PLACEMENT)
    assert len(found) == MAX_REGIONS
    assert (80.0, 40.0) in found[0].outline


def test_diagonal_neighbours_are_two_regions() -> None:
    assert len(regions(heat((0, 0, 1, 1), (1, 1, 2, 2)), 0.5, PLACEMENT)) == 2


def test_specks_are_dropped() -> None:
    placement = Placement(rows=320, columns=320, top=0, left=0, height=160, width=160)
    speckled = np.zeros((160, 160), dtype=np.float32)
    speckled[3, 3] = 1
    assert regions(speckled, 0.5, placement) == ()


def test_a_cold_map_has_no_region() -> None:
    assert regions(heat(), 0.5, PLACEMENT) == ()


def prepared(bright: tuple[slice, slice]) -> Prepared:
    square = torch.zeros(1, 16, 16)
    square[0, *bright] = 1
    image = InstanceRef(
        sop_class_uid="1.2", sop_instance_uid="1.3", series_uid="1.4", study_uid="1.5"
    )
    ref = FrameRef(image=image, frame=None, rows=40, columns=80)
    return Prepared(ref=ref, tensor=square, placement=PLACEMENT)


def test_the_map_is_hot_where_the_network_looked() -> None:
    explainer = Explainer(Brightness(), Explanation(method="grad-cam", layer="look"))
    source, found = explainer.explain(prepared((slice(8, 10), slice(12, 14))), 0)
    assert source.shape == (40, 80)
    assert source.dtype == np.float32
    assert (source.min(), source.max()) == (0, 1)
    assert np.unravel_index(source.argmax(), source.shape) == pytest.approx((25, 65), abs=5)
    assert source[:15].max() == 0
    assert found[0].outline == ((60, 20), (70, 20), (70, 30), (60, 30), (60, 20))


def test_the_same_map_comes_every_time() -> None:
    explainer = Explainer(Brightness(2), Explanation(method="grad-cam", layer="look"))
    image = prepared((slice(6, 11), slice(2, 9)))
    first, second = (explainer.explain(image, 1)[0] for _ in range(2))
    assert np.array_equal(first, second)

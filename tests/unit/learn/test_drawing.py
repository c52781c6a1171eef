"""Drawn radiographs: always the same, varied, and the findings where they are said to be."""

import numpy as np
import pytest

from dicomnode.learn.drawing import FINDINGS, Radiograph, draw

ROWS = 96


def test_the_same_seed_is_the_same_patient() -> None:
    first, second = draw(3, FINDINGS, rows=ROWS), draw(3, FINDINGS, rows=ROWS)
    assert np.array_equal(first.pixels, second.pixels)
    assert first.masks.keys() == second.masks.keys() == set(FINDINGS)
    assert all(np.array_equal(mask, second.masks[name]) for name, mask in first.masks.items())


def test_another_seed_is_another_patient() -> None:
    patients = [draw(seed, rows=ROWS).pixels for seed in range(8)]
    assert len({pixels.tobytes() for pixels in patients}) == 8
    assert len({pixels.shape for pixels in patients}) > 3


def test_twelve_bits_are_used_and_no_more() -> None:
    pixels = draw(5, rows=ROWS).pixels
    assert pixels.dtype == np.uint16
    assert pixels.max() <= 4095
    assert np.ptp(pixels) > 2500


def test_lungs_are_darker_than_the_spine() -> None:
    for seed in range(10):
        pixels = draw(seed, rows=ROWS).pixels
        rows, columns = pixels.shape
        middle = slice(rows * 4 // 10, rows // 2)
        lung = pixels[middle, columns // 5 : columns * 3 // 10].mean()
        spine = pixels[middle, columns * 47 // 100 : columns * 53 // 100].mean()
        assert lung < spine - 600


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_changes_the_image_where_it_is_and_leaves_the_patient(finding: str) -> None:
    for seed in range(6):
        without, with_it = draw(seed, rows=ROWS), draw(seed, [finding], rows=ROWS)
        assert with_it.boxes.keys() == {finding}
        left, top, right, bottom = (int(edge) for edge in with_it.boxes[finding])
        change = np.abs(with_it.pixels.astype(int) - without.pixels) > 40
        assert change[top:bottom, left:right].mean() > 0.05
        change[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8] = False
        assert change.mean() < 0.03


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_box_is_the_smallest_round_the_mask(finding: str) -> None:
    drawn = draw(3, [finding], rows=ROWS)
    left, top, right, bottom = (int(edge) for edge in drawn.boxes[finding])
    mask = drawn.masks[finding]
    assert mask.shape == drawn.pixels.shape
    assert mask[top:bottom, left:right].sum() == mask.sum() > 0
    for edge in (mask[top], mask[bottom - 1], mask[:, left], mask[:, right - 1]):
        assert edge.any()


@pytest.mark.parametrize("finding", FINDINGS)
def test_the_image_changes_more_on_the_mask_than_beside_it(finding: str) -> None:
    for seed in range(6):
        without, with_it = draw(seed, rows=ROWS), draw(seed, [finding], rows=ROWS)
        change = np.abs(with_it.pixels.astype(int) - without.pixels)
        mask = with_it.masks[finding]
        assert change[mask].mean() > 4 * change[~mask].mean()


def test_findings_do_not_depend_on_each_other() -> None:
    alone, together = draw(4, ["cardiomegaly"], rows=ROWS), draw(4, FINDINGS, rows=ROWS)
    assert alone.boxes["cardiomegaly"] == together.boxes["cardiomegaly"]
    assert together.boxes.keys() == set(FINDINGS)


def _width(radiograph: Radiograph) -> float:
    left, _, right, _ = radiograph.boxes["cardiomegaly"]
    return (right - left) / int(radiograph.pixels.shape[1])


def test_an_enlarged_heart_is_wider_than_half_the_chest() -> None:
    widths = [_width(draw(seed, ["cardiomegaly"], rows=ROWS)) for seed in range(12)]
    assert min(widths) > 0.4


def test_a_nodule_can_be_drawn_even_where_both_lungs_are_full() -> None:
    for seed in range(40):
        assert "nodule" in draw(seed, FINDINGS, rows=64).boxes


def test_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(ValueError, match="pneumonia"):
        draw(1, ["pneumonia"])

"""Heat and outlines over a frame."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomnode.answers import Region
from dicomnode.report.drawn.overlay import Pixels, colours, overlay


def grey(level: int = 90) -> Pixels:
    return np.full((20, 30, 3), level, dtype=np.uint8)


def overlaid(frame: Pixels, heat: NDArray[np.float32] | None, regions: Sequence[Region]) -> Pixels:
    overlay(frame, heat, regions)
    return frame


def test_more_heat_is_always_brighter_so_colour_vision_is_not_needed() -> None:
    ramp = colours(np.linspace(0, 1, 50, dtype=np.float32)) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(ramp) > 0).all()


def test_anatomy_shows_through_the_hottest_spot() -> None:
    hot = np.ones((20, 30), dtype=np.float32)
    dark, light = overlaid(grey(20), hot, ()), overlaid(grey(220), hot, ())
    assert (light.astype(int) - dark > 60).all()


def test_faint_heat_leaves_the_image_as_it_is() -> None:
    faint = np.full((20, 30), 0.19, dtype=np.float32)
    assert (overlaid(grey(), faint, ()) == grey()).all()


def test_an_outline_is_closed_and_seen_on_dark_and_on_bright() -> None:
    corners = ((5.0, 4.0), (20.0, 4.0), (20.0, 15.0), (5.0, 15.0))
    for level in (0, 255):
        drawn = overlaid(grey(level), None, [Region(outline=corners)])
        for row, column in ((4, 12), (15, 12), (9, 20), (9, 5)):
            around = drawn[row - 2 : row + 3, column - 2 : column + 3]
            assert around.min() == 0
            assert around.max() == 255
        assert (drawn[9, 12] == level).all()


def test_heat_is_blended_as_the_formula_says_over_many_rows_and_any_colour() -> None:
    noise = np.random.default_rng(3)
    frame = noise.integers(0, 256, (150, 40, 3), dtype=np.uint8)
    heat = noise.random((150, 40), dtype=np.float32)
    heat[:, :7] = 0
    strength = np.clip((heat - 0.2) / 0.8, 0, 1)[..., np.newaxis]
    expected = (1 - 0.6 * strength**0.75) * frame + 0.6 * strength**0.75 * colours(heat)
    expected = np.where(strength > 0, expected, frame)

    drawn = overlaid(frame.copy(), heat, ())

    assert np.abs(drawn - expected).max() < 2.5
    assert (drawn[:, :7] == frame[:, :7]).all()


@pytest.mark.parametrize("outline", [((-9, -9), (40, -9), (40, 30)), ((0, 0), (1, 0), (1, 1))])
def test_an_outline_may_leave_the_picture(outline: tuple[tuple[float, float], ...]) -> None:
    overlay(grey(), None, [Region(outline=outline)])

"""Heat and outlines over a frame."""

import numpy as np

from dicomnode.records import Region
from dicomnode.report.overlay import colours, overlaid


def grey(level: int = 90) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((20, 30, 3), level, dtype=np.uint8)


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


def test_the_frame_itself_is_not_drawn_on() -> None:
    frame = grey()
    overlaid(frame, np.ones((20, 30), dtype=np.float32), [Region(outline=((1, 1), (9, 1), (9, 9)))])
    assert (frame == 90).all()

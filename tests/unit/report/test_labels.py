"""Where words stand: near, inside, and never over each other where there is room."""

import pytest

from dicomnode.answers import Region
from dicomnode.report.marks.labels import Box, around, placed

ROWS, COLUMNS = 1000, 800
LINE = 28.0


def box(left: float, top: float, right: float, bottom: float) -> Box:
    return Box(left=left, top=top, right=right, bottom=bottom)


def put(near: Box, *taken: Box, lines: tuple[str, ...] = ("Nodule 97.0 %",)) -> Box:
    return placed(lines, near, taken, rows=ROWS, columns=COLUMNS)


def test_around_is_the_smallest_box_that_holds_the_region() -> None:
    assert around(Region(outline=((5, 9), (7, 2), (6, 4)))) == box(5, 2, 7, 9)


def test_words_stand_right_above_what_they_are_about() -> None:
    placed_at = put(box(100, 500, 300, 700))
    assert (placed_at.left, placed_at.bottom) == (100, 500)
    assert placed_at.bottom - placed_at.top == LINE


def test_every_line_has_its_height() -> None:
    three = put(box(100, 500, 300, 700), lines=("a", "b", "c"))
    assert three.bottom - three.top == 3 * LINE


def test_chinese_has_room_for_its_wide_characters() -> None:
    near = box(0, 500, 300, 700)
    assert put(near, lines=("胸腔积液",)).right == pytest.approx(4 * LINE)
    assert put(near, lines=("abcd",)).right < 3 * LINE


def test_words_at_an_edge_are_moved_inside() -> None:
    for near in (box(790, -5, 805, 90), box(0, 990, 10, 1000), box(-40, -40, 2000, 2000)):
        placed_at = put(near)
        assert placed_at.left >= 0
        assert placed_at.top >= 0
        assert placed_at.right <= COLUMNS
        assert placed_at.bottom <= ROWS


def test_words_are_below_where_above_is_taken_and_elsewhere_where_both_are() -> None:
    near = box(100, 500, 300, 700)
    above = put(near)
    below = put(near, above)
    assert below.top == 700
    third = put(near, above, below)
    assert not third.meets(above)
    assert not third.meets(below)


def test_where_there_is_no_room_words_stand_over_others() -> None:
    everywhere = box(0, 0, COLUMNS, ROWS)
    assert put(box(100, 500, 300, 700), everywhere) == put(box(100, 500, 300, 700))


def test_more_words_than_fit_keep_to_the_image() -> None:
    placed_at = put(box(0, 0, 1, 1), lines=("x" * 500,) * 80)
    assert placed_at == box(0, 0, COLUMNS, ROWS)


def test_boxes_that_touch_do_not_meet() -> None:
    assert not box(0, 0, 5, 5).meets(box(5, 0, 9, 5))
    assert not box(0, 0, 5, 5).meets(box(0, 5, 5, 9))
    assert box(0, 0, 5, 5).meets(box(4, 4, 9, 9))

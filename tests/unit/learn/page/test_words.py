"""Numbers are told with as many decimals as say something."""

import pytest

from dicomnode.learn.measures.figures import Figure
from dicomnode.learn.page.words import percent, plain, probability, share


def figure(value: float, low: float, high: float) -> Figure:
    return Figure(value=value, low=low, high=high, method="bootstrap")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (figure(0.8181, 0.8071, 0.8279), "0.818 (0.807\N{EN DASH}0.828)"),
        (figure(0.00021, 0.0001, 0.0019), "0.0002 (0.0001\N{EN DASH}0.0019)"),
        (Figure(value=0.5, why="few"), "0.500 (-)"),
        (Figure(value=None, why="none"), "-"),
    ],
)
def test_a_value_with_its_interval(told: Figure, words: str) -> None:
    assert plain(told) == words


def test_a_difference_has_its_sign() -> None:
    assert plain(figure(-0.1, -0.2, 0.05), sign=True) == "-0.100 (-0.200 to +0.050)"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (figure(0.783, 0.76, 0.8), "78 (76\N{EN DASH}80)"),
        (figure(0.062, 0.05, 0.081), "6.2 (5.0\N{EN DASH}8.1)"),
        (figure(0.9998, 0.9996, 1), "99.98 (99.96\N{EN DASH}100.00)"),
        (figure(1, 0.86, 1), "100 (86\N{EN DASH}100)"),
        (Figure(value=0.5, why="few"), "50 (-)"),
        (Figure(value=None, why="none"), "-"),
    ],
)
def test_a_percentage_is_finer_near_its_ends(told: Figure, words: str) -> None:
    assert percent(told) == words


def test_shares_and_p_values() -> None:
    assert [share(part) for part in (0.5, 0.0261, None)] == ["50 %", "2.6 %", "-"]
    assert [probability(p) for p in (0.04, 0.0004, None)] == ["0.040", "<0.001", "-"]

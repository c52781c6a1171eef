"""A figure has an interval only where there is something to make it of."""

import numpy as np
import pytest

from dicomnode.learn.measures.figures import figure, ratio, wilson


def test_the_interval_holds_the_middle_of_the_resamples() -> None:
    found = figure(0.5, np.linspace(0, 1, 1001))

    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))
    assert (found.method, found.why) == ("bootstrap", "")


def test_a_value_that_is_none_says_why() -> None:
    found = figure(float("nan"), np.full(10, np.nan), "no image has it")

    assert (found.value, found.low, found.why) == (None, None, "no image has it")


@pytest.mark.parametrize(
    ("resampled", "why"),
    [
        ([np.nan] * 11 + [0.5, 0.6] * 45, "so few cases"),
        ([0.5] * 100, "all resamples have the same value"),
        ([], "no interval: no resamples were drawn"),
    ],
)
def test_a_value_without_interval_says_why(resampled: list[float], why: str) -> None:
    found = figure(0.5, np.array(resampled))

    assert (found.value, found.low) == (0.5, None)
    assert why in found.why


def test_a_few_resamples_without_value_are_passed_over() -> None:
    found = figure(0.5, np.array([np.nan] * 5 + [0.4, 0.6] * 50))

    assert (found.low, found.high) == (0.4, 0.6)


def test_all_of_ten_are_not_surely_all() -> None:
    # Newcombe, Statistics in Medicine 17 (1998): 29 of 29
    assert wilson(29, 29) == pytest.approx((0.8830, 1), abs=1e-4)


def test_nothing_is_divided_by_nothing() -> None:
    assert np.isnan(ratio(np.zeros(1), np.zeros(1))[0])

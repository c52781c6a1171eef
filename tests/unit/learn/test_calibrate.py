"""Calibration against what was put in, and against numbers worked by hand."""

import numpy as np
import pytest

from dicomnode.classify.calibration import probabilities
from dicomnode.learn.calibrate import (
    brier,
    calibration_error,
    isotonic,
    platt,
    temperature,
)


@pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
def test_finds_the_temperature_that_was_planted(planted: float) -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, 40_000)
    truth = rng.random(40_000) < probabilities(honest)
    assert temperature(honest * planted, truth) == pytest.approx(planted, rel=0.05)


def test_a_network_that_is_never_wrong_gets_no_endless_certainty() -> None:
    assert temperature(np.array([-1.0, 1.0]), np.array([False, True])) == pytest.approx(0.05)


def test_finds_the_temperature_and_the_offset_that_were_planted() -> None:
    rng = np.random.default_rng(3)
    honest = rng.normal(0, 2, 40_000)
    truth = rng.random(40_000) < probabilities(honest)
    warmth, offset = platt((honest - 1.5) * 3, truth)
    assert warmth == pytest.approx(3, rel=0.05)
    assert offset == pytest.approx(1.5, abs=0.05)


def test_where_it_is_never_wrong_certainty_grows_with_the_cases() -> None:
    said = []
    for count in (5, 50):
        truth = np.arange(2 * count) < count
        warmth, offset = platt(np.where(truth, 4.0, -4.0), truth)
        said.append(probabilities(np.array(4.0 / warmth + offset)))
    assert said == pytest.approx([6 / 7, 51 / 52], abs=1e-3)


def test_neighbours_in_the_wrong_order_are_pooled() -> None:
    # By hand: 0 | 1, 0 and then 1, 0, 0 violate; 1/3 of 0.2..0.4, then 1 of 0.6.
    curve = isotonic(np.array([0.1, 0.2, 0.3, 0.4, 0.6]), np.array([0, 1, 0, 0, 1], dtype=bool))
    assert curve.raw == (0.1, 0.2, 0.4, 0.6)
    assert curve.calibrated == (0.0, 0.3333, 0.3333, 1.0)


def test_equal_scores_are_one_point() -> None:
    curve = isotonic(np.array([0.5, 0.5, 0.5, 0.5]), np.array([1, 0, 0, 0], dtype=bool))
    assert (curve.raw, curve.calibrated) == ((0.5,), (0.25,))


def test_the_error_is_the_distance_of_what_is_said_from_what_is() -> None:
    # Bin 0.2..0.3: says 0.25, is 0.5; bin 0.9..1: says 0.9 and 1, is 1. 2/4 * 0.25 + 2/4 * 0.05
    scores, truth = np.array([0.25, 0.25, 0.9, 1.0]), np.array([1, 0, 1, 1], dtype=bool)
    assert calibration_error(scores, truth) == pytest.approx(0.15)
    assert brier(scores, truth) == pytest.approx((0.75**2 + 0.25**2 + 0.1**2) / 4)

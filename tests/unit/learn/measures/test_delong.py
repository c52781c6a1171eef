"""DeLong's interval and test, against his definition, a published case, and simulation."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomnode.learn.measures import delong
from tests.unit.learn.measures.arrays import people, scores, truth


def by_definition(said: NDArray[np.float64], there: NDArray[np.bool_]) -> tuple[float, float]:
    """Area and variance, pair by pair."""
    positive, negative = said[there], said[~there]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    above, below = wins.mean(axis=1), wins.mean(axis=0)
    variance = above.var(ddof=1) / len(positive) + below.var(ddof=1) / len(negative)
    return float(wins.mean()), float(variance)


@pytest.mark.parametrize("seed", range(10))
def test_area_and_variance_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    said, there = rng.random(80).round(1), rng.random(80) < 0.4

    found = delong.areas(said[None], there)

    assert (found.values[0], found.covariance[0, 0]) == pytest.approx(by_definition(said, there))


def test_one_image_a_patient_is_the_same_whether_patients_are_told_or_not() -> None:
    rng = np.random.default_rng(1)
    said, there = rng.random((2, 50)), rng.random(50) < 0.4
    apart = np.random.default_rng(2).permutation(50)

    told, untold = delong.areas(said, there, apart), delong.areas(said, there)

    assert told.covariance == pytest.approx(untold.covariance)


def test_images_told_twice_tell_nothing_new() -> None:
    rng = np.random.default_rng(3)
    said, there, whose = rng.random((1, 300)), rng.random(300) < 0.5, np.arange(300)
    twice = (np.tile(said, 2), np.tile(there, 2), np.tile(whose, 2))

    by_patient = delong.areas(*twice).covariance[0, 0]
    by_image = delong.areas(twice[0], twice[1]).covariance[0, 0]

    assert by_patient == pytest.approx(delong.areas(said, there).covariance[0, 0], rel=1e-9)
    assert by_image == pytest.approx(by_patient / 2, rel=0.01)


def test_the_interval_covers_the_truth_where_patients_have_several_images() -> None:
    # Two normal distributions one standard deviation apart, half of the variance of the patient:
    # the area of two images of different patients is 0.7602
    rng, covered = np.random.default_rng(4), 0
    whose = np.repeat(np.arange(80), 4)
    for _ in range(200):
        there = rng.random(320) < 0.4
        noise = rng.standard_normal(80)[whose] + rng.standard_normal(320)
        area, _ = delong.auroc(noise / math.sqrt(2) + there, there, whose)
        assert area.low is not None
        assert area.high is not None
        covered += area.low <= 0.7602 <= area.high

    assert 0.9 <= covered / 200 <= 0.99


def test_two_areas_differ_by_the_test_of_their_definition() -> None:
    # Worked by hand: positives 3, 5, 4 and negatives 1, 2, 4 by one model; 2, 5, 3 and 1, 4, 2 by
    # the other. Placements: (2/3, 1, 5/6) and (1, 1, 1/2); (1/2, 1, 2/3) and (1, 1/3, 5/6)
    there = truth(1, 1, 1, 0, 0, 0)
    said = np.stack([scores(3, 5, 4, 1, 2, 4), scores(2, 5, 3, 1, 4, 2)]) / 10

    difference, error, p = delong.paired(delong.areas(said, there))

    variance = np.var([1 / 6, 0, 1 / 6], ddof=1) / 3 + np.var([0, 2 / 3, -1 / 3], ddof=1) / 3
    assert difference == pytest.approx(1 / 9)
    assert error == pytest.approx(math.sqrt(variance))
    assert p == pytest.approx(math.erfc(1 / 9 / math.sqrt(variance) / math.sqrt(2)))


def test_a_model_beside_itself_does_not_differ() -> None:
    said = np.stack([scores(0.9, 0.3, 0.4, 0.1)] * 2)

    assert delong.paired(delong.areas(said, truth(1, 1, 0, 0))) == (0, 0, 1)


def test_where_nothing_varies_a_difference_has_no_p() -> None:
    said = np.stack([scores(0.9, 0.9, 0.1, 0.1), scores(0.1, 0.1, 0.9, 0.9)])

    assert delong.paired(delong.areas(said, truth(1, 1, 0, 0))) == (1, 0, None)


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ((0, 0, 0), "no image has it"),
        ((1, 1, 1), "every image has it"),
        ((), "there are no images"),
    ],
)
def test_an_area_that_is_none_says_why(there: tuple[int, ...], why: str) -> None:
    area, error = delong.auroc(scores(0.1, 0.5, 0.9)[: len(there)], truth(*there))

    assert (area.value, area.why, error) == (None, why, None)


def test_one_positive_has_an_area_and_no_interval() -> None:
    area, error = delong.auroc(scores(0.9, 0.5, 0.1), truth(1, 0, 0))

    assert (area.value, area.low, error) == (1, None, None)
    assert "fewer than two patients" in area.why


def test_two_positives_of_one_patient_have_no_interval_either() -> None:
    area, _ = delong.auroc(scores(0.9, 0.8, 0.5, 0.1), truth(1, 1, 0, 0), people(0, 0, 1, 2))

    assert (area.value, area.low) == (1, None)


@pytest.mark.parametrize("said", [(0.9, 0.8, 0.2, 0.1), (0.1, 0.2, 0.8, 0.9), (0.5, 0.5, 0.5, 0.5)])
def test_where_all_cases_are_alike_the_interval_still_has_a_width(said: tuple[float, ...]) -> None:
    area, _ = delong.auroc(scores(*said), truth(1, 1, 0, 0))

    assert area.low is not None
    assert area.high is not None
    assert 0 <= area.low <= area.high <= 1
    assert area.high - area.low > 0.3


def test_an_interval_at_the_edge_does_not_overflow() -> None:
    low, high = delong.interval(0.99999, 0.25, 100_000)

    assert 0 <= low <= 0.99999 <= high <= 1

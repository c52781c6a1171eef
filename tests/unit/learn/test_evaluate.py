"""Measures against numbers worked by hand and taken from textbooks."""

import numpy as np
import pytest

from dicomnode.learn.evaluate import auroc, best_threshold, measure, proportion


def scores(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, dtype=np.float64)


def truth(*values: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array(values, dtype=np.bool_)


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    # positives 0.9, 0.4; negatives 0.5, 0.4, 0.1: pairs 3 + (0 + 0.5 + 1) of 6
    area = auroc(scores(0.9, 0.4, 0.5, 0.4, 0.1), truth(1, 1, 0, 0, 0))
    assert area.value == pytest.approx(4.5 / 6, abs=1e-4)


def test_a_perfect_order_is_one_but_not_certain() -> None:
    area = auroc(scores(0.9, 0.8, 0.2, 0.1), truth(1, 1, 0, 0))
    assert (area.value, area.high) == (1, 1)
    assert area.low < 0.9


def test_a_reversed_order_is_none_at_all() -> None:
    area = auroc(scores(0.1, 0.2, 0.8, 0.9), truth(1, 1, 0, 0))
    assert (area.value, area.low) == (0, 0)


def test_scores_that_say_nothing_are_one_half() -> None:
    assert auroc(scores(0.5, 0.5, 0.5, 0.5), truth(1, 1, 0, 0)).value == 0.5


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Two normal distributions one standard deviation apart: area 0.7602
    rng = np.random.default_rng(1)
    labels = np.arange(120) < 40
    drawn = (auroc(rng.standard_normal(120) + labels, labels) for _ in range(300))
    covered = sum(area.low <= 0.7602 <= area.high for area in drawn)
    assert 0.92 <= covered / 300 <= 0.98


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_a_share_has_the_interval_of_wilson(hits: int, total: int, low: float, high: float) -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, score method without correction
    share = proportion(hits, total)
    assert [share.low, share.high] == pytest.approx([low, high], abs=2e-4)


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    assert best_threshold(scores(0.9, 0.8, 0.2, 0.1), truth(1, 1, 0, 0)) == 0.5


def test_the_threshold_balances_both_mistakes() -> None:
    # Above 0.65: 3 of 4 found, no false alarm; above 0.35: 4 of 4 found, 2 of 4 false alarms.
    values = scores(0.9, 0.8, 0.7, 0.4, 0.6, 0.5, 0.2, 0.1)
    assert best_threshold(values, truth(1, 1, 1, 1, 0, 0, 0, 0)) == 0.65


def test_measures_a_label_at_its_threshold() -> None:
    values = scores(0.9, 0.8, 0.3, 0.7, 0.2, 0.1, 0.1)
    found = measure("nodule", values, truth(1, 1, 1, 0, 0, 0, 0), values >= 0.5)
    assert (found.label, found.positives, found.negatives) == ("nodule", 3, 4)
    assert found.sensitivity.value == pytest.approx(2 / 3, abs=1e-4)
    assert found.specificity.value == 0.75
    assert found.sensitivity.low < 2 / 3 < found.sensitivity.high

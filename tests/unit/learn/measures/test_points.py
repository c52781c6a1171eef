"""Thresholds are found where a person would find them in a short list."""

import numpy as np
import pytest

from dicomnode.errors import NotFound
from dicomnode.learn.measures.points import Point, choose, measures_at, parse_point, reach
from dicomnode.learn.measures.ranked import Confusion, Ranked
from tests.unit.learn.measures.arrays import scores, truth

# In falling order: + - + + - - + - - -
SAID = scores(0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
THERE = truth(1, 0, 1, 1, 0, 0, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "threshold"),
    [
        ("youden", 0.7),  # 3 of 4 found, 1 of 6 false alarms
        ("sensitivity=0.9", 0.4),  # needs all 4
        ("sensitivity=0.75", 0.7),
        ("sensitivity=0.5", 0.8),
        ("specificity=0.9", 0.95),  # not one false alarm is allowed
        ("specificity=0.8", 0.7),  # one of six is
        ("specificity=0.5", 0.4),  # three are: all 4 are found
        ("0.55", 0.55),
    ],
)
def test_a_point_has_the_threshold_that_costs_least(text: str, threshold: float) -> None:
    assert choose(parse_point(text), None, SAID, THERE) == threshold


def test_the_cards_point_is_the_cards_threshold() -> None:
    assert choose(parse_point("card"), 0.42, SAID, THERE) == 0.42


def test_no_threshold_reaches_a_specificity_that_the_highest_score_spoils() -> None:
    found = choose(parse_point("specificity=0.9"), None, scores(0.9, 0.9, 0.1), truth(0, 1, 0))

    assert found == np.inf


@pytest.mark.parametrize("there", [(0, 0), (1, 1)])
@pytest.mark.parametrize("text", ["youden", "sensitivity=0.9", "specificity=0.9"])
def test_points_of_one_kind_of_image_are_chosen_without_error(
    text: str, there: tuple[int, ...]
) -> None:
    assert choose(parse_point(text), None, scores(0.3, 0.6), truth(*there)) >= 0


def test_ninety_per_cent_of_ten_is_nine_whatever_binary_makes_of_it() -> None:
    said = scores(*(1 - i / 20 for i in range(20)))
    there = truth(*([1] * 10 + [0] * 10))

    assert choose(Point(kind="sensitivity", target=0.9), None, said, there) == said[8]
    assert choose(Point(kind="sensitivity", target=0.7), None, said, there) == said[6]


def test_a_resample_reaches_its_own_specificity() -> None:
    ranked = Ranked(SAID, THERE)
    counts = ranked.counts(np.ones((10, 2)))
    rows = reach(counts, scores(0.5, 1.0))

    assert counts.hits[rows, [0, 1]].tolist() == [4, 1]


@pytest.mark.parametrize(
    "text",
    ["", "best", "1.5", "-0.1", "sensitivity", "sensitivity=2", "auc=0.9", "youden=1", "nan"],
)
def test_a_point_that_is_none_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(NotFound, match=r"there are: card, youden, sensitivity=0\.95"):
        parse_point(text)


def test_points_say_whether_they_were_chosen_by_looking() -> None:
    texts = ("card", "youden", "sensitivity=0.95", "specificity=0.9", "0.5", "threshold=0.5")

    chosen = [parse_point(text).chosen for text in texts]

    assert chosen == [False, True, True, True, False, False]


def test_what_a_threshold_is_worth_by_hand() -> None:
    one = np.array([1.0])
    found = measures_at(
        Confusion(
            true_positive=30 * one,
            false_positive=20 * one,
            false_negative=10 * one,
            true_negative=140 * one,
        )
    )

    worth = {name: values[0] for name, values in found.items()}
    assert worth == pytest.approx(
        {"sensitivity": 0.75, "specificity": 0.875, "ppv": 0.6, "npv": 14 / 15, "f1": 2 / 3}
    )


def test_what_nothing_can_be_divided_by_is_not_a_number() -> None:
    none, one = np.zeros(1), np.ones(1)
    found = measures_at(
        Confusion(true_positive=none, false_positive=none, false_negative=one, true_negative=one)
    )

    assert np.isnan(found["ppv"][0])
    assert found["sensitivity"][0] == 0

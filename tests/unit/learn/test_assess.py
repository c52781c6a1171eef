"""What is asked of predictions, and what is said of how the answer was found."""

from typing import Any

import numpy as np
import pytest

from dicomnode.errors import NotFound
from dicomnode.learn.assess import Question, assess, thresholds
from dicomnode.learn.measures.evaluation import Plan
from dicomnode.learn.measures.points import parse_point
from dicomnode.learn.measures.results import Evaluation
from dicomnode.learn.predictions import Predictions
from tests.tiny_model import make_card, make_label

POINTS = (parse_point("0.5"),)


def answer(**asked: Any) -> Evaluation:
    """Forty images of two sexes, three ages and two hospitals."""
    rng = np.random.default_rng(1)
    truth = (rng.random((40, 2)) < 0.4).astype(np.int8)
    predictions = Predictions(
        images=(),
        patients=tuple(f"p{i // 2}" for i in range(40)),
        findings=("mass", "edema"),
        truth=truth,
        scores=rng.random((40, 2)),
        facts={"sex": ("F", "M") * 20, "hospital": ("A",) * 10 + ("B",) * 30},
        ages=np.array([20.0, 50.0, 70.0, 70.0] * 10),
        notes=("said before",),
    )
    usual: dict[str, Any] = {"name": "model", "plan": Plan(points=POINTS, resamples=20)}
    return assess(predictions, Question(**(usual | asked)))


def groups(evaluation: Evaluation) -> set[tuple[str, str]]:
    return {(line.variable, line.group) for line in evaluation.lines if line.variable}


def test_all_that_is_known_is_grouped_by() -> None:
    assert groups(answer()) == {
        ("sex", "F"), ("sex", "M"), ("hospital", "A"), ("hospital", "B"),
        ("age", "18-39"), ("age", "40-59"), ("age", "60-79"),
    }  # fmt: skip


def test_only_what_is_asked_for_is_grouped_by() -> None:
    assert {variable for variable, _ in groups(answer(by=("sex",)))} == {"sex"}
    assert groups(answer(by=("none",))) == set()


def test_bands_of_age_are_those_that_are_asked_for() -> None:
    assert groups(answer(by=("age",), age_bands=(65.0,))) == {
        ("age", "under 65"), ("age", "65 and over"),
    }  # fmt: skip


def test_what_is_not_known_cannot_be_grouped_by() -> None:
    with pytest.raises(NotFound, match="grouped by scanner; known: sex, hospital, age"):
        answer(by=("scanner",))


def test_only_the_findings_that_are_asked_for() -> None:
    assert {line.finding for line in answer(only=("edema",)).lines} == {"edema"}


def test_a_finding_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match="there is no finding hernia; there are: mass, edema"):
        answer(only=("hernia",))


def test_patients_are_counted_and_kept_together() -> None:
    evaluation = answer()

    assert (evaluation.images, evaluation.patients, evaluation.clustered) == (40, 20, True)


def test_a_cards_point_needs_a_card_with_one_of_the_findings() -> None:
    plan = Plan(points=(parse_point("card"),), resamples=5)

    with pytest.raises(NotFound, match="no card has any of these findings"):
        answer(plan=plan)
    found = answer(plan=plan, thresholds={"mass": 0.4})
    assert "the card has no threshold for: edema" in found.notes


def test_thresholds_that_were_chosen_by_looking_are_said_to_flatter() -> None:
    chosen = Plan(points=(parse_point("youden"), parse_point("0.5")), resamples=5)

    assert answer().notes == ("said before",)
    (_, note) = answer(plan=chosen).notes
    assert "(Youden) flatter a little" in note


def test_a_cards_thresholds_are_by_label() -> None:
    card = make_card(labels=(make_label("mass", 0.3), make_label("edema", 0.6)))

    assert thresholds(card) == {"mass": 0.3, "edema": 0.6}

"""What is fitted to answers, and how the whole model is then measured."""

import numpy as np
import pytest

from dicomnode.classify.calibration import probabilities
from dicomnode.classify.card.output import Output
from dicomnode.learn.training.judge import (
    Answers,
    calibrate,
    joined,
    judged,
    thresholds,
    with_calibration,
    with_measures,
)
from dicomnode.learn.training.looking import held_against, mean_auroc
from tests.tiny_model import make_card, make_label

LABELS, CLASSES, GRADES = Output(), Output(kind="multi-class"), Output(kind="ordinal")


def answers(images: int = 400, labels: int = 2, seed: int = 1) -> Answers:
    """Logits twice as sure as they may be, of labels that are there by chance."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, labels)) * 3
    truth = (rng.random((images, labels)) < 1 / (1 + np.exp(-logits / 2))).astype(float)
    return Answers(logits=logits, truth=truth)


def test_calibration_finds_how_sure_the_network_may_be() -> None:
    found = calibrate(answers(4000), LABELS, "here")

    assert found.method == "platt"
    assert found.temperatures == pytest.approx([2, 2], rel=0.15)
    assert found.offsets == pytest.approx([0, 0], abs=0.15)


def test_what_is_not_known_is_not_fitted_to() -> None:
    given = answers()
    truth = given.truth.copy()
    truth[200:, 0] = np.nan
    part = Answers(logits=given.logits[:200], truth=given.truth[:200])

    with_gaps = calibrate(Answers(logits=given.logits, truth=truth), LABELS, "here")

    assert with_gaps.temperatures[0] == calibrate(part, LABELS, "here").temperatures[0]


def test_classes_have_one_temperature() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3000, 3)) * 4
    shares = np.exp(logits / 2) / np.exp(logits / 2).sum(1, keepdims=True)
    truth = np.eye(3)[[rng.choice(3, p=share) for share in shares]]

    found = calibrate(Answers(logits=logits, truth=truth), CLASSES, "here")

    assert found.temperatures == pytest.approx([2], rel=0.15)


def test_a_class_is_present_where_it_is_the_most_probable() -> None:
    given = Answers(logits=np.array([[2.0, 1, 0], [0, 0, 3]]), truth=np.eye(3)[[0, 2]])
    calibration = calibrate(given, CLASSES, "here")

    cuts = thresholds(given, CLASSES, calibration)

    assert cuts == (0.3333,) * 3
    assert judged(given, CLASSES, calibration, cuts).present.tolist() == np.eye(3)[[0, 2]].tolist()


def test_grades_are_held_against_this_one_or_a_higher_one() -> None:
    truth = np.eye(3)[[0, 1, 2]]

    assert held_against(truth, GRADES).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_a_label_nobody_has_gets_a_threshold_and_no_measures() -> None:
    given = answers()
    truth = given.truth.copy()
    truth[:, 1] = 0
    given = Answers(logits=given.logits, truth=truth)
    calibration = calibrate(given, LABELS, "here")
    cuts = thresholds(given, LABELS, calibration)
    card = make_card(labels=(make_label("a"), make_label("b")))

    seen = judged(given, LABELS, calibration, cuts)
    card = with_measures(with_calibration(card, calibration, cuts, seen), seen, "here", 1)

    assert cuts[1] == 0.5
    assert card.evaluation is not None
    assert [m.label for m in card.evaluation.measures] == ["a"]


def test_measures_are_those_of_what_is_called_present() -> None:
    given = answers(100, 1)
    calibration = calibrate(given, LABELS, "here")
    seen = judged(given, LABELS, calibration, (0.5,))
    card = with_measures(make_card(labels=(make_label("a"),)), seen, "here", 1)

    said = probabilities(given.logits, calibration)[:, 0].round(4) >= 0.5
    true = given.truth[:, 0] == 1
    assert card.evaluation is not None
    found = card.evaluation.measures[0]
    assert found.sensitivity.value == pytest.approx(said[true].mean(), abs=1e-4)
    assert found.specificity.value == pytest.approx((~said[~true]).mean(), abs=1e-4)


def test_parts_are_joined_in_their_order() -> None:
    given = answers(30)
    calibration = calibrate(given, LABELS, "here")
    whole = judged(given, LABELS, calibration, (0.5, 0.5))
    halves = [
        Answers(logits=given.logits[part], truth=given.truth[part])
        for part in (slice(10), slice(10, 30))
    ]

    both = joined([judged(half, LABELS, calibration, (0.5, 0.5)) for half in halves])

    assert np.array_equal(both.present, whole.present)
    assert np.array_equal(both.probabilities, whole.probabilities)


def test_areas_are_of_the_order_before_each_part_was_calibrated() -> None:
    given = answers(60, 1)
    halves = [
        Answers(logits=given.logits[part], truth=given.truth[part])
        for part in (slice(30), slice(30, 60))
    ]
    shifts = (calibrate(halves[1], LABELS, "x"), calibrate(halves[0], LABELS, "x"))
    seen = [judged(own, LABELS, fit, (0.5,)) for own, fit in zip(halves, shifts, strict=True)]

    card = with_measures(make_card(labels=(make_label("a"),)), joined(seen), "here", 1)

    assert card.evaluation is not None
    assert shifts[0] != shifts[1]
    raw = mean_auroc(given.logits, given.truth, LABELS)
    assert card.evaluation.measures[0].auroc.value == pytest.approx(raw, abs=1e-4)


def test_the_mean_area_leaves_out_what_cannot_be_measured() -> None:
    logits = np.array([[1.0, 0], [2, 0], [3, 0]])
    truth = np.array([[0.0, 0], [1, 0], [1, np.nan]])

    assert mean_auroc(logits, truth, LABELS) == 1.0
    assert mean_auroc(logits, truth * np.nan, LABELS) is None

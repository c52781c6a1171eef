"""Logits to probabilities, worked by hand."""

import numpy as np
import pytest

from dicomnode.classify.calibration import answered, probabilities
from dicomnode.classify.card.fitted import Calibration, Curve

LOGITS = np.array([[0.0, 2.0], [-2.0, 4.0]])


def expit(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def make(**changes: object) -> Calibration:
    return Calibration.model_validate({"dataset": "drawings", "images": 9, **changes})


def test_without_calibration_it_is_the_sigmoid() -> None:
    assert probabilities(LOGITS)[1] == pytest.approx([expit(-2), expit(4)])


def test_a_logit_of_any_size_is_a_probability() -> None:
    assert probabilities(np.array([-1e6, 1e6])).tolist() == [0, 1]


def test_an_answer_has_four_digits_and_is_never_certain() -> None:
    logits = np.array([-1e6, -10.0, 0.123, 10.0, 1e6])
    assert answered(logits).tolist() == [0.0001, 0.0001, 0.5307, 0.9999, 0.9999]
    assert np.isnan(answered(np.array([np.nan]))).all()


def test_one_temperature_is_for_all_labels_or_there_is_one_each() -> None:
    one = probabilities(LOGITS, make(method="temperature", temperatures=(2,)))
    assert one[1] == pytest.approx([expit(-1), expit(2)])
    each = probabilities(LOGITS, make(method="temperature", temperatures=(2, 4)))
    assert each[1] == pytest.approx([expit(-1), expit(1)])


def test_platt_scaling_adds_an_offset() -> None:
    found = probabilities(LOGITS, make(method="platt", temperatures=(2, 4), offsets=(1, -1)))
    assert found[1] == pytest.approx([expit(0), expit(0)])


def test_a_curve_is_straight_between_its_points_and_flat_beyond() -> None:
    bent = Curve(raw=(0.25, 0.75), calibrated=(0.1, 0.5))
    flat = Curve(raw=(0.5,), calibrated=(0.3,))
    logits = np.log(np.array([0.1, 0.5, 0.9]) / np.array([0.9, 0.5, 0.1]))
    found = probabilities(
        np.stack([logits, logits], axis=1), make(method="isotonic", curves=(bent, flat))
    )
    assert found[:, 0] == pytest.approx([0.1, 0.3, 0.5])
    assert found[:, 1] == pytest.approx([0.3, 0.3, 0.3])

"""Paired tests against published cases and their definitions."""

import math

import numpy as np
import pytest

from dicomnode.learn.measures.paired_tests import holm, mcnemar, mcnemar_by_patient
from tests.unit.learn.measures.arrays import people, truth


@pytest.mark.parametrize(
    ("ours", "theirs", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (12, 2, 0.012939),  # Armitage and Berry (1994), page 127
        (0, 6, 2 / 64),
        (4000, 4200, 0.0280),  # normal approximation with correction: 0.0280
    ],
)
def test_disagreements_are_tested_exactly(ours: int, theirs: int, p: float) -> None:
    assert mcnemar(ours, theirs) == pytest.approx(p, abs=1e-4)


def test_with_one_image_each_patients_are_tested_as_images() -> None:
    ours, theirs = truth(*([1] * 9 + [0] * 4)), truth(*([0] * 9 + [1] * 4))

    p = mcnemar_by_patient(ours, theirs, np.arange(13))

    assert p == pytest.approx(math.erfc(5 / math.sqrt(13) / math.sqrt(2)))


def test_a_patient_told_three_times_counts_once() -> None:
    ours, theirs, whose = truth(1, 1, 0, 1), truth(0, 0, 1, 0), people(0, 1, 2, 3)

    once = mcnemar_by_patient(ours, theirs, whose)

    assert mcnemar_by_patient(np.tile(ours, 3), np.tile(theirs, 3), np.tile(whose, 3)) == once


def test_no_disagreement_is_no_difference() -> None:
    assert mcnemar_by_patient(truth(0, 0), truth(0, 0), people(0, 1)) == 1


def test_many_tests_make_each_worth_less() -> None:
    # Holm's own steps: 0.01 * 4, then 0.02 * 3, 0.03 * 2 and 0.04, none below the one before
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []

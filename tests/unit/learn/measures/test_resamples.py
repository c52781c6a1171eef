"""Patients are drawn whole, the same ones for the same seed, in blocks of any size."""

import numpy as np
import pytest

from dicomnode.learn.measures import resamples as room
from dicomnode.learn.measures.resamples import resamples
from tests.unit.learn.measures.arrays import people

WHOSE = people(0, 0, 1, 2, 2, 2, 3)


def test_images_of_one_patient_are_drawn_together() -> None:
    weights = np.concatenate(list(resamples(WHOSE, 50, 1)), axis=1)

    assert weights.shape == (7, 50)
    assert (weights[0] == weights[1]).all()
    assert (weights[3] == weights[5]).all()
    assert (weights[[0, 2, 3, 6]].sum(axis=0) == 4).all()


def test_the_same_seed_draws_the_same_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(resamples(WHOSE, 20, 7)), axis=1)
    monkeypatch.setattr(room, "_BLOCK", 21)  # three resamples of seven images
    blocks = list(resamples(WHOSE, 20, 7))

    assert len(blocks) == 7
    assert (np.concatenate(blocks, axis=1) == whole).all()


def test_another_seed_draws_others() -> None:
    first, second = (np.concatenate(list(resamples(WHOSE, 20, s)), axis=1) for s in (1, 2))

    assert (first != second).any()


def test_no_resamples_are_none() -> None:
    assert list(resamples(WHOSE, 0, 1)) == []


def test_the_spread_of_a_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(1).random(200)
    weights = np.concatenate(list(resamples(np.arange(200), 2000, 1)), axis=1)

    spread = (weights * values[:, None]).mean(axis=0).std()

    assert spread == pytest.approx(values.std() / np.sqrt(200), rel=0.06)

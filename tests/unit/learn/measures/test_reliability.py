"""Calibration error and Brier score by hand, and as calibration itself measures them."""

import numpy as np
import pytest

from dicomnode.learn.calibrate import brier, calibration_error
from dicomnode.learn.measures.reliability import Reliable
from tests.unit.learn.measures.arrays import once, scores, truth


def test_error_and_score_by_hand() -> None:
    # Bin of 0.1: said 0.1 and 0.15, one of two is true; bin of 0.9: said 0.9 and 1.0, both are
    said, there = scores(0.1, 0.15, 0.9, 1.0), truth(0, 1, 1, 1)

    (error,), (score,) = Reliable(said, there).measure(once(4))

    assert error == pytest.approx((abs(0.25 - 1) + abs(1.9 - 2)) / 4)
    assert score == pytest.approx((0.01 + 0.7225 + 0.01 + 0) / 4)


@pytest.mark.parametrize("seed", range(5))
def test_error_and_score_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    said, there = rng.random(200), rng.random(200) < 0.3
    bins = np.minimum((said * 10).astype(int), 9)
    gaps = [abs(said[bins == b].mean() - there[bins == b].mean()) * (bins == b).mean()
            for b in set(bins)]  # fmt: skip

    assert calibration_error(said, there) == pytest.approx(sum(gaps))
    assert brier(said, there) == pytest.approx(np.square(said - there).mean())


def test_a_weight_is_the_same_as_an_image_told_so_often() -> None:
    rng = np.random.default_rng(1)
    said, there, weights = rng.random(40), rng.random(40) < 0.3, rng.integers(0, 3, (40, 1))
    rows = np.repeat(np.arange(40), weights[:, 0])

    weighed = Reliable(said, there).measure(weights.astype(np.uint8))

    plain = Reliable(said[rows], there[rows]).measure(once(len(rows)))
    assert np.concatenate(weighed) == pytest.approx(np.concatenate(plain))


def test_no_images_have_no_error() -> None:
    error, score = Reliable(scores(), truth()).measure(np.ones((0, 1)))

    assert np.isnan([*error, *score]).all()

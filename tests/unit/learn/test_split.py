"""Patients are dealt whole, and every part gets its share of each label."""

import numpy as np
import pytest

from dicomnode.learn.manifest import Columns, read_manifest
from dicomnode.learn.split import deal
from tests.tools import NIH, require


def rare(images: int, seed: int = 1) -> np.ndarray:
    """Truth of three labels, (images, 3): common, rare, and one that is there five times."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((images, 3)) < [0.4, 0.1, 0]).astype(float)
    truth[:5, 2] = 1
    return truth


def test_each_part_has_its_share_of_each_label() -> None:
    truth = rare(200)

    parts = deal([str(i) for i in range(200)], truth, [1] * 5, seed=0)

    counts = np.array([truth[parts == part].sum(0) for part in range(5)])
    assert np.ptp(counts, axis=0).max() <= 2
    assert counts[:, 2].tolist() == [1, 1, 1, 1, 1]
    assert {int((parts == part).sum()) for part in range(5)} <= {39, 40, 41}


def test_the_images_of_a_patient_stay_together() -> None:
    patients = [str(i // 3) for i in range(120)]

    parts = deal(patients, rare(120), [0.6, 0.2, 0.2], seed=0)

    assert all(len(set(parts[i : i + 3])) == 1 for i in range(0, 120, 3))


def test_shares_are_kept() -> None:
    parts = deal([str(i) for i in range(400)], rare(400), [7, 2, 1], seed=3)

    assert np.bincount(parts).tolist() == pytest.approx([280, 80, 40], abs=3)


def test_the_same_seed_deals_the_same_and_another_one_otherwise() -> None:
    patients, truth = [str(i) for i in range(60)], rare(60)

    first, again, other = (deal(patients, truth, [1, 1], seed) for seed in (4, 4, 5))

    assert first.tolist() == again.tolist() != other.tolist()


def test_what_is_not_known_counts_for_nothing() -> None:
    truth = np.full((10, 1), np.nan)
    truth[:4] = 1

    parts = deal([str(i) for i in range(10)], truth, [1, 1], seed=0)

    assert [int((parts[:4] == part).sum()) for part in (0, 1)] == [2, 2]


def test_a_part_may_be_empty() -> None:
    parts = deal(["a", "b"], np.array([[1.0], [0.0]]), [1, 0], seed=0)

    assert parts.tolist() == [0, 0]


def test_the_real_sample_is_dealt_evenly() -> None:
    require("nih")
    manifest = read_manifest(NIH / "labels.csv", Columns(), images=NIH / "images")

    parts = deal(manifest.patients, manifest.truth, [1] * 5, seed=0)

    counts = np.array([manifest.truth[parts == part].sum(0) for part in range(5)])
    assert np.ptp(counts, axis=0).max() <= 1

"""Areas and counts against numbers worked by hand; weights are the same as rows told again."""

import numpy as np
import pytest

from dicomnode.learn.measures.ranked import Ranked, auroc, average_precision
from tests.unit.learn.measures.arrays import once, scores, truth

SAID = scores(0.9, 0.8, 0.7, 0.4, 0.4, 0.1)
THERE = truth(1, 0, 1, 1, 0, 0)


def test_the_area_counts_pairs_in_order_and_ties_half() -> None:
    # 0.9 beats 3 negatives, 0.7 beats 2, 0.4 beats 1 and ties 1: 6.5 of 9
    counts = Ranked(SAID, THERE).counts(once(6))

    assert auroc(counts)[0] == pytest.approx(6.5 / 9, abs=1e-15)


def test_average_precision_weighs_precision_by_the_recall_it_adds() -> None:
    # At 0.9: 1 of 1; at 0.7: 2 of 3; at 0.4: 3 of 5; each adds a third
    counts = Ranked(SAID, THERE).counts(once(6))

    assert average_precision(counts)[0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-15)


def test_a_perfect_order_is_one_and_a_reversed_one_is_none() -> None:
    right = Ranked(scores(0.9, 0.8, 0.2), truth(1, 1, 0)).counts(once(3))
    wrong = Ranked(scores(0.1, 0.2, 0.8), truth(1, 1, 0)).counts(once(3))

    assert (auroc(right)[0], average_precision(right)[0]) == (1, 1)
    assert auroc(wrong)[0] == 0


def test_scores_that_are_all_alike_are_worth_their_prevalence() -> None:
    counts = Ranked(scores(0.5, 0.5, 0.5, 0.5), truth(1, 0, 0, 0)).counts(once(4))

    assert (auroc(counts)[0], average_precision(counts)[0]) == (0.5, 0.25)


@pytest.mark.parametrize("there", [(0, 0, 0), (1, 1, 1)])
def test_an_area_of_one_kind_of_image_is_not_a_number(there: tuple[int, ...]) -> None:
    counts = Ranked(scores(0.1, 0.2, 0.3), truth(*there)).counts(once(3))

    assert np.isnan(auroc(counts)[0])


def test_no_images_give_no_number_and_no_error() -> None:
    counts = Ranked(scores(), truth()).counts(np.ones((0, 2)))

    assert np.isnan(auroc(counts)).all()
    assert np.isnan(average_precision(counts)).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_weight_is_the_same_as_an_image_told_so_often(seed: int) -> None:
    rng = np.random.default_rng(seed)
    said, there = rng.random(60).round(1), rng.random(60) < 0.3
    weights = rng.integers(0, 4, (60, 3)).astype(np.uint8)
    counts = Ranked(said, there, (0.35,)).counts(weights)
    for column in range(3):
        rows = np.repeat(np.arange(60), weights[:, column])
        plain = Ranked(said[rows], there[rows]).counts(once(len(rows)))
        assert auroc(counts)[column] == pytest.approx(auroc(plain)[0], abs=1e-12)
        assert average_precision(counts)[column] == pytest.approx(
            average_precision(plain)[0], abs=1e-12
        )


def test_counts_at_a_threshold_that_no_score_has() -> None:
    ranked = Ranked(SAID, THERE, (0.5,))
    found = ranked.counts(once(6)).at(np.array([ranked.row(0.5)]))

    assert (found.true_positive[0], found.false_positive[0]) == (2, 1)
    assert (found.false_negative[0], found.true_negative[0]) == (1, 2)


def test_a_score_at_the_threshold_itself_is_called_present() -> None:
    ranked = Ranked(SAID, THERE, (0.4,))
    found = ranked.counts(once(6)).at(np.array([ranked.row(0.4)]))

    assert (found.true_positive[0], found.false_positive[0]) == (3, 2)


def test_above_every_score_nothing_is_called_present() -> None:
    ranked = Ranked(SAID, THERE)
    found = ranked.counts(once(6)).at(np.array([ranked.row(np.inf)]))

    assert (found.true_positive[0], found.false_positive[0]) == (0, 0)

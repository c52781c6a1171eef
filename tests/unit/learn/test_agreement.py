"""Agreement of two models, against numbers worked by hand."""

import pytest

from dicomnode.answers import Presence, Score
from dicomnode.learn.agreement import Said, agreement, furthest


def score(probability: float) -> Score:
    presence = Presence.PRESENT if probability >= 0.5 else Presence.ABSENT
    return Score(probability=probability, presence=presence)


def study(job_id: int, first: float, second: float, label: str = "nodule") -> Said:
    return Said(job_id=job_id, first={label: score(first)}, second={label: score(second)})


#: Of ten studies: 4 both, 1 only the first, 2 only the second, 3 neither.
_TEN = [(0.9, 0.8)] * 4 + [(0.6, 0.4)] + [(0.3, 0.7)] * 2 + [(0.1, 0.1)] * 3
TEN = [study(number, *pair) for number, pair in enumerate(_TEN)]


def test_counts_and_kappa_are_those_of_the_table() -> None:
    (found,) = agreement(TEN)

    assert (found.n, found.both, found.only_first, found.only_second, found.neither) == (
        10, 4, 1, 2, 3,
    )  # fmt: skip
    # observed 0.7, by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5
    assert found.kappa == pytest.approx(0.4)
    assert found.mean_difference == pytest.approx((-0.1 * 4 - 0.2 + 0.4 * 2) / 10)
    assert found.most_difference == pytest.approx(0.4)
    assert found.correlation == pytest.approx(0.867 / (1.209 * 0.921) ** 0.5)


def test_where_chance_alone_agrees_there_is_no_kappa_and_no_correlation_without_spread() -> None:
    (found,) = agreement([study(1, 0.1, 0.1), study(2, 0.1, 0.2)])

    assert found.kappa is None
    assert found.correlation is None


def test_undetermined_is_not_present() -> None:
    unsure = Score(probability=0.5, presence=Presence.UNDETERMINED)
    said = Said(job_id=1, first={"nodule": unsure}, second={"nodule": score(0.9)})

    (found,) = agreement([said])

    assert (found.both, found.only_first, found.only_second, found.neither) == (0, 0, 1, 0)


def test_labels_that_only_one_model_has_and_studies_without_an_answer_do_not_count() -> None:
    silent = Said(job_id=3, first={"nodule": score(0.9)}, second={})
    other = Said(job_id=4, first={"nodule": score(0.9)}, second={"effusion": score(0.9)})

    (found,) = agreement([study(1, 0.9, 0.9), silent, other])

    assert (found.label, found.n) == ("nodule", 1)
    assert agreement([silent, other]) == []
    assert furthest([silent, other]) == []


def test_another_call_is_worse_than_other_numbers() -> None:
    studies = [study(1, 0.1, 0.45), study(2, 0.49, 0.51), study(3, 0.2, 0.2), study(4, 0.9, 0.1)]

    assert [one.job_id for one in furthest(studies)] == [4, 2, 1, 3]
    assert [one.job_id for one in furthest(studies, 1)] == [4]
    assert furthest(studies)[0].difference == pytest.approx(-0.8)

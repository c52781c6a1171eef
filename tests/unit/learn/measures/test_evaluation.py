"""A whole evaluation: what is in it, and what it says where nothing can be measured."""

from typing import Any

import numpy as np
import pytest

from dicomnode.learn.measures.evaluation import Plan, evaluate
from dicomnode.learn.measures.points import Point, parse_point
from dicomnode.learn.measures.results import Evaluation, Line
from dicomnode.learn.measures.sample import Group, Opinion, Sample

POINTS = (parse_point("youden"), parse_point("0.5"))


def make_sample(**changes: Any) -> Sample:
    """Sixty images of thirty patients; two findings, told rather well."""
    rng = np.random.default_rng(1)
    truth = (rng.random((60, 2)) < 0.4).astype(np.int8)
    usual: dict[str, Any] = {
        "name": "model",
        "findings": ("mass", "edema"),
        "truth": truth,
        "scores": (rng.random((60, 2)) + truth * 0.5) / 1.5,
        "patients": np.arange(60) // 2,
    }
    return Sample(**(usual | changes))


def found(sample: Sample, points: tuple[Point, ...] = POINTS, resamples: int = 50) -> Evaluation:
    return evaluate(sample, Plan(points=points, resamples=resamples))


def line(evaluation: Evaluation, finding: str, group: str = "") -> Line:
    (one,) = [x for x in evaluation.lines if (x.finding, x.group) == (finding, group)]
    return one


def test_every_finding_has_its_measures_each_with_an_interval() -> None:
    mass = line(found(make_sample()), "mass")

    assert (mass.images, mass.patients, mass.without) == (60, 30, 0)
    assert mass.auroc.method == "DeLong"
    for figure in mass.figures.values():
        assert figure.low is not None
        assert figure.high is not None
        assert 0 <= figure.low < figure.high <= 1
    assert [point.point.name for point in mass.points] == ["Youden", "threshold = 0.5"]


def test_the_same_seed_gives_the_same_figures_and_another_does_not() -> None:
    first, again = found(make_sample()), found(make_sample())
    other = evaluate(make_sample(), Plan(points=POINTS, resamples=50, seed=1))

    assert line(first, "mass").figures == line(again, "mass").figures
    assert line(first, "mass").figures != line(other, "mass").figures


def test_the_counts_of_a_point_are_those_of_its_threshold() -> None:
    sample = make_sample()
    (_, half) = line(found(sample), "mass").points
    said, there = sample.scores[:, 0] >= 0.5, sample.truth[:, 0] == 1

    assert half.threshold == 0.5
    assert half.true_positive == (said & there).sum()
    assert half.false_positive == (said & ~there).sum()
    assert half.false_negative == (~said & there).sum()
    assert half.true_negative == (~said & ~there).sum()
    assert half.figures["sensitivity"].value == pytest.approx(said[there].mean())


def test_images_of_unknown_truth_are_left_out_of_their_finding_and_counted() -> None:
    truth = make_sample().truth.copy()
    truth[:10, 0] = -1
    evaluation = found(make_sample(truth=truth))

    assert (line(evaluation, "mass").images, line(evaluation, "mass").without) == (50, 10)
    assert (line(evaluation, "edema").images, line(evaluation, "edema").without) == (60, 0)


def test_a_group_is_judged_at_the_threshold_of_all_images() -> None:
    groups = (
        Group(variable="sex", name="F", rows=np.arange(25)),
        Group(variable="sex", name="M", rows=np.arange(25, 60)),
    )
    evaluation = found(make_sample(groups=groups))
    at = [line(evaluation, "mass", group).points[0] for group in ("", "F", "M")]

    assert at[0].threshold == at[1].threshold == at[2].threshold
    assert at[0].true_positive == at[1].true_positive + at[2].true_positive
    assert at[0].true_negative == at[1].true_negative + at[2].true_negative


@pytest.mark.parametrize(("there", "why"), [(0, "no image has it"), (1, "every image has it")])
def test_a_group_of_one_kind_says_so_and_the_others_are_measured(there: int, why: str) -> None:
    truth = make_sample().truth.copy()
    truth[:25, 0] = there
    groups = (
        Group(variable="sex", name="F", rows=np.arange(25)),
        Group(variable="sex", name="M", rows=np.arange(25, 60)),
    )
    evaluation = found(make_sample(truth=truth, groups=groups))
    women = line(evaluation, "mass", "F")

    assert (women.auroc.value, women.auroc.why) == (None, why)
    assert women.figures["auroc"].why == why
    assert women.figures["brier"].value is not None
    missing = "sensitivity" if there == 0 else "specificity"
    assert women.points[0].figures[missing].value is None
    assert women.points[0].figures[missing].why == why
    assert line(evaluation, "mass", "M").auroc.value is not None
    means = {mean.group: mean for mean in evaluation.means}
    assert (means["F"].findings, means["M"].findings) == (1, 2)
    edema = line(evaluation, "edema", "F").auroc
    assert means["F"].figures["auroc"].value == pytest.approx(edema.value)


def test_where_nothing_is_called_present_ppv_says_so() -> None:
    (one,) = line(found(make_sample(), (parse_point("1"),)), "mass").points

    assert one.figures["ppv"].value is None
    assert one.figures["ppv"].why == "nothing is called present"
    assert one.figures["sensitivity"].value == 0


def test_none_of_so_few_missed_has_the_interval_of_wilson() -> None:
    (one,) = line(found(make_sample(), (parse_point("0"),)), "mass").points
    sensitivity = one.figures["sensitivity"]

    assert (sensitivity.value, sensitivity.high, sensitivity.method) == (1, 1, "Wilson")
    assert sensitivity.low is not None
    assert 0.8 < sensitivity.low < 1


def test_the_mean_is_that_of_the_findings() -> None:
    evaluation = found(make_sample())
    areas = [line(evaluation, name).figures["auroc"].value for name in ("mass", "edema")]
    (mean,) = evaluation.means

    assert mean.figures["auroc"].value == pytest.approx(np.mean([a for a in areas if a]))
    assert mean.figures["auroc"].low is not None


def test_the_cards_threshold_is_used_and_a_finding_without_one_is_passed_over() -> None:
    evaluation = found(make_sample(thresholds={"mass": 0.3}), (parse_point("card"),))

    assert [point.threshold for point in line(evaluation, "mass").points] == [0.3]
    assert line(evaluation, "edema").points == ()


def test_without_resamples_values_stand_alone() -> None:
    mass = line(found(make_sample(), resamples=0), "mass")

    assert mass.auroc.low is not None
    assert mass.figures["brier"].why == "no interval: no resamples were drawn"


def test_resampling_reports_each_step() -> None:
    steps = []
    evaluate(make_sample(), Plan(points=POINTS, resamples=7), lambda: steps.append(1))

    assert len(steps) == 7


# --- beside others --------------------------------------------------------------------------


def beside(opinion: Opinion, **changes: Any) -> Evaluation:
    return found(make_sample(others=(opinion,), **changes), resamples=200)


def test_a_model_beside_itself_differs_in_nothing() -> None:
    sample = make_sample()
    evaluation = beside(Opinion(name="same", scores=sample.scores))

    for comparison in evaluation.comparisons:
        for one in comparison.differences:
            assert one.figure.value == 0
            assert one.p in (None, 1)
    assert [one.finding for one in evaluation.comparisons] == ["mass", "edema", ""]


def test_a_model_that_guesses_is_worse_and_the_test_tells() -> None:
    guesses = np.random.default_rng(9).random((60, 2))
    evaluation = beside(Opinion(name="guess", scores=guesses), patients=np.arange(60))
    area = evaluation.comparisons[0].differences[0]

    assert (area.measure, area.test) == ("auroc", "DeLong")
    assert area.ours is not None
    assert area.theirs is not None
    assert area.figure.value == pytest.approx(area.ours - area.theirs)
    assert area.p is not None
    assert area.p < 0.01
    assert area.p_holm is not None
    assert area.p <= area.p_holm <= 2 * area.p


def test_patients_with_several_images_are_tested_by_patient() -> None:
    guesses = np.random.default_rng(9).random((60, 2))
    evaluation = beside(Opinion(name="guess", scores=guesses))
    tests = {one.test for one in evaluation.comparisons[0].differences}

    assert tests == {"DeLong by patient", "McNemar by patient", "bootstrap"}


def test_a_reader_is_compared_at_points_and_at_his_own_specificity() -> None:
    truth = make_sample().truth
    says = truth.astype(np.float64)
    says[:6] = 1 - says[:6]  # wrong about six
    evaluation = beside(Opinion(name="reader", scores=says, binary=True), patients=np.arange(60))
    (first, _) = evaluation.comparisons
    there = truth[:, 0] == 1
    told = {(one.measure, one.point): one for one in first.differences}

    assert told["sensitivity", "Youden"].theirs == pytest.approx((says[:, 0] == 1)[there].mean())
    assert told["specificity", "Youden"].test == "McNemar, exact"
    matched = told["specificity", "the reader's specificity"]
    assert matched.ours is not None
    assert matched.theirs is not None
    assert matched.ours >= matched.theirs
    assert not any(one.measure == "auroc" for one in first.differences)


def test_the_images_that_only_one_is_right_about_are_counted() -> None:
    truth = make_sample().truth
    says = truth.astype(np.float64)
    evaluation = beside(Opinion(name="reader", scores=says, binary=True))
    sensitivity = evaluation.comparisons[0].differences[0]
    missed = line(evaluation, "mass").points[0].false_negative

    assert (sensitivity.only_ours, sensitivity.only_theirs) == (0, missed)


def test_only_images_of_which_both_spoke_are_compared() -> None:
    scores = make_sample().scores.copy()
    scores[:20] = np.nan
    evaluation = beside(Opinion(name="shorter", scores=scores))

    assert {one.images for one in evaluation.comparisons} == {40}
    assert line(evaluation, "mass").images == 60


def test_a_finding_of_which_the_other_never_spoke_is_not_compared() -> None:
    scores = make_sample().scores.copy()
    scores[:, 1] = np.nan
    evaluation = beside(Opinion(name="other", scores=scores))

    assert [one.finding for one in evaluation.comparisons] == ["mass"]


def test_a_finding_that_nobody_has_is_compared_without_error() -> None:
    truth = make_sample().truth.copy()
    truth[:, 0] = 0
    evaluation = beside(Opinion(name="other", scores=make_sample().scores[:, ::-1]), truth=truth)
    area = evaluation.comparisons[0].differences[0]

    assert (area.ours, area.p, area.figure.value) == (None, None, None)
    assert area.figure.why

"""What an error costs, beside numbers worked out by hand and beside torch's own."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from dicomnode.classify.card.output import Output
from dicomnode.learn.training.losses import Goals, Objective, answer_weights, asked, goals
from dicomnode.learn.training.recipe import Loss, Teacher

MULTI_LABEL, CLASSES = Output(), Output(kind="multi-class")
TRUTH = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
OUTPUTS = torch.tensor([[2.0, -1.0], [0.5, 0.3], [-3.0, 0.0], [0.1, 4.0]])
ALL = np.arange(4)


def cost(
    truth: NDArray[np.float64],
    output: Output = MULTI_LABEL,
    loss: Loss | None = None,
    teacher: Teacher | None = None,
    taught: NDArray[np.float64] | None = None,
    shares: torch.Tensor | None = None,
) -> float:
    goal = goals(truth, taught, teacher, np.arange(len(truth)))
    objective = Objective(output, loss or Loss(), teacher, truth)
    return float(objective(OUTPUTS[: len(truth)], goal, shares))


def test_each_label_for_itself_is_binary_cross_entropy() -> None:
    wanted = binary_cross_entropy_with_logits(OUTPUTS, torch.tensor(TRUTH).float())

    assert cost(TRUTH) == pytest.approx(float(wanted))


def test_classes_are_softmax_cross_entropy() -> None:
    truth = np.eye(2)[[0, 1, 1, 0]]

    assert cost(truth, CLASSES) == pytest.approx(
        float(cross_entropy(OUTPUTS, torch.tensor([0, 1, 1, 0])))
    )


def test_what_is_not_known_costs_nothing() -> None:
    unknown = TRUTH.copy()
    unknown[0, 0] = np.nan
    there = binary_cross_entropy_with_logits(OUTPUTS, torch.tensor(TRUTH).float(), reduction="none")
    there[0, 0] = 0

    assert cost(unknown) == pytest.approx(float(there.sum() / 8))


def test_smoothing_spreads_the_truth() -> None:
    aim = torch.tensor(TRUTH).float() * 0.9 + 0.05

    assert cost(TRUTH, loss=Loss(smoothing=0.1)) == pytest.approx(
        float(binary_cross_entropy_with_logits(OUTPUTS, aim))
    )
    truth = np.eye(2)[[0, 1, 1, 0]]
    assert cost(truth, CLASSES, Loss(smoothing=0.1)) == pytest.approx(
        float(cross_entropy(OUTPUTS, torch.tensor([0, 1, 1, 0]), label_smoothing=0.1))
    )


def test_focal_loss_of_one_answer_by_hand() -> None:
    p = 1 / (1 + math.exp(-2.0))
    goal = Goals(*(torch.tensor([[v]]) for v in (1.0, 1.0, 0.0, 0.0)))
    objective = Objective(MULTI_LABEL, Loss(kind="focal", gamma=2), None, np.array([[1.0], [0.0]]))

    assert float(objective(torch.tensor([[2.0]]), goal)) == pytest.approx(
        -((1 - p) ** 2) * math.log(p), rel=1e-5
    )


@pytest.mark.parametrize(
    ("balance", "present", "absent"),
    [
        ("none", 1.0, 1.0),
        ("positive", 3.0, 1.0),
        ("inverse", 2.0, 2 / 3),
    ],
)
def test_answers_weigh_by_how_rare_they_are(balance: str, present: float, absent: float) -> None:
    truth = np.array([[1.0], [0.0], [0.0], [0.0]])

    found = answer_weights(truth, Loss.model_validate({"balance": balance}))

    assert [float(w[0]) for w in found] == pytest.approx([present, absent])


def test_class_balance_is_by_the_effective_number() -> None:
    truth = np.array([[1.0]] * 10 + [[0.0]] * 990)
    beta = 0.99
    a, b = (1 - beta) / (1 - beta**10), (1 - beta) / (1 - beta**990)
    mean = (a * 10 + b * 990) / 1000

    present, absent = answer_weights(truth, Loss(balance="class-balanced", beta=beta))

    assert present[0] == pytest.approx(a / mean)
    assert absent[0] == pytest.approx(b / mean)


def test_no_answer_weighs_more_than_the_heaviest() -> None:
    truth = np.array([[1.0]] + [[0.0]] * 999)

    present, _ = answer_weights(truth, Loss(balance="positive", heaviest=20))

    assert present.tolist() == [20.0]


def test_classes_are_weighed_so_that_the_mean_cost_stays() -> None:
    truth = np.eye(3)[[0] * 6 + [1] * 3 + [2]]

    weights, _ = answer_weights(truth, Loss(balance="inverse"), exclusive=True)

    assert (weights * [6, 3, 1]).sum() == pytest.approx(10)
    assert weights[2] > weights[1] > weights[0]


def test_a_teacher_and_the_truth_share_the_cost() -> None:
    said = np.array([[0.8, 0.2]] * 4)
    teacher = Teacher(prefix="t_", weight=0.25)
    alone = float(binary_cross_entropy_with_logits(OUTPUTS, torch.tensor(said).float()))

    assert cost(TRUTH, teacher=teacher, taught=said) == pytest.approx(
        0.75 * cost(TRUTH) + 0.25 * alone, rel=1e-5
    )


def test_where_only_one_of_them_is_known_it_counts_whole() -> None:
    truth, said = TRUTH.copy(), np.full((4, 2), 0.9)
    truth[0, 0], said[1] = np.nan, np.nan

    found = goals(truth, said, Teacher(prefix="t_", weight=0.25), ALL)

    assert found.known[0].tolist() == [0, 0.75]
    assert found.taught[0].tolist() == [1, 0.25]
    assert found.known[1].tolist() == [1, 1]
    assert found.taught[1].tolist() == [0, 0]


def test_temperature_cools_both_and_keeps_gradients() -> None:
    said, heat = np.array([[0.8, 0.2]]), 2.0
    teacher = Teacher(prefix="t_", weight=1.0, temperature=heat)
    aim = torch.tensor([[1.0, -1.0]]) * math.log(4) / heat
    wanted = binary_cross_entropy_with_logits(OUTPUTS[:1] / heat, aim.sigmoid()) * heat**2

    assert cost(TRUTH[:1], teacher=teacher, taught=said) == pytest.approx(float(wanted), rel=1e-5)


def test_a_regression_brings_teacher_and_truth_to_one_scale() -> None:
    said = np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7], [0.4, 0.8]])
    teacher = Teacher(prefix="t_", weight=0.7, loss="regression")

    found = goals(TRUTH, said, teacher, ALL)

    for part in (found.hard, found.soft):
        assert part.mean(0).tolist() == pytest.approx([0, 0], abs=1e-6)
        assert part.std(0, correction=0).tolist() == pytest.approx([1, 1], rel=1e-5)


def test_the_scale_of_a_regression_is_that_of_the_images_to_learn_from() -> None:
    said = np.array([[0.1], [0.2], [0.3], [0.999]])
    teacher = Teacher(prefix="t_", loss="regression")

    found = goals(TRUTH[:, :1], said, teacher, np.array([0, 1, 2]))

    assert float(found.soft[:3].mean()) == pytest.approx(0, abs=1e-6)


def test_a_mixed_image_pays_to_each_by_its_share() -> None:
    shares = torch.tensor([[0.7, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.5, 0, 0, 0.5]])
    aim = (shares @ torch.tensor(TRUTH).float()).clamp(0, 1)
    wanted = binary_cross_entropy_with_logits(OUTPUTS, aim)

    assert cost(TRUTH, shares=shares) == pytest.approx(float(wanted), rel=1e-5)
    assert cost(TRUTH, shares=torch.eye(4)) == pytest.approx(cost(TRUTH))


def test_grades_ask_for_this_one_or_a_higher_one() -> None:
    truth = np.eye(4)[[0, 1, 3]]

    assert asked(truth, Output(kind="ordinal")).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]


def test_a_binary_softmax_asks_for_absence_first() -> None:
    output = Output(kind="binary", activation="softmax")

    assert asked(np.array([[1.0], [0.0]]), output).tolist() == [[0, 1], [1, 0]]

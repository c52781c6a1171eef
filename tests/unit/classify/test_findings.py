"""Labels, classes and grades: how numbers are read, which holds, and what is undetermined."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.answers import Finding, Form, Presence
from dicomnode.classify.calibration import answered, probabilities
from dicomnode.classify.card.fitted import Calibration, Curve
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Output
from dicomnode.classify.explaining.explain import Explainer
from dicomnode.classify.findings import decide, presences, threshold
from dicomnode.classify.load import load_classifier
from dicomnode.classify.model_classifier import ModelClassifier
from dicomnode.classify.network import Answering
from dicomnode.classify.runtimes.batched import Batched
from dicomnode.classify.runtimes.eager import Eager
from dicomnode.errors import ModelError
from tests.factories import make_dataset
from tests.phantom import make_bright_finder
from tests.tiny_model import Brightness, make_card, make_label

CLASSES, GRADES = Output(kind="multi-class"), Output(kind="ordinal")
SHORT = {Presence.PRESENT: "+", Presence.ABSENT: "-", Presence.UNDETERMINED: "?"}
TWO = (make_label("a"), make_label("b"))
NAMES = ("KL 0", "KL 1", "KL 2", "KL 3")


def said(labels: Sequence[Any], numbers: Sequence[float], output: Output) -> str:
    return "".join(SHORT[presence] for presence in presences(labels, numbers, output))


def calibration(**changes: Any) -> Calibration:
    return Calibration(**({"dataset": "drawings", "images": 2} | changes))


# --- numbers to probabilities ---------------------------------------------------------------


def test_of_classes_the_probabilities_sum_to_one() -> None:
    logits = np.log([[0.2, 0.5, 0.3], [2.0, 5.0, 3.0]])
    assert probabilities(logits, None, CLASSES) == pytest.approx(np.array([[0.2, 0.5, 0.3]] * 2))
    huge = np.array([1e4, 0.0, -1e4])
    assert probabilities(huge, None, CLASSES).tolist() == [1, 0, 0]
    assert answered(huge, None, CLASSES).tolist() == [0.9999, 0.0001, 0.0001]


def test_a_binary_answer_comes_from_one_number_or_from_two_that_compete() -> None:
    one = Output(kind="binary")
    two = Output(kind="binary", activation="softmax")
    assert probabilities(np.array([1.5]), None, one) == pytest.approx([1 / (1 + np.exp(-1.5))])
    assert probabilities(np.array([0.5, 2.0]), None, two) == pytest.approx([1 / (1 + np.exp(-1.5))])


def test_of_grades_each_number_is_of_that_grade_or_a_higher_one() -> None:
    steps = np.array([0.9, 0.6, 0.2])
    logits = np.log(steps / (1 - steps))
    assert probabilities(logits, None, GRADES) == pytest.approx([0.1, 0.9, 0.6, 0.2])
    softmax = Output(kind="ordinal", activation="softmax")
    shares = np.log([0.1, 0.3, 0.4, 0.2])
    assert probabilities(shares, None, softmax) == pytest.approx([0.1, 0.9, 0.6, 0.2])


def test_a_higher_grade_is_never_more_probable_than_a_lower_one() -> None:
    steps = np.array([0.4, 0.6, 0.2])
    told = probabilities(np.log(steps / (1 - steps)), None, GRADES)
    assert told == pytest.approx([0.6, 0.4, 0.4, 0.2])


def test_classes_are_calibrated_by_temperature_vector_or_curves() -> None:
    logits = np.array([1.0, 2.0, 3.0])

    def softmax(x: Any) -> Any:
        return np.exp(x) / np.exp(x).sum()

    warm = calibration(method="temperature", temperatures=(2.0,))
    assert probabilities(logits, warm, CLASSES) == pytest.approx(softmax(logits / 2))
    vector = calibration(method="platt", temperatures=(1.0, 2.0, 4.0), offsets=(0.1, 0.2, 0.3))
    bent = softmax(logits / [1, 2, 4] + [0.1, 0.2, 0.3])
    assert probabilities(logits, vector, CLASSES) == pytest.approx(bent)
    halved = calibration(
        method="isotonic",
        curves=(
            Curve(raw=(0, 1), calibrated=(0, 0.5)),
            *[Curve(raw=(0, 1), calibrated=(0, 1))] * 2,
        ),
    )
    raw = softmax(logits) * [0.5, 1, 1]
    assert probabilities(logits, halved, CLASSES) == pytest.approx(raw / raw.sum())
    nothing = calibration(method="isotonic", curves=[Curve(raw=(0, 1), calibrated=(0, 0))] * 3)
    assert probabilities(logits, nothing, CLASSES) == pytest.approx(softmax(logits))


def test_grades_are_calibrated_step_by_step() -> None:
    curves = [Curve(raw=(0, 1), calibrated=(0, 0.5)), Curve(raw=(0, 1), calibrated=(0, 1))]
    told = probabilities(np.zeros(2), calibration(method="isotonic", curves=curves), GRADES)
    assert told == pytest.approx([0.75, 0.25, 0.25])  # a step never rises


# --- which holds ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.2, 0.7, 0.1), "-+-"),
        ((0.4, 0.35, 0.25), "???"),  # over no threshold
        ((0.45, 0.52, 0.03), "???"),  # within its margin
        ((0.6, 0.2, 0.2), "+--"),
    ],
)
def test_of_classes_the_most_probable_holds_or_none(
    numbers: Sequence[float], expected: str
) -> None:
    labels = [make_label("a", 0.5), make_label("b", 0.5, 0.05), make_label("c", 0.0)]
    assert said(labels, numbers, CLASSES) == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((0.1, 0.05, 0.01), "+---"),
        ((0.9, 0.1, 0.05), "-+--"),
        ((0.9, 0.8, 0.7), "---+"),
        ((0.9, 0.48, 0.1), "-??-"),  # the second step is within its margin
        ((0.9, 0.52, 0.1), "-??-"),
        ((0.9, 0.52, 0.49), "-???"),
        ((0.9, 0.7, 0.51), "--??"),
    ],
)
def test_the_grade_is_the_highest_over_its_threshold(steps: Sequence[float], expected: str) -> None:
    labels = [make_label(name, 0.5, 0.05) for name in NAMES]
    labels[1] = make_label(NAMES[1], 0.5)
    assert said(labels, (1 - steps[0], *steps), GRADES) == expected


def test_the_lowest_grade_is_held_against_what_the_next_one_leaves() -> None:
    labels = [make_label("low", 0.9), make_label("high", 0.3)]
    assert [threshold(labels, index, GRADES) for index in (0, 1)] == [0.7, 0.3]


@pytest.mark.parametrize(
    ("combine", "output", "expected"),
    [
        (None, Output(), [(0.7, 1), (0.4, 0)]),
        ("max", Output(), [(0.7, 1), (0.4, 0)]),
        ("mean", Output(), [(0.5, 1), (0.35, 0)]),
        (None, CLASSES, [(0.5, 1), (0.35, 0)]),
        (None, GRADES, [(0.3, 0), (0.4, 0)]),  # the gravest speaks for the lowest grade
    ],
)
def test_several_looks_are_joined_as_the_card_says(
    combine: Any, output: Output, expected: list[tuple[float, int]]
) -> None:
    told = decide([(0.3, 0.4), (0.7, 0.3)], combine, output)
    assert [(one.probability, one.look) for one in told] == expected


# --- cards ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output": Output(kind="binary"), "labels": TWO}, "one label"),
        ({"output": CLASSES}, "two labels and more"),
        ({"output": GRADES}, "two labels and more"),
        (
            {
                "output": CLASSES,
                "labels": TWO,
                "calibration": calibration(method="temperature", temperatures=(1.0, 2.0)),
            },
            "one temperature, or by platt",
        ),
        (
            {
                "output": GRADES,
                "labels": (make_label("a"), make_label("b"), make_label("c")),
                "calibration": calibration(
                    method="isotonic", curves=[Curve(raw=(0,), calibrated=(0,))] * 3
                ),
            },
            r"2 curve",
        ),
        (
            {
                "output": CLASSES,
                "labels": TWO,
                "input": make_card().input.model_copy(update={"combine": "max"}),
            },
            "combined by mean",
        ),
    ],
)  # fmt: skip
def test_a_card_that_does_not_fit_its_kind_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        make_card(**changes)


@pytest.mark.parametrize(
    ("kind", "activation"), [("multi-label", "softmax"), ("multi-class", "sigmoid")]
)
def test_numbers_are_read_as_their_kind_has_it(kind: Any, activation: Any) -> None:
    with pytest.raises(ValidationError, match="are read by"):
        Output(kind=kind, activation=activation)


@pytest.mark.parametrize(
    ("output", "labels", "numbers", "steps", "of"),
    [
        (Output(), 3, 3, 3, [0, 1, 2]),
        (Output(kind="binary"), 1, 1, 1, [0]),
        (Output(kind="binary", activation="softmax"), 1, 2, 1, [1]),
        (CLASSES, 3, 3, 3, [0, 1, 2]),
        (GRADES, 3, 2, 2, [None, 0, 1]),
        (Output(kind="ordinal", activation="softmax"), 3, 3, 2, [None, 1, 2]),
    ],
)
def test_how_many_numbers_there_are_and_whose(
    output: Output, labels: int, numbers: int, steps: int, of: list[int | None]
) -> None:
    assert (output.numbers(labels), output.steps(labels)) == (numbers, steps)
    assert [output.number_of(label) for label in range(labels)] == of


# --- from a folder to an answer -------------------------------------------------------------


def image(level: float, spot: bool = True) -> Dataset:
    """A picture with a spot of that brightness, 0..1."""
    pixels = np.zeros((128, 128), dtype="<u2")
    pixels[48:80, 48:80] = round(4095 * level) if spot else 0
    ds = make_dataset(
        1, Rows=128, Columns=128, RescaleIntercept="0", WindowCenter="2048", WindowWidth="4096",
        PixelData=pixels.tobytes(),
    )  # fmt: skip
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    return ds


def findings(
    folder: Path, gain: Sequence[float], bias: Sequence[float], level: float, **changes: Any
) -> tuple[Finding, ...]:
    recipe = Input(size_px=64, channels=1, resize="pad", mean=(0.0,), std=(1.0,))
    layer = {"method": "hires-cam", "layer": "features.denseblock1"}
    make_bright_finder(folder, gain, bias, input=recipe, **({"explanation": layer} | changes))
    prediction = load_classifier(folder, device="cpu", threads=1).classify([image(level)])
    assert prediction.form is changes["output"].form
    return prediction.findings


def test_one_class_is_present_and_shown(tmp_path: Path) -> None:
    labels = (
        make_label("normal", 0.5).model_copy(update={"normal": True}),
        make_label("dim"),
        make_label("bright"),
    )
    told = {
        level: findings(
            tmp_path / str(level), (0, 60, 300), (1, 0, -8), level, labels=labels, output=CLASSES
        )
        for level in (0.0, 0.5, 1.0)
    }
    here = {
        level: [f.label for f in found if f.presence is Presence.PRESENT]
        for level, found in told.items()
    }
    assert (here[0.0], here[1.0]) == (["normal"], ["bright"])
    assert told[1.0][2].regions
    assert told[0.0][0].heat is None
    assert not told[0.0][0].marked
    assert told[1.0][2].marked
    for found in told.values():
        assert sum(finding.probability for finding in found) == pytest.approx(1, abs=3e-4)
        assert not any(finding.at_least for finding in found)


def test_one_grade_is_present_and_shown_but_not_the_lowest(tmp_path: Path) -> None:
    labels = tuple(make_label(name) for name in NAMES)
    seen = {}
    for level in (0.0, 0.35, 1.0):
        found = findings(
            tmp_path / str(level),
            (150, 150, 150),
            (-3, -6, -9),
            level,
            labels=labels,
            output=GRADES,
        )
        (here,) = [finding for finding in found if finding.presence is Presence.PRESENT]
        assert [finding.at_least for finding in found] == [False, True, True, True]
        assert all(a.probability >= b.probability for a, b in pairwise(found[1:]))
        seen[level] = here
    assert seen[0.0].label == "KL 0"
    assert seen[0.0].heat is None
    assert seen[0.35].label in ("KL 1", "KL 2")
    assert seen[1.0].label == "KL 3"
    assert seen[1.0].regions


def test_a_binary_answer_of_two_numbers_is_of_the_second(tmp_path: Path) -> None:
    output = Output(kind="binary", activation="softmax")
    (bright,) = findings(tmp_path, (0, 300), (0, -4), 1.0, output=output)
    assert bright.presence is Presence.PRESENT
    assert bright.regions


def test_a_network_that_gives_other_numbers_than_the_labels_need_is_refused() -> None:
    labels = (make_label("a"), make_label("b"))
    network = Brightness(3)
    card = make_card(labels=labels)
    runtime = Batched(Eager(Answering(network, card), torch.device("cpu")))
    classifier = ModelClassifier(card, runtime, Explainer(network, card.explanation))
    with pytest.raises(ModelError, match="need 2 numbers, and the network gives 3"):
        classifier.classify([image(0.5)])


def test_forms_are_named() -> None:
    assert [Output(kind=k).form for k in ("multi-label", "binary", "multi-class", "ordinal")] == [
        Form.FINDINGS, Form.FINDINGS, Form.CLASSES, Form.GRADES,
    ]  # fmt: skip

"""Every kind of answer is learnt, and every way to begin; what comes out can be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.folder import read_card
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Output
from dicomnode.classify.load import load_classifier
from dicomnode.errors import ModelError
from dicomnode.learn.training.folder import Folders
from dicomnode.learn.training.run import train
from dicomnode.learn.training.shown import Shown
from tests.factories import make_dataset, make_part10
from tests.lessons import ALONE, QUIET, make_plan, write_lesson
from tests.tiny_model import make_label, make_model

OCCLUSION = Explanation(method="occlusion")
TWO_VIEWS = Input.model_validate(
    {
        "kind": "views", "size_px": 32, "channels": 1, "resize": "pad", "mean": [0.5],
        "std": [0.25], "slots": ["PA", "LATERAL"],
    }
)  # fmt: skip
EIGHT_BITS: dict[str, Any] = {
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "WindowCenter": None,
}


def grades(folder: Path) -> None:
    """A manifest in which exactly one of three columns is 1."""
    path = write_lesson(folder)
    head, *lines = path.read_text().splitlines()
    kept = [line.rsplit(",", 2)[0] for line in lines]
    rows = [
        ",".join([line, *(str(int(i % 3 == k)) for k in range(3))]) for i, line in enumerate(kept)
    ]
    path.write_text("\n".join([head.rsplit(",", 2)[0] + ",none,some,much", *rows]) + "\n")


def run(folder: Path, **changes: Any) -> Any:
    made = make_plan(folder, **({"optimise": {"epochs": 2}} | changes))
    card = train(made, Folders(model=folder / "model", run=folder / "run"), ALONE, Shown(QUIET))
    assert load_classifier(folder / "model", "cpu", 1).model.name == "sides"
    assert read_card(folder / "model") == card
    return card


@pytest.mark.parametrize("kind", ["multi-class", "ordinal"])
def test_one_of_several_is_learnt(tmp_path: Path, kind: str) -> None:
    grades(tmp_path)

    card = run(tmp_path, output={"kind": kind})

    assert card.output.kind == kind
    assert card.evaluation is not None
    assert card.numbers == (3 if kind == "multi-class" else 2)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_one_label_is_learnt(tmp_path: Path, activation: str) -> None:
    card = run(
        tmp_path,
        output={"kind": "binary", "activation": activation},
        labels=[{"name": "left"}],
    )

    assert card.numbers == (1 if activation == "sigmoid" else 2)
    assert [label.name for label in card.labels] == ["left"]


@pytest.mark.parametrize(
    "loss",
    [
        {"kind": "focal"},
        {"balance": "class-balanced"},
        {"balance": "positive", "smoothing": 0.1},
        {"kind": "focal", "balance": "inverse"},
    ],
)
def test_every_loss_is_learnt_by(tmp_path: Path, loss: dict[str, Any]) -> None:
    run(tmp_path, loss=loss, data={"sampling": "balanced"})


def test_half_precision_is_learnt_in(tmp_path: Path) -> None:
    run(tmp_path, optimise={"epochs": 1, "precision": "bfloat16", "method": "sgd"})


@pytest.mark.parametrize("loss", ["cross-entropy", "regression"])
def test_columns_teach(tmp_path: Path, loss: str) -> None:
    run(tmp_path, teacher={"prefix": "t_", "loss": loss, "weight": 0.7})


def test_a_model_teaches(tmp_path: Path) -> None:
    make_model(tmp_path / "teacher", labels=(make_label("right"), make_label("left")))

    run(tmp_path, teacher={"model": "teacher", "temperature": 2.0})


def test_a_teacher_of_other_labels_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path / "teacher")

    with pytest.raises(ModelError, match="the teacher knows none of the labels"):
        run(tmp_path, teacher={"model": "teacher"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output": Output(kind="multi-class")}, "go together in another way"),
        ({"output": Output(kind="ordinal")}, "go together in another way"),
        ({"input": TWO_VIEWS, "explanation": OCCLUSION}, "looks at views, not at an image"),
    ],
)
def test_a_teacher_of_another_kind_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    make_model(tmp_path / "teacher", labels=(make_label("left"), make_label("right")), **changes)

    with pytest.raises(ModelError, match=said):
        run(tmp_path, teacher={"model": "teacher"})


def test_trains_on_from_a_model_stage_by_stage(tmp_path: Path) -> None:
    make_model(tmp_path / "first")

    card = run(
        tmp_path,
        network=None,
        start={"model": "first", "frozen": [[1, 3], [2, 0]], "decay": 0.5},
    )

    assert card.architecture == read_card(tmp_path / "first").architecture


def test_images_that_are_kept_larger_are_seen_in_the_right_size(tmp_path: Path) -> None:
    run(tmp_path, data={"detail": 1.5}, augment=[{"name": "affine"}, {"name": "cutmix"}])


def test_labels_that_are_known_have_their_codes(tmp_path: Path) -> None:
    path = write_lesson(tmp_path)
    path.write_text(path.read_text().replace("left,right", "Effusion,Cardiomegaly"))

    card = run(tmp_path, optimise={"epochs": 1})

    assert [(label.name, label.code.scheme) for label in card.labels] == [
        ("pleural effusion", "SCT"), ("cardiomegaly", "SCT"),
    ]  # fmt: skip


def test_unknown_truth_is_borne(tmp_path: Path) -> None:
    path = write_lesson(tmp_path)
    lines = path.read_text().splitlines()
    for at in (5, 9, 13):
        lines[at] = lines[at].rsplit(",", 1)[0] + ","
    path.write_text("\n".join(lines) + "\n")

    card = run(tmp_path, data={"folds": 2})

    assert card.evaluation is not None
    counted = {m.label: m.positives + m.negatives for m in card.evaluation.measures}
    assert counted == {"left": 24, "right": 21}


def test_dicom_is_learnt_from_as_pictures_are(tmp_path: Path) -> None:
    path = write_lesson(tmp_path)
    for picture in tmp_path.glob("*.png"):
        pixels = np.asarray(Image.open(picture))
        rows, columns = pixels.shape
        dataset = make_dataset(rows=rows, columns=columns, PixelData=pixels.tobytes(), **EIGHT_BITS)
        picture.with_suffix(".dcm").write_bytes(make_part10(dataset))
        picture.unlink()
    path.write_text(path.read_text().replace(".png", ".dcm"))

    run(tmp_path, optimise={"epochs": 1})

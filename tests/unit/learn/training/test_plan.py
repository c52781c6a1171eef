"""What a run will do is settled, and what cannot be done is told, before anything is decoded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicomnode.errors import ConfigError, ModelError, NotFound
from dicomnode.learn.training.plan import HELD_OUT, TRAINING, VALIDATION
from tests.lessons import make_plan, write_lesson


def problems(folder: Path, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make_plan(folder, **changes)
    return str(caught.value)


def edited(folder: Path, old: str, new: str) -> None:
    path = write_lesson(folder)
    path.write_text(path.read_text().replace(old, new))


def test_every_image_has_a_part_and_patients_stay_together(tmp_path: Path) -> None:
    made = make_plan(tmp_path)

    assert [len(made.of(part)) for part in (TRAINING, VALIDATION, HELD_OUT)] == [12, 6, 6]
    parts = dict(zip(made.manifest.patients, made.parts, strict=True))
    assert [parts[p] for p in made.manifest.patients] == made.parts.tolist()


def test_folds_take_every_image(tmp_path: Path) -> None:
    made = make_plan(tmp_path, data={"folds": 4})

    assert made.folds is not None
    assert set(made.folds.tolist()) == {0, 1, 2, 3}
    assert len(made.of(TRAINING)) == 24


def test_a_column_of_the_manifest_fixes_the_parts(tmp_path: Path) -> None:
    path = write_lesson(tmp_path)
    head, *lines = path.read_text().splitlines()
    names = ["train"] * 16 + ["val"] * 4 + ["test"] * 4
    split = [f"{line},{name}" for line, name in zip(lines, names, strict=True)]
    path.write_text("\n".join([head + ",split", *split]) + "\n")

    made = make_plan(tmp_path)
    crossed = make_plan(tmp_path, data={"folds": 2})

    assert made.of(VALIDATION).tolist() == [16, 17, 18, 19]
    assert made.of(HELD_OUT).tolist() == [20, 21, 22, 23]
    assert crossed.folds is not None
    assert np.flatnonzero(crossed.folds < 0).tolist() == [20, 21, 22, 23]


def test_a_part_of_another_name_is_told_with_its_line(tmp_path: Path) -> None:
    path = write_lesson(tmp_path)
    head, *lines = path.read_text().splitlines()
    split = [f"{line},{'trian' if i == 3 else 'train'}" for i, line in enumerate(lines)]
    path.write_text("\n".join([head + ",split", *split]) + "\n")

    assert "manifest.csv:5" in problems(tmp_path)


def test_a_label_of_one_kind_only_cannot_be_learnt(tmp_path: Path) -> None:
    path = write_lesson(tmp_path)
    head, *lines = path.read_text().splitlines()
    lines = [",".join([*line.split(",")[:-1], "0"]) for line in lines]
    path.write_text("\n".join([head, *lines]) + "\n")

    told = problems(tmp_path)

    assert "right" in told
    assert "none has it" in told
    assert "left" not in told


def test_only_the_wanted_lines_are_taken(tmp_path: Path) -> None:
    edited(tmp_path, "p7,7.png,50,F,PA", "p7,7.png,50,F,AP")

    made = make_plan(tmp_path, data={"where": {"view": "PA"}})

    assert len(made.manifest.entries) == len(made.manifest.truth) == 23
    assert "no line is as data.where" in problems(tmp_path, data={"where": {"view": "LL"}})


def test_labels_are_called_as_the_recipe_says(tmp_path: Path) -> None:
    code = {"value": "60046008", "scheme": "SCT", "meaning": "Pleural effusion"}
    labels = [{"name": "pleural effusion", "column": "right", "code": code}]

    made = make_plan(tmp_path, labels=labels)

    assert made.manifest.labels == ("pleural effusion",)
    assert made.card.labels[0].code.value == "60046008"
    assert made.manifest.truth.shape == (24, 1)


def test_classes_need_exactly_one_that_is_true(tmp_path: Path) -> None:
    told = problems(tmp_path, output={"kind": "multi-class"}, input={"combine": "mean"})

    assert "needs exactly one label that is 1" in told


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"kind": "densenet", "params": {"blocks": 3}}, "start": {"truncate": 1}},
        {"start": {"truncate": 1}},
    ],
)
def test_there_is_nothing_to_cut_without_a_model(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="truncate cuts the network of"):
        make_plan(tmp_path, **changes)


def test_a_model_to_start_from_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no such model"):
        make_plan(tmp_path, start={"model": "nobody"})


def test_an_explanation_that_contradicts_the_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="makes no card"):
        make_plan(tmp_path, output={"kind": "binary"})

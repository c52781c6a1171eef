"""The card: read, written, and every mistake named."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from dicomnode.answers import Translation
from dicomnode.classify.card.common import Spoken
from dicomnode.classify.card.folder import find_models, read_card, write_card
from dicomnode.classify.card.measured import Evaluation, Measures
from dicomnode.classify.card.tables import Estimate
from dicomnode.errors import ModelError
from tests.tiny_model import make_card, make_label

Change = Callable[[Any], object]


def calibration(**changes: Any) -> dict[str, Any]:
    usual = {"method": "temperature", "temperatures": [1.0], "dataset": "grey", "images": 2}
    return usual | changes


def bent(raw: list[float], calibrated: list[float]) -> dict[str, Any]:
    curves = [{"raw": raw, "calibrated": calibrated}]
    return {"method": "isotonic", "curves": curves, "dataset": "grey", "images": 2}


def change(folder: Path, alter: Change) -> None:
    """Alter a written card behind its back."""
    document = tomlkit.parse((folder / "model.toml").read_text())
    alter(document)
    (folder / "model.toml").write_text(tomlkit.dumps(document))


def test_reads_what_it_wrote(tmp_path: Path) -> None:
    half = Estimate(value=0.5, low=0.4, high=0.6)
    measures = Measures(
        label="bright", positives=3, negatives=4, auroc=half, sensitivity=half, specificity=half
    )
    evaluation = Evaluation(dataset="seven drawings", images=7, seed=1, measures=(measures,))
    spoken = {"de": Spoken(disclaimer="Nur zum Testen"), "fr": Spoken(intended_use="Essais")}
    card = make_card(evaluation=evaluation, translations=spoken)
    write_card(card, tmp_path)
    assert read_card(tmp_path) == card


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda d: d.pop("disclaimer"), "disclaimer: Field required"),
        (lambda d: d.update(colour="red"), "colour: Extra inputs"),
        (lambda d: d.update(version="1\\2"), "version: String should match"),
        (lambda d: d.update(name=""), "name: String should match"),
        (lambda d: d["labels"][0].update(threshold=1.5), r"labels\.0\.threshold: .*less than"),
        (lambda d: d["labels"].append(d["labels"][0]), "two labels have the same name"),
        (lambda d: d["labels"].clear(), "labels: "),
        (lambda d: d["input"].update(mean=[0.1, 0.2]), r"input: .*mean and std need 1 number"),
        (lambda d: d["input"].update(std=[0.0]), r"input\.std\.0: .*greater than 0"),
        (lambda d: d["input"].update(resize="zoom"), r"input\.resize: .*'stretch' or 'crop'"),
        (lambda d: d["weights"].update(file="weights.pt"), r"weights\.file: .*safetensors"),
        (lambda d: d["weights"].update(file="../weights.safetensors"), r"weights\.file: "),
        (lambda d: d["weights"].update(sha256="abc"), r"weights\.sha256: "),
        (lambda d: d["architecture"].update(kind="mine"), r"architecture\.kind: .*'densenet'"),
        (lambda d: d["input"].update(min_px=0), r"input\.min_px: .*greater than"),
        (lambda d: d["labels"][0].update(names={"de": ""}), r"labels\.0\.names\.de: "),
        (lambda d: d.update(translations={"de": {"use": "x"}}), r"translations\.de\.use: Extra"),
        (
            lambda d: d.update(calibration=calibration(temperatures=[1.0, 2.0])),
            r"1 temperature, or 1",
        ),
        (lambda d: d.update(calibration=calibration(temperatures=[0.0])), r"greater than 0"),
        (lambda d: d.update(calibration=calibration(temperatures=[])), r"temperatures belong"),
        (lambda d: d.update(calibration=calibration(offsets=[1.0])), r"offsets belong"),
        (lambda d: d.update(calibration=bent([0.2, 0.1], [0.1, 0.2])), r"raw has to ascend"),
        (lambda d: d.update(calibration=bent([0.1, 0.2], [0.2, 0.1])), r"must never fall"),
        (lambda d: d.update(calibration=bent([0.1], [0.2, 0.3])), r"as many numbers each"),
        (lambda d: d.update(novelty={"layer": "look"}), r"novelty\.threshold: Field required"),
        (lambda d: d["explanation"].update(method="guess"), r"explanation\.method: .*'grad-cam'"),
    ],
)
def test_names_folder_key_and_what_would_be_right(
    tmp_path: Path, alter: Change, words: str
) -> None:
    write_card(make_card(), tmp_path)
    change(tmp_path, alter)
    with pytest.raises(ModelError, match=words) as caught:
        read_card(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_says_that_there_is_no_card(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model\.toml"):
        read_card(tmp_path)


@pytest.mark.parametrize("content", [b"name = \n", b"\xff\xfe"])
def test_says_that_a_card_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.toml").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(tmp_path)


def test_names_the_model_as_results_do() -> None:
    model = make_card().model
    assert (model.name, model.version, model.digest) == ("tiny", "0.1", "0" * 64)
    assert model.explanation == "Grad-CAM"
    assert (model.views, model.translations) == ((), {})
    seen = make_card().input.model_copy(update={"views": ("PA",)})
    spoken = make_card(input=seen, translations={"de": Spoken(disclaimer="Nur zum Testen")}).model
    assert spoken.views == ("PA",)
    assert spoken.translations == {"de": Translation(disclaimer="Nur zum Testen")}
    concept = make_label("nodule").concept
    assert (concept.value, concept.scheme, concept.meaning) == ("nodule", "99TEST", "Nodule")


def test_the_demonstration_model_is_always_there() -> None:
    card = read_card(find_models()["demonstration"])
    assert "not for clinical use" in card.disclaimer
    assert card.evaluation is not None
    assert [m.label for m in card.evaluation.measures] == [label.name for label in card.labels]


def test_finds_models_by_the_name_of_their_folder(tmp_path: Path) -> None:
    (tmp_path / "chest").mkdir()
    (tmp_path / "no model").mkdir()
    write_card(make_card(), tmp_path / "chest")
    assert find_models([tmp_path]).keys() == {"demonstration", "chest"}


def test_refuses_two_models_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "demonstration").mkdir()
    write_card(make_card(), tmp_path / "demonstration")
    with pytest.raises(ModelError, match="has the same name"):
        find_models([tmp_path])


def test_refuses_a_folder_of_models_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no folder"):
        find_models([tmp_path / "missing"])


def test_listing_models_loads_neither_torch_nor_monai() -> None:
    program = (
        "import sys; from dicomnode.classify.card.folder import find_models, read_card;"
        "[read_card(folder) for folder in find_models().values()];"
        "sys.exit(bool({'torch', 'monai'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

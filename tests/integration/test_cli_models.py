"""What an operator sees of the models."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicomnode.classify.card.fitted import Calibration, Novelty, Reliability
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Output
from dicomnode.classify.card.tables import Weights
from dicomnode.learn.drawing import draw
from tests.cli import call, configure, told
from tests.phantom import make_ball_finder
from tests.tiny_model import make_ensemble, make_label, make_model


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node with a model of its own beside the one that ships."""
    make_model(tmp_path / "models" / "tiny")
    return configure(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "models"}"]\n')


def test_lists_the_shipped_models_without_a_configuration(tmp_path: Path) -> None:
    result = call("models", "list", "--config", tmp_path)

    assert result.exit_code == 0
    assert "demonstration" in result.stdout


def test_lists_the_models_of_the_configuration(config: Path) -> None:
    cards = told(call("models", "list", "--json", "--config", config))

    assert set(cards) == {"demonstration", "tiny"}
    assert cards["tiny"]["intended_use"] == "Tests only"


@pytest.mark.parametrize("columns", [80, 120])
def test_shows_a_card_within_the_screen(columns: int, config: Path) -> None:
    result = call("models", "show", "demonstration", "--config", config, columns=columns)

    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert "Demonstration, not for clinical use" in lines
    place = lines.index("folder") + 1  # a path is not broken
    assert max(len(line) for line in lines[:place] + lines[place + 1 :]) <= columns
    assert any(line.startswith("measured on") for line in lines)


def test_shows_what_was_never_measured(config: Path) -> None:
    result = call("models", "show", "tiny", "--config", config)

    assert "The card has no measurements." in result.stdout
    assert told(call("models", "show", "tiny", "--json", "-c", config))["evaluation"] is None


def test_a_model_that_does_not_exist_is_named_with_those_that_do(config: Path) -> None:
    result = call("models", "show", "tyni", "--config", config)

    assert result.exit_code == 1
    assert "there is no model tyni; here are: demonstration, tiny" in result.stderr


def test_a_model_folder_without_sense_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "tiny" / "model.toml").write_text("name = ")

    result = call("models", "list", "--config", config)

    assert result.exit_code == 1
    assert "tiny" in result.stderr


def test_shows_how_a_finding_is_explained(config: Path) -> None:
    result = call("models", "show", "demonstration", "--config", config, columns=200)

    assert "HiResCAM at class_layers.relu" in result.stdout
    assert "regions from 50% of the maximum" in result.stdout


def test_shows_calibration_and_what_is_unlike_the_training(tmp_path: Path) -> None:
    measures = Reliability(
        label="bright", ece_before=0.2, ece_after=0.1, brier_before=0.04, brier_after=0.03
    )
    calibration = Calibration(
        method="temperature", temperatures=(2.0,), dataset="held-out", images=90,
        measures=(measures,),
    )  # fmt: skip
    novelty = Novelty(
        layer="features.norm5", grid=1, threshold=3.0, dataset="training", images=80,
        numbers=Weights(file="usual.safetensors", sha256="0" * 64), accepted=0.985,
    )  # fmt: skip
    make_model(tmp_path / "models" / "tiny", calibration=calibration, novelty=novelty)
    config = configure(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "models"}"]\n')

    result = call("models", "show", "tiny", "--config", config)

    assert result.exit_code == 0, result.output
    assert "calibrated by temperature, on 90 images: held-out" in result.stdout
    assert "bright   0.200 -> 0.100     0.040 -> 0.030" in result.stdout
    assert "98.5% of images like its training are accepted" in result.stdout


def test_measures_explanations_on_drawings(tmp_path: Path) -> None:
    lines = told(
        call(
            "models", "evaluate", "demonstration", "--synthetic", 3, "--json",
            "--methods", "grad-cam++,hires-cam", "--config", tmp_path,
        )
    )  # fmt: skip

    whole = {line["method"]: line for line in lines if not line["label"]}
    assert set(whole) == {"grad-cam++", "hires-cam"}
    assert whole["hires-cam"]["findings"] == whole["grad-cam++"]["findings"] >= 3
    assert whole["hires-cam"]["centre"]["value"] > 0.5
    assert whole["hires-cam"]["insertion"] > whole["hires-cam"]["deletion"]


def test_measures_explanations_on_images_with_and_without_boxes(tmp_path: Path) -> None:
    drawn = draw(7, ["cardiomegaly"], rows=256)
    left, top, right, bottom = drawn.boxes["cardiomegaly"]
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray((drawn.pixels >> 4).astype(np.uint8)).save(images / "one.png")
    boxes = tmp_path / "boxes.csv"
    line = f"one.png,cardiomegaly,{left},{top},{right - left},{bottom - top}\n"
    boxes.write_text("file,label,x,y,width,height\n" + line)
    given = ("models", "evaluate", "demonstration", "--images", images, "--config", tmp_path)

    with_boxes = call(*given, "--boxes", boxes)
    without = told(call(*given, "--json"))

    assert with_boxes.exit_code == 0, with_boxes.stderr
    assert max(len(row.rstrip()) for row in with_boxes.stdout.splitlines()) <= 80
    (row,) = [row.split() for row in with_boxes.stdout.splitlines() if row.startswith("all ")]
    assert row[:3] == ["all", "1", "100%"]
    assert all(line["centre"] is None for line in without)
    assert all(0 <= line["deletion"] <= 1 for line in without)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["demonstration", "--methods", "magic"],
            "no method magic; there are: grad-cam++",
        ),
        (["demonstration", "--images", "nowhere"], "nowhere: is no folder with images"),
        (["tiny"], "tiny finds nothing that can be drawn; give --images"),
    ],
)
def test_says_what_cannot_be_measured(config: Path, options: list[str], said: str) -> None:
    result = call("models", "evaluate", *options, "--config", config, columns=200)

    assert result.exit_code == 1
    assert said in result.stderr


def test_lists_and_shows_a_model_that_is_several(tmp_path: Path) -> None:
    cards = [make_model(tmp_path / "models" / name, name=name) for name in ("one", "other")]
    made = make_ensemble(tmp_path / "models" / "both", *cards)
    node = f'[classify]\nmodels = ["{tmp_path / "models"}"]\n'
    config = configure(tmp_path, node=node)

    listed = told(call("models", "list", "--json", "--config", config))
    shown = call("models", "show", "both", "--config", config, columns=120).stdout

    assert listed["both"]["ensemble"]["members"][0]["model"] == "one@0.1"
    assert "one@0.1, other@0.1" in shown
    assert made.digest in shown
    assert "the mean of probabilities" in shown
    assert "2 models that answer together" in shown
    assert "SHA-256 of the models and how they are joined" in shown


def test_shows_what_a_model_is_shown_and_what_it_tells(tmp_path: Path) -> None:
    make_ball_finder(tmp_path / "models" / "balls", name="balls")
    config = configure(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "models"}"]\n')

    shown = call("models", "show", "balls", "--config", config, columns=120).stdout

    assert "a series of slices, as 32 x 32 x 32 voxels, 4 x 4 x 4 mm, along SPL" in shown
    assert "findings, each for itself" in shown


def test_shows_grades_as_steps_of_which_the_lowest_has_no_threshold(tmp_path: Path) -> None:
    grades = (make_label("KL 0", 0.9), make_label("KL 1", 0.4), make_label("KL 2", 0.3))
    make_model(tmp_path / "models" / "knee", labels=grades, output=Output(kind="ordinal"))
    config = configure(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "models"}"]\n')

    shown = call("models", "show", "knee", "--config", config, columns=80).stdout

    assert "grades, each counted with those above it" in shown
    rows = [line.split() for line in shown.splitlines() if line.startswith("KL ")]
    assert [row[-2] for row in rows] == ["-", "40.0%", "30.0%"]


def test_shows_views_that_a_model_needs_together(tmp_path: Path) -> None:
    recipe = Input(
        kind="views", slots=("PA", "LATERAL"), fusion="mean", size_px=32, channels=1, resize="pad",
        mean=(0.5,), std=(0.25,),
    )  # fmt: skip
    make_model(tmp_path / "models" / "pair", input=recipe)
    config = configure(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "models"}"]\n')

    shown = call("models", "show", "pair", "--config", config, columns=80).stdout

    assert "PA, LATERAL; each of them is needed" in shown
    assert not any(line.startswith("may differ") for line in shown.splitlines())

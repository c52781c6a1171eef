"""Training the demonstration model: the whole story, on a recipe of seconds."""

import hashlib
import io
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.folder import read_card
from dicomnode.classify.load import load_classifier
from dicomnode.learn.demonstration import Recipe, train
from dicomnode.learn.synthetic import synthetic_dx
from tests.tools import require

SHORT = Recipe(
    training=10, validation=12, held_out=12, least_rows=64, most_rows=80, size_px=64, epochs=2,
    batch=5, block_config=(2, 2), threads=1, prevalence=0.5, explained=2,
)  # fmt: skip


def run(recipe: Recipe, folder: Path) -> tuple[Card, str]:
    log = io.StringIO()
    return train(recipe, folder, Console(file=log)), log.getvalue()


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


def test_the_same_recipe_gives_the_same_weights_and_card(tmp_path: Path) -> None:
    first, _ = run(SHORT, tmp_path / "first")
    second, _ = run(SHORT, tmp_path / "second")
    other, _ = run(replace(SHORT, seed=8), tmp_path / "other")
    assert digest(tmp_path / "first") == digest(tmp_path / "second") == first.weights.sha256
    assert first == second
    assert other.weights.sha256 != first.weights.sha256


def test_learning_lowers_the_loss(tmp_path: Path) -> None:
    _, log = run(replace(SHORT, epochs=6), tmp_path)
    losses = [float(line.split()[-1]) for line in log.splitlines() if ": loss " in line]
    assert len(losses) == 6
    assert losses[-1] < losses[0]


def test_the_folder_it_writes_is_a_model(tmp_path: Path) -> None:
    card, _ = run(SHORT, tmp_path)
    assert read_card(tmp_path) == card
    assert tomllib.loads((tmp_path / "recipe.toml").read_text())["batch"] == 5
    prediction = load_classifier(tmp_path, device="cpu").classify([synthetic_dx(1, rows=96)])
    assert len(prediction.findings) == 4


def test_a_synthetic_radiograph_is_a_valid_object(tmp_path: Path) -> None:
    require("validators")
    path = tmp_path / "image.dcm"
    synthetic_dx(1, ["nodule"], rows=64).save_as(path, enforce_file_format=True)
    said = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=True)
    lines = (said.stdout + said.stderr).splitlines()
    assert lines == ["DXImageForPresentation"]

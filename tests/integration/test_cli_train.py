"""`dicomnode train` from a shell: what it says, what it leaves, and what it survives."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dicomnode.classify.card.folder import read_card
from tests.cli import call
from tests.lessons import write_lesson, write_recipe

SLOW = {"optimise": {"epochs": 40, "batch": 2}, "input": {"size_px": 96}}


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def program(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "dicomnode", "train", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "sides" / "weights.safetensors"))


def test_trains_prints_the_card_and_leaves_no_checkpoints(tmp_path: Path) -> None:
    write_lesson(tmp_path)
    recipe = write_recipe(tmp_path, data={"folds": 2}, optimise={"epochs": 1})

    done = call("train", recipe, "--to", tmp_path / "models", columns=400)

    assert done.exit_code == 0, done.output
    assert "sides 1.0.0" in done.output
    assert "measured on 24 images" in done.output
    assert "; 24 images" not in done.output
    assert "predictions.csv" in done.output
    assert {path.name for path in (tmp_path / "models" / "sides.run").iterdir()} == {
        "predictions.csv"
    }
    assert call("models", "verify", "sides", "--config", _config(tmp_path)).exit_code == 0


def _config(folder: Path) -> Path:
    config = folder / "ae_config"
    config.mkdir()
    models = folder / "models"
    storage = f'[storage]\nfolder = "{folder / "node"}"\n'
    (config / "node.toml").write_text(f'{storage}[classify]\nmodels = ["{models}"]\n')
    return config


def test_out_of_fold_answers_can_be_evaluated(tmp_path: Path) -> None:
    write_lesson(tmp_path)
    recipe = write_recipe(tmp_path, data={"folds": 2}, optimise={"epochs": 1})
    call("train", recipe, "--to", tmp_path)

    done = call("evaluate", tmp_path / "sides.run" / "predictions.csv", "--json")

    assert done.exit_code == 0, done.output
    assert "left" in done.stdout


def test_a_model_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    write_lesson(tmp_path)
    recipe = write_recipe(tmp_path, optimise={"epochs": 1})
    call("train", recipe, "--to", tmp_path)

    second = call("train", recipe, "--to", tmp_path)
    third = call("train", recipe, "--to", tmp_path, "--again")

    assert second.exit_code == 1
    assert "a model is there already; --again" in second.stderr
    assert third.exit_code == 0


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    write_lesson(tmp_path)
    recipe = write_recipe(tmp_path, optimise={"epochs": 1})
    (tmp_path / "m" / "sides").mkdir(parents=True)
    (tmp_path / "m" / "sides" / "thesis.txt").write_text("mine")
    begun = tmp_path / "m" / "sides.run" / "predictions.csv"
    begun.parent.mkdir()
    begun.write_text("answers")

    done = call("train", recipe, "--to", tmp_path / "m", "--again")

    assert done.exit_code == 1
    assert "is no model's folder" in done.stderr
    assert (tmp_path / "m" / "sides" / "thesis.txt").read_text() == "mine"
    assert begun.read_text() == "answers"


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(tmp_path: Path) -> None:
    write_lesson(tmp_path)
    recipe = write_recipe(tmp_path, augment=[{"name": "affine"}, {"name": "mixup"}])

    picture = tmp_path / "varied.png"
    done = call("train", recipe, "--to", tmp_path / "m", "--dry-run", "--preview", picture)

    assert done.exit_code == 0, done.output
    for words in ("training", "held out", "left", "stages: 1 features.conv0", "min for 1 network"):
        assert words in done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "m").exists()


def test_an_example_is_written_once(tmp_path: Path) -> None:
    first = call("train", "--init", tmp_path / "recipe.toml")
    second = call("train", "--init", tmp_path / "recipe.toml")

    assert first.exit_code == 0
    assert "[[augment]]" in (tmp_path / "recipe.toml").read_text()
    assert second.exit_code == 1
    assert "File exists" in second.stderr


def test_without_a_recipe_it_says_how_to_get_one() -> None:
    done = call("train")

    assert done.exit_code == 2
    assert "--init" in done.stderr


def test_mistakes_end_it_before_anything_is_written(tmp_path: Path) -> None:
    manifest = write_lesson(tmp_path)
    manifest.write_text(manifest.read_text().replace("7.png", "gone.png"))

    done = call("train", write_recipe(tmp_path), "--to", tmp_path / "m")

    assert done.exit_code == 3
    assert "manifest.csv:9  file" in done.stderr
    assert not (tmp_path / "m").exists()


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    write_lesson(tmp_path)
    (tmp_path / "5.png").write_bytes(b"\x89PNG nothing")

    done = call("train", write_recipe(tmp_path), "--to", tmp_path / "m")

    assert done.exit_code == 3
    assert "manifest.csv:7" in done.stderr
    assert "is no image that can be decoded" in done.stderr


@pytest.mark.timeout(900)  # five whole runs of the program
def test_killed_at_any_moment_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    write_lesson(tmp_path)
    recipe = write_recipe(tmp_path, **SLOW)
    whole = program(recipe, "--to", tmp_path / "whole")
    assert whole.wait(600) == 0, whole.stderr and whole.stderr.read()

    broken = tmp_path / "broken"
    checkpoint = broken / "sides.run" / "network.safetensors"
    for kills in range(3):
        child = program(recipe, "--to", broken)
        before = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else 0
        while child.poll() is None:  # until an epoch ended, and a little into the next
            if checkpoint.is_file() and checkpoint.stat().st_mtime_ns != before:
                time.sleep(0.03 * (kills + 1))
                break
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        assert child.returncode == -signal.SIGKILL
    last = program(recipe, "--to", broken)
    assert last.wait(600) == 0, last.stderr and last.stderr.read()
    last.communicate()
    whole.communicate()

    assert not checkpoint.exists()
    one, other = weights(tmp_path / "whole"), weights(broken)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.timeout(900)  # three more of them
def test_two_processes_learn_as_one_with_the_whole_batch(tmp_path: Path) -> None:
    """Without norms over a batch, which each process has of its own part."""
    write_lesson(tmp_path)
    same = {
        "network": {"params": {
            "init_features": 4, "growth_rate": 4, "block_config": [1, 1], "norm": "instance",
        }},
        "optimise": {"epochs": 2, "batch": 4, "learning_rate": 0.01},
    }  # fmt: skip
    recipe = write_recipe(tmp_path, **same)
    alone = program(recipe, "--to", tmp_path / "alone")
    assert alone.wait(600) == 0, alone.stderr and alone.stderr.read()
    alone.communicate()

    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--standalone", "-m", "dicomnode", "train", str(recipe)]
    done = subprocess.run(
        [*command, "--to", str(tmp_path / "two")], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]

    logs = [(tmp_path / way / "sides" / "log.csv").read_text() for way in ("alone", "two")]
    losses = [[float(line.split(",")[3]) for line in log.splitlines()[1:]] for log in logs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    one, other = weights(tmp_path / "alone"), weights(tmp_path / "two")
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)
    assert read_card(tmp_path / "two" / "sides").evaluation is not None

"""Small things to learn: pictures with a bright square on one side, a manifest, and a recipe."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
import torch
from PIL import Image
from rich.console import Console

from dicomnode.learn.training.plan import Plan, plan
from dicomnode.learn.training.processes import Crew
from dicomnode.learn.training.reading import read_recipe

__all__ = ["ALONE", "LABELS", "QUIET", "make_plan", "recipe_table", "write_lesson", "write_recipe"]

LABELS = ("left", "right")
ALONE = Crew(torch.device("cpu"))
QUIET = Console(file=io.StringIO())


def write_lesson(folder: Path, images: int = 24, *, teacher: bool = False) -> Path:
    """Pictures and `manifest.csv`: every second one has a square on the left, every third right."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    head = ["patient", "file", "age", "sex", "view", *LABELS]
    lines = [head + [f"t_{label}" for label in LABELS] if teacher else head]
    for number in range(images):
        truth = (number % 2, int(number % 3 == 0))
        pixels = rng.integers(0, 90, (40, 32), dtype=np.uint8)
        for side, there in enumerate(truth):
            if there:
                pixels[10:26, 2 + 16 * side : 14 + 16 * side] = 230
        Image.fromarray(pixels).save(folder / f"{number}.png")
        soft = [f"{0.1 + 0.7 * there:.2f}" for there in truth] if teacher else []
        lines.append(
            [f"p{number // 2 if number < 4 else number}", f"{number}.png", "50", "F", "PA"]
            + [str(there) for there in truth]
            + soft
        )
    path = folder / "manifest.csv"
    path.write_text("\n".join(",".join(line) for line in lines) + "\n", "utf-8")
    return path


def recipe_table(**changes: Mapping[str, Any] | Any) -> dict[str, Any]:
    """A recipe for `write_lesson`; tables are merged with those that are given."""
    usual: dict[str, Any] = {
        "name": "sides",
        "manufacturer": "tests",
        "intended_use": "Tests only",
        "threads": 1,
        "data": {"manifest": "manifest.csv", "validation": 0.25, "held_out": 0.25},
        "input": {
            "size_px": 32, "channels": 1, "resize": "pad", "mean": [0.3], "std": [0.3],
        },
        "network": {
            "kind": "densenet",
            "params": {
                "init_features": 4, "growth_rate": 4, "block_config": [1, 1], "bn_size": 1,
                "dropout_prob": 0.2,
            },
        },
        "optimise": {"epochs": 3, "batch": 4, "learning_rate": 0.01},
        "familiar": {"grid": 2},
    }  # fmt: skip
    for key, value in changes.items():
        merged = isinstance(value, dict) and isinstance(usual.get(key), dict)
        usual[key] = {**usual[key], **value} if merged else value
    return {key: value for key, value in usual.items() if value is not None}


def write_recipe(folder: Path, **changes: Any) -> Path:
    """`recipe.toml` beside the manifest."""
    path = folder / "recipe.toml"
    path.write_text(tomlkit.dumps(recipe_table(**changes)), "utf-8")
    return path


def make_plan(folder: Path, **changes: Any) -> Plan:
    """The plan of a recipe for the lesson in `folder`, which is written where it is not there."""
    if not (folder / "manifest.csv").is_file():
        write_lesson(folder, teacher="teacher" in changes)
    return plan(read_recipe(write_recipe(folder, **changes)), folder, {})

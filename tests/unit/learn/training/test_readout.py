"""The last layer in closed form is what ridge regression says, and answers what it was taught."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dicomnode.errors import ModelError
from dicomnode.learn.training.lesson import Lesson, Watch
from dicomnode.learn.training.pictures import keep_pictures
from dicomnode.learn.training.readout import read_out, ridge
from dicomnode.learn.training.start import started
from tests.lessons import ALONE, make_plan


def table(rows: int, inputs: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    seen = (rng.normal(size=(rows, inputs)) * rng.uniform(0.1, 9, inputs) + 3).astype(np.float32)
    return seen, rng.normal(size=(rows, 2))


@pytest.mark.parametrize(("rows", "inputs"), [(12, 30), (40, 5)])
def test_both_ways_to_solve_agree_with_the_normal_equations(rows: int, inputs: int) -> None:
    seen, aims = table(rows, inputs)
    mean, spread = seen.mean(0, dtype=float), seen.std(0, dtype=float) + 1e-6
    whole = (seen - mean) / spread
    shrink = 0.3 * np.square(whole).sum() / rows
    slope = np.linalg.solve(
        whole.T @ whole + shrink * np.eye(inputs), whole.T @ (aims - aims.mean(0))
    )

    weight, bias = ridge(seen, aims, 0.3)

    assert np.allclose(seen @ weight.T + bias, whole @ slope + aims.mean(0))


def test_without_a_penalty_it_is_least_squares() -> None:
    seen, _ = table(50, 4)
    aims = seen @ np.array([[1.0, -2, 0.5, 0]]).T + 7

    weight, bias = ridge(seen, aims.astype(float), 1e-12)

    assert weight[0] == pytest.approx([1, -2, 0.5, 0], abs=1e-4)
    assert bias == pytest.approx([7], abs=1e-3)


def test_what_nobody_says_does_not_count() -> None:
    seen, aims = table(30, 4)
    gaps = aims.copy()
    gaps[20:, 0] = np.nan
    mean, spread = seen.mean(0), seen.std(0)
    same = seen.copy()
    assert mean.shape == spread.shape

    weight, _ = ridge(seen, gaps, 0.3)
    both, _ = ridge(same, aims, 0.3)

    assert np.allclose(weight[1], both[1])
    assert not np.allclose(weight[0], both[0])


def lesson(folder: Path, **changes: Any) -> tuple[torch.nn.Module, Lesson]:
    optimise = {"method": "ridge", "epochs": 3, "ridge": 0.01}
    made = make_plan(folder, **({"optimise": optimise} | changes))
    torch.manual_seed(0)
    network, _ = started(made.card, None, made.recipe)
    size = made.card.input.size_px
    pictures = keep_pictures(
        made.manifest.path, made.manifest.entries, made.card.input, size, folder
    )
    everything = np.arange(len(pictures))
    return network, Lesson(
        recipe=made.recipe,
        input=made.card.input,
        pictures=pictures,
        plain=pictures,
        truth=made.manifest.truth,
        taught=made.manifest.teacher,
        training=everything,
        validation=everything[:0],
        epochs=made.recipe.optimise.epochs,
        seed=1,
        key="key",
        file=folder / "network.safetensors",
    )


def test_only_the_last_layer_changes_and_the_truth_is_told(tmp_path: Path) -> None:
    network, given = lesson(tmp_path, augment=[{"name": "noise"}])
    before = {name: value.clone() for name, value in network.state_dict().items()}

    fitted = read_out(network, given, ALONE, Watch())

    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"class_layers.out.weight", "class_layers.out.bias"}
    assert fitted.lines[0].loss < 1


def test_a_network_that_was_read_out_is_not_read_out_again(tmp_path: Path) -> None:
    network, given = lesson(tmp_path)
    read_out(network, given, ALONE, Watch())
    again, _ = lesson(tmp_path)

    def never(_done: float) -> None:
        raise AssertionError("it was")

    fitted = read_out(again, given, ALONE, Watch(step=never))

    assert fitted.epoch == 3
    one, other = network.state_dict(), again.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_network_without_a_linear_end_cannot_be_read_out(tmp_path: Path) -> None:
    _, given = lesson(tmp_path)

    with pytest.raises(ModelError, match="ends in one linear layer"):
        read_out(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3)), given, ALONE, Watch())

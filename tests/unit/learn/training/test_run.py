"""A run ends in a model folder that the node can use; killed, it goes on as if nothing had been."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dicomnode.classify.card.folder import read_card
from dicomnode.classify.load import load_classifier
from dicomnode.errors import ModelError, StoreFull
from dicomnode.learn.training import checkpoint, files
from dicomnode.learn.training.checkpoint import Line
from dicomnode.learn.training.folder import Folders
from dicomnode.learn.training.lesson import Watch
from dicomnode.learn.training.plan import plan
from dicomnode.learn.training.reading import read_recipe
from dicomnode.learn.training.run import train
from dicomnode.learn.training.shown import Shown
from tests.lessons import ALONE, QUIET, make_plan


class Killed(Exception):
    """Stands for SIGKILL: nothing of ours catches it."""


class Dying(Shown):
    """Ends the run in the middle of an epoch."""

    def __init__(self, network: str, epoch: int, step: int) -> None:
        super().__init__(QUIET)
        self._at = (network, epoch, step)

    @contextmanager
    def watching(self, name: str, epochs: int) -> Iterator[Watch]:
        wanted, epoch, step = self._at
        seen = {"epoch": 0, "step": 0}

        def stepped(_epochs: float) -> None:
            seen["step"] += 1
            if (name, seen["epoch"] + 1, seen["step"]) == (wanted, epoch, step):
                raise Killed

        def ended(line: Line) -> None:
            seen.update(epoch=line.epoch, step=0)

        yield Watch(step=stepped, epoch=ended)


def folders(folder: Path) -> Folders:
    return Folders(model=folder / "model", run=folder / "run")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model" / "weights.safetensors"))


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


VARIED = [{"name": "flip"}, {"name": "affine"}, {"name": "mixup"}]


def test_out_comes_a_folder_that_the_node_can_use(tmp_path: Path) -> None:
    made = make_plan(tmp_path, optimise={"epochs": 2})

    card = train(made, folders(tmp_path), ALONE, Shown(QUIET))

    assert read_card(tmp_path / "model") == card
    assert card.calibration is not None
    assert card.calibration.measures
    assert card.novelty is not None
    assert card.evaluation is not None
    assert card.training is not None
    assert made.manifest.sha256 in card.training.data
    assert {path.name for path in (tmp_path / "model").iterdir()} >= {
        "model.toml", "weights.safetensors", "usual.safetensors", "recipe.toml", "log.csv",
    }  # fmt: skip
    assert load_classifier(tmp_path / "model", "cpu", 1).model.name == "sides"


def test_the_model_folder_names_no_patient_and_no_file(tmp_path: Path) -> None:
    train(make_plan(tmp_path, data={"folds": 2}), folders(tmp_path), ALONE, Shown(QUIET))

    for path in (tmp_path / "model").iterdir():
        data = path.read_bytes()
        assert b"p10" not in data
        assert b".png" not in data
        assert str(tmp_path).encode() not in data


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("augment", [[], VARIED])
def test_a_run_that_was_killed_ends_with_the_same_weights(
    tmp_path: Path, average: float, augment: list[dict[str, str]]
) -> None:
    changes = {"augment": augment, "optimise": {"average": average}}
    made = make_plan(tmp_path, **changes)
    train(made, folders(tmp_path / "whole"), ALONE, Shown(QUIET))

    for epoch, step in ((1, 1), (2, 2), (3, 1)):
        with pytest.raises(Killed):
            train(made, folders(tmp_path / "broken"), ALONE, Dying("network", epoch, step))
    train(made, folders(tmp_path / "broken"), ALONE, Shown(QUIET))

    assert same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    assert _card(tmp_path / "whole") == _card(tmp_path / "broken")


def _card(folder: Path) -> str:
    return (folder / "model" / "model.toml").read_text()


def test_the_recipe_in_the_folder_gives_the_same_weights_again(tmp_path: Path) -> None:
    made = make_plan(tmp_path, augment=VARIED, teacher={"prefix": "t_", "weight": 0.3})
    train(made, folders(tmp_path / "first"), ALONE, Shown(QUIET))
    written = tmp_path / "first" / "model" / "recipe.toml"

    kept = read_recipe(written)
    train(plan(kept, tmp_path, {}), folders(tmp_path / "second"), ALONE, Shown(QUIET))

    assert kept == made.recipe
    assert same(weights(tmp_path / "first"), weights(tmp_path / "second"))
    assert _card(tmp_path / "first") == _card(tmp_path / "second")


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    train(make_plan(tmp_path, seed=1), folders(tmp_path / "a"), ALONE, Shown(QUIET))
    train(make_plan(tmp_path, seed=2), folders(tmp_path / "b"), ALONE, Shown(QUIET))

    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_loading_beside_the_training_changes_nothing(tmp_path: Path) -> None:
    one = make_plan(tmp_path, augment=VARIED)
    train(one, folders(tmp_path / "a"), ALONE, Shown(QUIET))
    beside = one.recipe.data.model_copy(update={"workers": 1})
    two = replace(one, recipe=one.recipe.model_copy(update={"data": beside}))
    train(two, folders(tmp_path / "b"), ALONE, Shown(QUIET))

    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_run_is_not_gone_on_with_by_another_recipe(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(make_plan(tmp_path), folders(tmp_path), ALONE, Dying("network", 2, 1))

    other = make_plan(tmp_path, optimise={"learning_rate": 0.02})
    with pytest.raises(ModelError, match="begun with another recipe, manifest or images"):
        train(other, folders(tmp_path), ALONE, Shown(QUIET))


def test_a_run_is_not_gone_on_with_by_a_changed_manifest(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(make_plan(tmp_path), folders(tmp_path), ALONE, Dying("network", 2, 1))
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("p23,23.png,50", "p23,23.png,51"))

    with pytest.raises(ModelError, match="begun with another recipe, manifest or images"):
        train(make_plan(tmp_path), folders(tmp_path), ALONE, Shown(QUIET))


def test_a_checkpoint_that_is_torn_is_told(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(make_plan(tmp_path), folders(tmp_path), ALONE, Dying("network", 2, 1))
    file = tmp_path / "run" / "network.safetensors"
    file.write_bytes(file.read_bytes()[:-100])

    with pytest.raises(ModelError, match="is no checkpoint; --again"):
        train(make_plan(tmp_path), folders(tmp_path), ALONE, Shown(QUIET))


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_what_was_good(tmp_path: Path) -> None:
    changes = {"optimise": {"learning_rate": 1e30, "clip_norm": 0.0, "warm_up": 0.5, "epochs": 8}}
    made = make_plan(tmp_path, **changes)

    with pytest.raises(ModelError, match=r"epoch \d, step \d of 3: the loss is not a number"):
        train(made, folders(tmp_path), ALONE, Shown(QUIET))

    assert not (tmp_path / "model").exists()


def test_a_full_disk_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_plan(tmp_path)
    train(made, folders(tmp_path / "whole"), ALONE, Shown(QUIET))
    writes = []

    def full(path: Path, data: bytes) -> None:
        writes.append(path)
        if len(writes) == 2:
            raise StoreFull("the disk answered: No space left on device")
        written(path, data)

    written = files.write_whole
    monkeypatch.setattr(checkpoint, "write_whole", full)
    with pytest.raises(StoreFull):
        train(made, folders(tmp_path / "full"), ALONE, Shown(QUIET))
    train(made, folders(tmp_path / "full"), ALONE, Shown(QUIET))

    assert same(weights(tmp_path / "whole"), weights(tmp_path / "full"))


def test_cross_validation_answers_for_every_image_and_learns_from_all(tmp_path: Path) -> None:
    made = make_plan(tmp_path, data={"folds": 3}, optimise={"keep": "last"})

    card = train(made, folders(tmp_path), ALONE, Shown(QUIET))

    lines = (tmp_path / "run" / "predictions.csv").read_text().splitlines()
    assert lines[0].startswith("image,patient,fold,age,sex,view,scanner,true_left,true_right,prob_")
    assert len(lines) == 25
    assert card.evaluation is not None
    assert card.evaluation.images == 24
    log = (tmp_path / "model" / "log.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in log[1:]} == {
        "fold 1 of 3", "fold 2 of 3", "fold 3 of 3", "all images",
    }  # fmt: skip


def test_a_killed_cross_validation_goes_on_in_its_fold(tmp_path: Path) -> None:
    made = make_plan(tmp_path, data={"folds": 2}, optimise={"epochs": 2, "keep": "last"})
    train(made, folders(tmp_path / "whole"), ALONE, Shown(QUIET))

    for name in ("fold 2 of 2", "all images"):
        with pytest.raises(Killed):
            train(made, folders(tmp_path / "broken"), ALONE, Dying(name, 1, 2))
    train(made, folders(tmp_path / "broken"), ALONE, Shown(QUIET))

    assert same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    assert _card(tmp_path / "whole") == _card(tmp_path / "broken")
    tables = [
        (tmp_path / way / "run" / "predictions.csv").read_text() for way in ("whole", "broken")
    ]
    assert tables[0] == tables[1]


def test_stops_where_nothing_improves_and_keeps_the_best(tmp_path: Path) -> None:
    made = make_plan(tmp_path, optimise={"epochs": 40, "patience": 2, "learning_rate": 1e-7})

    train(made, folders(tmp_path), ALONE, Shown(QUIET))

    lines = (tmp_path / "model" / "log.csv").read_text().splitlines()[1:]
    scores = [float(line.split(",")[4]) for line in lines]
    assert len(scores) < 40
    assert scores.index(max(scores)) == len(scores) - 3


def test_the_loss_falls_and_the_sides_are_told(tmp_path: Path) -> None:
    made = make_plan(
        tmp_path,
        network={"params": {"init_features": 8, "growth_rate": 8, "block_config": [2, 2]}},
        optimise={"epochs": 12, "learning_rate": 0.02},
    )

    card = train(made, folders(tmp_path), ALONE, Shown(QUIET))

    losses = [float(line.split(",")[3]) for line in _log(tmp_path)]
    assert losses[-1] < 0.5 * losses[0]
    assert card.evaluation is not None


def _log(folder: Path) -> list[str]:
    return (folder / "model" / "log.csv").read_text().splitlines()[1:]


def test_what_is_not_held_out_gives_no_measures(tmp_path: Path) -> None:
    made = make_plan(tmp_path, data={"held_out": 0.0}, optimise={"epochs": 1})

    card = train(made, folders(tmp_path), ALONE, Shown(QUIET))

    assert card.evaluation is None
    assert card.calibration is not None
    assert not card.calibration.measures

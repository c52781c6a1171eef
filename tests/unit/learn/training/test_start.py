"""Weights are taken over where they fit, and stages are frozen, cut and slowed as asked."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.input import Input
from dicomnode.classify.network import build_network
from dicomnode.errors import ModelError
from dicomnode.learn.training.optimise import Average, optimiser, rate, set_rate
from dicomnode.learn.training.recipe import Optimise, Recipe
from dicomnode.learn.training.stages import freeze, stages
from dicomnode.learn.training.start import architecture, started
from tests.lessons import recipe_table
from tests.tiny_model import make_card, make_label, make_model

OCCLUSION = Explanation(method="occlusion")
NETWORKS: dict[str, dict[str, Any]] = {
    "densenet": {"init_features": 4, "growth_rate": 2, "block_config": [1, 1, 1]},
    "resnet": {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 4, 8, 8]},
    "efficientnet": {"model_name": "efficientnet-b0"},
    "vit": {
        "patch_size": 8, "hidden_size": 16, "mlp_dim": 16, "num_layers": 3, "num_heads": 2,
    },
}  # fmt: skip


def card(kind: str = "densenet", **changes: Any) -> Card:
    given: dict[str, Any] = {
        "architecture": Architecture.model_validate({"kind": kind, "params": NETWORKS[kind]}),
        "explanation": OCCLUSION,
        "input": Input(size_px=32, channels=1, resize="pad", mean=(0.5,), std=(0.25,)),
    }
    return make_card(**(given | changes))


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(recipe_table(**changes))


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_every_parameter_belongs_to_one_stage(kind: str) -> None:
    network = build_network(card(kind))

    row = stages(network)

    owned = [id(p) for stage in row for p in stage.parameters]
    assert sorted(owned) == sorted(id(p) for p in network.parameters())
    assert all(stage.parameters for stage in row)
    head = row[-1].parameters
    assert head[-1].shape == (1,), "the last stage gives the answer"


def test_the_stages_of_a_densenet_are_its_blocks() -> None:
    names = [stage.names[0] for stage in stages(build_network(card()))]

    assert names == [
        "features.conv0", "features.denseblock1", "features.transition1", "features.denseblock2",
        "features.transition2", "features.denseblock3", "class_layers.out",
    ]  # fmt: skip


def test_frozen_stages_do_not_change_and_their_norms_neither() -> None:
    network = build_network(card())
    row = stages(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = optimiser(row, Optimise(learning_rate=0.1), 1.0)
    network.train()
    freeze(row, 3)

    network(torch.rand(4, 1, 32, 32)).square().sum().backward()
    optimizer.step()

    after = network.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    stem = ("features.conv0", "features.norm0", "features.denseblock1", "features.transition1")
    assert not {name for name in changed if name.startswith(stem)}
    assert {name for name in changed if name.startswith("features.denseblock2")}


def test_what_was_frozen_thaws() -> None:
    network = build_network(card())
    row = stages(network)

    freeze(row, len(row))
    network.train()
    freeze(row, 0)

    assert all(p.requires_grad for p in network.parameters())
    assert all(module.training for module in network.modules())


def test_something_has_to_learn_and_epochs_to_ascend() -> None:
    count = len(stages(build_network(card())))
    with pytest.raises(ModelError, match=f"has {count} stages, and one has to learn"):
        started(card(), None, recipe(start={"frozen": [[1, count]]}))
    started(card(), None, recipe(start={"frozen": [[1, count - 1]]}))
    with pytest.raises(ValidationError, match="epochs have to ascend"):
        recipe(start={"frozen": [[5, 1], [1, 2]]})


def test_stages_far_from_the_answer_learn_more_slowly() -> None:
    row = stages(build_network(card()))
    how = Optimise(learning_rate=1.0)
    optimizer = optimiser(row, how, 0.5)

    set_rate(optimizer, 0.1, how)

    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    found = [rates[id(stage.parameters[0])] for stage in row]
    assert found == pytest.approx([0.1 * 0.5**k for k in range(len(row) - 1, -1, -1)])


def test_vectors_do_not_shrink() -> None:
    optimizer = optimiser(stages(build_network(card())), Optimise(weight_decay=0.3), 1.0)

    for group in optimizer.param_groups:
        ranks = {p.ndim > 1 for p in group["params"]}
        assert ranks == {group["weight_decay"] == 0.3}


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "constant"])
def test_the_rate_rises_then_falls_as_the_schedule_says(schedule: str) -> None:
    how = Optimise.model_validate({"schedule": schedule, "warm_up": 0.2})

    rates = [rate(step, 100, how) for step in range(100)]

    assert rates[:20] == sorted(rates[:20])
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[0] < 0.1
    assert rates[21:] == sorted(rates[21:], reverse=True)
    assert rates[-1] == (1.0 if schedule == "constant" else pytest.approx(0, abs=0.01))


def test_an_average_begins_with_what_is_there_and_slows() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 0.0)
    average = Average(layer, 0.9)
    kept = 0.0
    for step in range(1, 40):
        torch.nn.init.constant_(layer.weight, float(step))
        average.update(layer)
        decay = min(0.9, (1 + step) / (10 + step))
        kept = decay * kept + (1 - decay) * step

    assert float(average.weights["weight"]) == pytest.approx(kept, rel=1e-5)


# --- from another model ---------------------------------------------------------------------


def test_all_weights_are_taken_over_where_labels_are_the_same(tmp_path: Path) -> None:
    source = make_model(tmp_path)

    network, moved = started(source, tmp_path, recipe())

    assert moved is not None
    assert moved.made == ()
    theirs = build_network(source)
    assert network.state_dict().keys() == theirs.state_dict().keys()
    assert moved.kept == len(network.state_dict())


def test_the_head_begins_at_random_where_labels_are_others(tmp_path: Path) -> None:
    source = make_model(tmp_path)
    other = source.model_copy(update={"labels": (make_label("dark"),)})
    more = source.model_copy(update={"labels": (make_label("bright"), make_label("dark"))})

    for wanted in (other, more):
        _, moved = started(wanted, tmp_path, recipe())
        assert moved is not None
        assert moved.made == ("class_layers.out.weight", "class_layers.out.bias")


def test_weights_for_grey_are_spread_over_three_channels(tmp_path: Path) -> None:
    source = make_model(tmp_path)
    colour = Input(size_px=32, channels=3, resize="pad", mean=(0.5,) * 3, std=(0.25,) * 3)
    wide = source.model_copy(update={"input": colour})
    grey = torch.rand(2, 1, 32, 32)

    one, _ = started(source, tmp_path, recipe())
    three, moved = started(wide, tmp_path, recipe())

    assert moved is not None
    assert moved.made == ()
    assert torch.allclose(one.eval()(grey), three.eval()(grey.expand(-1, 3, -1, -1)), atol=1e-5)


def test_blocks_are_cut_off_and_what_is_left_is_taken_over(tmp_path: Path) -> None:
    source = make_model(tmp_path)
    asked = recipe(network=None, start={"model": "x", "truncate": 1})

    cut = architecture(asked, tmp_path)
    network, moved = started(
        source.model_copy(update={"architecture": cut, "explanation": OCCLUSION}),
        tmp_path,
        asked,
    )

    assert cut.params["block_config"] == [1]
    assert moved is not None
    assert moved.kept > 0
    assert "class_layers.out.weight" in moved.made
    assert network(torch.rand(1, 1, 32, 32)).shape == (1, 1)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("nowhere", "no layer nowhere"),
        ("class_layers.out", "class_layers.out gives no map"),
        ("spare", "spare is never reached"),
    ],
)
def test_a_layer_that_cannot_tell_what_is_usual_is_named_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: str, said: str
) -> None:
    def with_spare(card: Card) -> torch.nn.Module:
        network = build_network(card)
        network.add_module("spare", torch.nn.Identity())
        return network

    source = make_model(tmp_path)
    monkeypatch.setattr("dicomnode.learn.training.start.build_network", with_spare)

    with pytest.raises(ModelError, match=said):
        started(source, None, recipe(familiar={"layer": layer}))
    started(source, None, recipe(familiar={"told": False, "layer": layer}))


def test_more_blocks_than_there_are_cannot_be_cut(tmp_path: Path) -> None:
    make_model(tmp_path)

    with pytest.raises(ModelError, match="leaves no block"):
        architecture(recipe(network=None, start={"model": "x", "truncate": 2}), tmp_path)


def test_a_network_of_another_kind_gives_no_weights(tmp_path: Path) -> None:
    make_model(tmp_path)
    other = recipe(network={"kind": "resnet"}, start={"model": "x"})

    with pytest.raises(ModelError, match=r"is a densenet, and network\.kind is resnet"):
        architecture(other, tmp_path)

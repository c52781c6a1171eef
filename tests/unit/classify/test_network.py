"""Card to network: what fits is built, what does not is said."""

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.visualize import GradCAM

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.network import build_network, load_network
from dicomnode.errors import ModelError
from tests.tiny_model import make_card, make_label, make_model

RESNET = {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 4, 4, 4]}
TINY = {"init_features": 4, "growth_rate": 2, "block_config": [1, 1]}


@pytest.mark.parametrize(
    ("kind", "params", "layer"),
    [
        ("densenet", TINY, "features.denseblock2"),
        ("resnet", RESNET, "layer4"),
        ("efficientnet", {"model_name": "efficientnet-b0"}, "_conv_head"),
        ("seresnet50", {"layers": [1, 1, 1, 1]}, "layer4"),
    ],
)
def test_builds_each_kind_with_one_logit_a_label(
    kind: Any, params: dict[str, Any], layer: str
) -> None:
    card = make_card(
        architecture=Architecture(kind=kind, params=params),
        explanation=Explanation(method="grad-cam", layer=layer),
        labels=(make_label("one"), make_label("two")),
    )
    network = build_network(card).eval()
    assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 2)


@pytest.mark.parametrize(
    "params", [{"depth": 3}, {"growth_rate": "two"}, {"in_channels": 3}, {"act": "nonsense"}]
)
def test_says_that_params_do_not_fit(params: dict[str, Any]) -> None:
    card = make_card(architecture=Architecture(kind="densenet", params=TINY | params))
    with pytest.raises(ModelError, match="params do not fit densenet"):
        build_network(card)


def test_never_fetches_weights_from_elsewhere() -> None:
    params = {"model_name": "efficientnet-b0", "pretrained": True}
    card = make_card(architecture=Architecture(kind="efficientnet", params=params))
    with pytest.raises(ModelError, match="pretrained"):
        build_network(card)


@pytest.mark.parametrize("layer", ["features.norm5", "class_layers.relu", "features.norm0"])
def test_explains_by_a_layer_that_an_activation_follows(layer: str) -> None:
    explanation = Explanation(method="grad-cam", layer=layer)
    network = build_network(make_card(explanation=explanation)).eval()
    cam = GradCAM(nn_module=network, target_layers=layer)
    assert cam.compute_map(torch.rand(1, 1, 64, 64), class_idx=0).isfinite().all()


def test_says_that_the_layer_to_explain_by_is_not_there() -> None:
    card = make_card(explanation=Explanation(method="grad-cam", layer="nowhere"))
    with pytest.raises(ModelError, match="no layer of the network: nowhere"):
        build_network(card)


def test_loads_the_weights_of_the_folder(tmp_path: Path) -> None:
    card = make_model(tmp_path)
    network = load_network(tmp_path, card)
    assert not network.training
    assert network.state_dict().keys() == build_network(card).state_dict().keys()


def test_says_that_weights_are_those_of_another_network(tmp_path: Path) -> None:
    card = make_model(tmp_path)
    other = Architecture(kind="densenet", params=TINY | {"init_features": 8})
    with pytest.raises(ModelError, match="do not fit the architecture"):
        load_network(tmp_path, card.model_copy(update={"architecture": other}))

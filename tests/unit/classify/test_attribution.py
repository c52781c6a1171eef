"""The methods, against MONAI's where it has them and against arithmetic where it has not."""

from collections.abc import Sequence
from typing import get_args

import pytest
import torch
from monai.visualize import GradCAM, GradCAMpp

from dicomnode.classify.card.explanation import Explanation, Method
from dicomnode.classify.explaining.attribution import attribute
from dicomnode.classify.explaining.cells import cells_of, onto
from dicomnode.classify.network import build_network
from dicomnode.errors import ModelError
from tests.tiny_model import Brightness, make_card, make_label

LAYERS = ("class_layers.relu", "features.transition1", "features.denseblock1")


@pytest.fixture
def network() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        labels = (make_label("one"), make_label("two"), make_label("three"))
        explanation = Explanation(layer=LAYERS[0])
        return build_network(make_card(labels=labels, explanation=explanation)).eval()


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(3))


def explanation(method: Method, layer: str = LAYERS[0]) -> Explanation:
    return Explanation(method=method, layer=layer)


def maps(
    network: torch.nn.Module, told: Explanation, image: torch.Tensor, labels: Sequence[int]
) -> list[torch.Tensor]:
    cells = cells_of(network, told.layer, image) if told.by_layer else None
    return attribute(network, told, image, labels, cells)


def over(
    network: torch.nn.Module, image: torch.Tensor, found: torch.Tensor, layer: str
) -> torch.Tensor:
    """A layer's map by its maximum, pixel by pixel."""
    cells = cells_of(network, layer, image)
    return onto(found / found.max().clamp(min=1e-30), cells, image.shape[2:])


@pytest.mark.parametrize("layer", LAYERS)
def test_grad_cam_is_that_of_monai(
    network: torch.nn.Module, image: torch.Tensor, layer: str
) -> None:
    ours = maps(network, explanation("grad-cam", layer=layer), image, [0, 1, 2])
    monai = GradCAM(nn_module=network, target_layers=layer)
    for label, found in enumerate(ours):
        theirs = monai.compute_map(image.clone().requires_grad_(), class_idx=label)[0, 0].detach()
        assert torch.allclose(found, over(network, image, theirs, layer), atol=1e-5)


def test_grad_cam_plus_plus_is_that_of_monai_where_its_epsilon_does_not_count(
    network: torch.nn.Module, image: torch.Tensor
) -> None:
    class Loud(torch.nn.Module):
        """The same network, its answers and so its gradients a thousand times as large."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = 1000 * self.inner(x)
            return answer - answer.detach()  # MONAI takes the exponential of it

    layer = f"inner.{LAYERS[0]}"
    loud = Loud().eval()
    monai = GradCAMpp(nn_module=loud, target_layers=layer)
    ours = maps(loud, explanation("grad-cam++", layer=layer), image, [0, 1, 2])
    for label, found in enumerate(ours):
        theirs = monai.compute_map(image.clone().requires_grad_(), class_idx=label)[0, 0].detach()
        assert torch.allclose(found, over(loud, image, theirs, layer), atol=1e-3)


def test_hires_cam_is_what_each_place_adds_to_the_answer(
    network: torch.nn.Module, image: torch.Tensor
) -> None:
    seen = []
    handle = network.get_submodule(LAYERS[0]).register_forward_hook(
        lambda module, given, found: seen.append(found)
    )
    with torch.no_grad():
        network(image)
    handle.remove()
    weight = network.get_parameter("class_layers.out.weight")
    places = torch.einsum("lc,chw->lhw", weight, seen[0][0]).relu().detach()
    ours = maps(network, explanation("hires-cam"), image, [0, 1, 2])
    assert sum(bool(place.any()) for place in places) >= 2
    for found, place in zip(ours, places, strict=True):
        assert torch.allclose(found, over(network, image, place, LAYERS[0]), atol=1e-5)


@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_looks_where_the_network_looks(method: Method) -> None:
    image = torch.zeros(1, 1, 40, 40)
    image[0, 0, 8:16, 24:32] = 1
    (found,) = maps(Brightness(), explanation(method, layer="look"), image, [0])
    row, column = divmod(int(found.argmax()), len(found))
    assert found.shape == (40, 40)
    assert found.min() >= 0
    assert 8 <= row + 0.5 <= 16
    assert 24 <= column + 0.5 <= 32


@pytest.mark.parametrize("method", get_args(Method))
def test_labels_together_get_the_maps_they_get_alone(
    network: torch.nn.Module, image: torch.Tensor, method: Method
) -> None:
    told = explanation(method)
    together = maps(network, told, image, [2, 0])
    for label, found in zip([2, 0], together, strict=True):
        assert torch.equal(found, maps(network, told, image, [label])[0])


def test_integrated_gradients_add_up_to_the_difference_from_grey() -> None:
    image = torch.zeros(1, 1, 20, 20)
    image[0, 0, 4:8, 4:8] = 1
    network = Brightness()
    (found,) = maps(network, Explanation(method="integrated-gradients"), image, [0])
    bright = image > image.mean()
    risen = (image - image.mean())[bright].sum() / image.numel() * 10
    assert found.sum() == pytest.approx(float(risen), rel=1e-4)


def test_occlusion_is_how_far_the_answer_falls() -> None:
    image = torch.zeros(1, 1, 20, 20)  # as many pixels as cells
    image[0, 0, 9:11, 9:11] = 1  # as large as what is covered at a time
    (found,) = maps(Brightness(), Explanation(method="occlusion"), image, [0])
    grey = image.mean()
    assert found.max() == pytest.approx(float(10 * 4 * (1 - grey) / 400), rel=0.05)


def test_nothing_stays_on_the_network(network: torch.nn.Module, image: torch.Tensor) -> None:
    for method in get_args(Method):
        maps(network, explanation(method), image, [0])
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not image.requires_grad


def test_says_that_a_layer_has_no_map(network: torch.nn.Module, image: torch.Tensor) -> None:
    told = explanation("hires-cam", layer="class_layers.out")
    with pytest.raises(ModelError, match=r"gives no map: class_layers\.out"):
        maps(network, told, image, [0])

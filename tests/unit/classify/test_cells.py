"""Where the cells of a layer's map lie: on networks whose answer can be worked out by hand."""

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet, EfficientNetBN, ResNet, SEResNet50
from torch import nn

from dicomnode.classify.explaining.cells import (
    Axis,
    Cells,
    cells_of,
    covered,
    evenly,
    onto,
    passed,
)
from dicomnode.errors import ModelError


def alike(first: float, pitch: float) -> Cells:
    return (Axis(first, pitch), Axis(first, pitch))


def near(found: Cells, expected: Cells) -> bool:
    return bool(np.allclose(np.array(found), np.array(expected), atol=1e-3))


# --- by hand ----------------------------------------------------------------------------------

PLAIN = [
    (nn.Conv2d(1, 2, 8, stride=8), 4, 8),  # shares the image out evenly
    (nn.Conv2d(1, 2, 1), 0.5, 1),
    (nn.Conv2d(1, 2, 3), 1.5, 1),  # without padding the outermost pixels have no cell
    (nn.Conv2d(1, 2, 3, stride=2, padding=1), 0.5, 2),
    (nn.Conv2d(1, 2, 7, stride=2, padding=3), 0.5, 2),
    (nn.Conv2d(1, 2, 3, padding=2, dilation=2), 0.5, 1),
    (nn.AvgPool2d(2), 1, 2),
    (nn.MaxPool2d(2), 1, 2),
    (nn.MaxPool2d(3, 2), 1.5, 2),
    (nn.MaxPool2d(3, 2, padding=1), 0.5, 2),
]


@pytest.mark.parametrize(("layer", "first", "pitch"), PLAIN, ids=[str(row[0]) for row in PLAIN])
def test_one_layer_lies_where_its_kernel_and_padding_say(
    layer: nn.Module, first: float, pitch: float
) -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), layer)
    found = cells_of(network, "2", torch.zeros(1, 1, 32, 32))
    assert near(found, alike(first, pitch))


def test_kernels_that_differ_by_direction_do_so_in_their_cells() -> None:
    network = nn.Conv2d(1, 1, (3, 1), stride=(1, 2))
    found = cells_of(nn.Sequential(network), "0", torch.zeros(1, 1, 20, 30))
    assert near(found, (Axis(1.5, 1), Axis(0.5, 2)))


NETWORKS = [
    (lambda: DenseNet(2, 1, 2, block_config=(1, 1)), "features.denseblock1", 0.5, 4),
    (lambda: DenseNet(2, 1, 2, block_config=(1, 1)), "class_layers.relu", 2.5, 8),
    (lambda: ResNet("basic", [1] * 4, [4] * 4, 2, 1, num_classes=2), "layer4", 0.5, 16),
    (lambda: SEResNet50(spatial_dims=2, in_channels=1, num_classes=2), "layer2", 2.5, 8),
    (lambda: EfficientNetBN("efficientnet-b0", False, True, 2, 1), "_conv_head", 31.5, 32),
]


@pytest.mark.parametrize(("build", "layer", "first", "pitch"), NETWORKS)
def test_networks_of_monai_lie_where_their_strides_say(
    build: object, layer: str, first: float, pitch: float
) -> None:
    network = build().eval()  # type: ignore[operator]
    found = cells_of(network, layer, torch.zeros(1, 1, 160, 160))
    assert near(found, alike(first, pitch))


# --- by what the network itself answers ---------------------------------------------------------


def test_a_spot_is_seen_by_the_cell_that_lies_on_it() -> None:
    """A convolution of ones answers most where the spot lies in the middle of its kernel."""
    look = nn.Conv2d(1, 1, 7, stride=2, padding=3, bias=False)
    nn.init.constant_(look.weight, 1)
    network = nn.Sequential(look, nn.MaxPool2d(3, 2))
    lie = cells_of(network, "1", torch.zeros(1, 1, 64, 64))
    image = torch.zeros(1, 1, 64, 64)
    image[..., 20:27, 36:43] = 1
    with torch.no_grad():
        found = onto(network(image)[0, 0], lie, (64, 64))
    found = found * (found > 0.9 * found.max())
    rows = (found.sum(1) @ (torch.arange(64) + 0.5)) / found.sum()
    columns = (found.sum(0) @ (torch.arange(64) + 0.5)) / found.sum()
    assert (float(rows), float(columns)) == pytest.approx((23.5, 39.5), abs=1)


def test_asking_leaves_the_network_as_it_was() -> None:
    network = DenseNet(2, 1, 2, block_config=(1, 1)).eval()
    image = torch.rand(1, 1, 64, 64)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        answer = network(image)
        cells_of(network, "features.denseblock1", image)
        assert torch.equal(network(image), answer)
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_volume_has_cells_through_its_slices_too() -> None:
    look = nn.Conv3d(1, 2, (3, 5, 5), stride=(1, 2, 2), padding=(0, 2, 2))
    network = nn.Sequential(look, nn.ReLU(), nn.MaxPool3d(2))
    lie = cells_of(network, "2", torch.zeros(1, 1, 12, 24, 32))
    assert near(lie, (Axis(2, 2), Axis(1.5, 4), Axis(1.5, 4)))
    assert onto(torch.ones(5, 6, 8), lie, (12, 24, 32)).shape == (12, 24, 32)


class Gated(nn.Module):
    """Each pixel times a gate that looks at the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(1, 1, 3, stride=2, padding=1)
        self.gate = nn.Conv2d(1, 1, 1)
        self.out = nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = self.look(image)
        found: torch.Tensor = self.out(seen * self.gate(seen.mean((2, 3), keepdim=True)).sigmoid())
        return found


def test_what_comes_from_the_whole_image_moves_no_cell() -> None:
    assert near(cells_of(Gated(), "out", torch.zeros(1, 1, 24, 24)), alike(0.5, 2))


class Silent(nn.Module):
    """Answers the same to every image."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.out(0 * image[..., ::4, ::4])
        return found


def test_cells_that_nothing_reaches_share_the_image() -> None:
    assert near(cells_of(Silent(), "out", torch.zeros(1, 1, 24, 24)), alike(2, 4))


def test_a_single_cell_lies_in_the_middle() -> None:
    found = cells_of(nn.Sequential(nn.Conv2d(1, 1, 8)), "0", torch.zeros(1, 1, 8, 8))
    assert near(found, alike(4, 8))


class Aside(nn.Module):
    """Answers without one of its layers, and with one that gives two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Identity()
        self.recurrent = nn.LSTM(4, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.recurrent(image[0, 0])[0]
        return found


@pytest.mark.parametrize("layer", ["unused", "recurrent"])
def test_a_layer_that_is_never_reached_or_gives_no_tensor_is_refused(layer: str) -> None:
    with pytest.raises(ModelError, match=f"gives no map: {layer}"):
        passed(Aside(), layer, torch.zeros(1, 1, 4, 4))


def test_a_layer_without_a_map_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(ModelError, match="gives no map: 1"):
        passed(network, "1", torch.zeros(1, 1, 4, 4))
    assert not network[1]._forward_hooks


# --- from cells to pixels, and back -----------------------------------------------------------


def test_a_map_is_drawn_straight_between_the_middles_of_its_cells() -> None:
    found = onto(torch.tensor([[0.0, 4.0]]), (Axis(0.5, 1), Axis(1.5, 4)), (1, 8))
    assert found[0].tolist() == [0, 0, 1, 2, 3, 4, 4, 4]


def test_cells_that_share_the_image_are_spread_as_torch_does() -> None:
    found = torch.rand(5, 8)
    theirs = nn.functional.interpolate(found[None, None], size=(20, 24), mode="bilinear")[0, 0]
    assert torch.allclose(onto(found, evenly((5, 8), (20, 24)), (20, 24)), theirs, atol=1e-6)


def test_how_much_of_a_cell_an_area_covers() -> None:
    area = torch.zeros(2, 8, 8)
    area[0, 0:4, 1:4] = 1
    found = covered(area, alike(2, 4), (2, 2))
    assert found[0].tolist() == [[0.75, 0], [0, 0]]
    assert not found[1].any()


def test_a_cell_that_hangs_over_the_edge_counts_what_is_there() -> None:
    assert covered(torch.ones(4, 4), alike(0, 4), (1, 1)).tolist() == [[0.25]]

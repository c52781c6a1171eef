"""State dicts of published families: the network here answers as the one they were made for."""

from collections.abc import Mapping

import pytest
import torch

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.input import Input
from dicomnode.classify.network import build_network
from dicomnode.classify.networks import vgg as product_vgg
from dicomnode.classify.networks.efficientnet import EfficientNet
from dicomnode.learn.importing.explanation import explanation_of
from dicomnode.learn.importing.tensors import fitted, understand
from tests import torchvision_reference as reference
from tests.tiny_model import make_card, make_label
from tests.torchvision_reference import Network, Reference

OUTPUTS = 3


def network_of(
    tensors: Mapping[str, torch.Tensor], architecture: Architecture, channels: int
) -> torch.nn.Module:
    card = make_card(
        architecture=architecture,
        explanation=Explanation.model_validate(explanation_of(architecture)),
        input=Input(
            size_px=64,
            channels=channels,
            resize="pad",
            mean=(0.5,) * channels,
            std=(1.0,) * channels,
        ),
        labels=tuple(make_label(f"finding {i}") for i in range(OUTPUTS)),
    )
    with torch.device("meta"):
        network = build_network(card)
    network.load_state_dict(fitted(tensors, network), assign=True)
    return network.eval().double()


def agree(run: Network, px: int = 64, channels: int = 3) -> Architecture:
    """The reference and the network here on the same images; which network it was taken for."""
    made = Reference()
    images = torch.rand(1, channels, px, px, generator=torch.Generator().manual_seed(px)).double()
    with torch.inference_mode():
        wanted = run(made, images)
        known = understand(made.tensors)
        given = network_of(known.tensors, known.family.architecture, channels)(images)
    assert 0.05 < wanted.abs().max() < 50
    torch.testing.assert_close(given, wanted, atol=1e-8, rtol=1e-8)
    return known.family.architecture


def fits(run: Network) -> Architecture:
    """Every tensor of the reference has its place, and every place a tensor; no numbers yet."""
    made = Reference(shapes_only=True)
    run(made, torch.empty(1, 3, 96, 96, device="meta", dtype=torch.double))
    known = understand(made.tensors)
    network_of(known.tensors, known.family.architecture, 3)
    return known.family.architecture


def test_densenet_121_gives_the_same_logits() -> None:
    assert agree(reference.densenet(121, OUTPUTS)).kind == "densenet"


@pytest.mark.parametrize("depth", [18, 50])
def test_resnets_give_the_same_logits(depth: int) -> None:
    assert agree(reference.resnet(depth, OUTPUTS)).kind == "resnet"


@pytest.mark.parametrize("variant", ["b0", "b2"])
def test_efficientnets_give_the_same_logits(variant: str) -> None:
    assert agree(reference.efficientnet(variant, OUTPUTS)).params == {"variant": variant}


def test_later_efficientnets_have_batch_norms_of_another_epsilon() -> None:
    for variant, (_, _, eps) in reference.EFFICIENTNETS.items():
        with torch.device("meta"):
            network = EfficientNet(1, 1, variant)
        norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert {norm.eps for norm in norms} == {eps}


@pytest.mark.parametrize(("depth", "norm"), [(11, False), (13, True)])
def test_vggs_give_the_same_logits(depth: int, norm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer hidden units than the usual 4096, of which the weights take half a gigabyte."""
    monkeypatch.setattr(product_vgg, "_HIDDEN", 24)
    architecture = agree(reference.vgg(depth, OUTPUTS, norm=norm, hidden=24), px=32)
    assert architecture.params == {"depth": depth, "batch_norm": norm}


def test_inception_v3_gives_the_same_logits_without_its_auxiliary_head() -> None:
    """Large enough that its last batch norms see more than one pixel: they would swell rounding."""
    assert agree(reference.inception3(OUTPUTS), px=160).kind == "inception3"


def test_a_network_for_grey_images_of_one_channel_gives_the_same_logits() -> None:
    agree(reference.resnet(18, OUTPUTS), channels=1)


@pytest.mark.parametrize("depth", reference.DENSENETS)
def test_every_densenet_fits(depth: int) -> None:
    blocks = list(reference.DENSENETS[depth][2])
    assert fits(reference.densenet(depth, OUTPUTS)).params["block_config"] == blocks


@pytest.mark.parametrize("depth", reference.RESNETS)
def test_every_resnet_fits(depth: int) -> None:
    layers = list(reference.RESNETS[depth])
    assert fits(reference.resnet(depth, OUTPUTS)).params["layers"] == layers


@pytest.mark.parametrize("variant", reference.EFFICIENTNETS)
def test_every_efficientnet_fits(variant: str) -> None:
    assert fits(reference.efficientnet(variant, OUTPUTS)).params == {"variant": variant}


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("depth", reference.VGGS)
def test_every_vgg_fits(depth: int, norm: bool) -> None:
    architecture = fits(reference.vgg(depth, OUTPUTS, norm=norm, hidden=4096))
    assert architecture.params == {"depth": depth, "batch_norm": norm}

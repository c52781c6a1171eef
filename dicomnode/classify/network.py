"""Card to network: one that is known by name, with the weights of the folder, or a program."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from monai.networks.nets import DenseNet, EfficientNetBN, ResNet, SEResNet50, ViT
from torch.nn.utils import convert_conv2d_weight_memory_format

from dicomnode.classify.card.architecture import PROGRAMS
from dicomnode.classify.card.card import Card
from dicomnode.classify.networks.each_view import EachView
from dicomnode.classify.networks.efficientnet import EfficientNet
from dicomnode.classify.networks.inception3 import Inception3
from dicomnode.classify.networks.scattering import Scattering
from dicomnode.classify.networks.vgg import VGG
from dicomnode.classify.novelty import features
from dicomnode.classify.programs.program import load_program
from dicomnode.classify.weights import load_weights
from dicomnode.errors import ModelError

__all__ = ["Answering", "build_network", "load_network"]


class _Kind(NamedTuple):
    """A constructor, and what it calls the sizes that the card has elsewhere."""

    make: Callable[..., torch.nn.Module]
    channels: str = "in_channels"
    outputs: str = "out_channels"
    dims: str = ""  #: empty: of two dimensions only
    size: str = ""  #: of the image; empty: any
    fixed: Mapping[str, Any] = MappingProxyType({})


_KINDS = {
    "densenet": _Kind(DenseNet, dims="spatial_dims"),
    "efficientnet": _Kind(
        EfficientNetBN, outputs="num_classes", dims="spatial_dims", fixed={"pretrained": False}
    ),
    "resnet": _Kind(ResNet, "n_input_channels", "num_classes", "spatial_dims"),
    "seresnet50": _Kind(
        SEResNet50, outputs="num_classes", dims="spatial_dims", fixed={"pretrained": False}
    ),
    "vit": _Kind(
        ViT,
        outputs="num_classes",
        dims="spatial_dims",
        size="img_size",
        fixed={"classification": True, "post_activation": ""},  # MONAI would squash by tanh
    ),
    "vgg": _Kind(VGG),
    "inception3": _Kind(Inception3),
    "efficientnet-torchvision": _Kind(EfficientNet),
    "scattering": _Kind(Scattering),
}


def build_network(card: Card) -> torch.nn.Module:
    """The network the card describes, its weights still random.

    Raises:
        ModelError: parameters do not fit, a layer is not there, or the kind is a program.
    """
    name = card.architecture.kind
    if name in PROGRAMS:
        raise ModelError(f"{card.name}: {name} is a program: it cannot be built without its file")
    kind = _KINDS[name]
    try:
        network = kind.make(**_sizes(card, kind), **kind.fixed, **card.architecture.params)
    except (AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{card.name}: architecture.params do not fit {name}: {error}") from error
    if name == "vit":
        network.register_forward_hook(lambda *given: given[-1][0])  # beside its hidden states
    told = card.explanation
    if told.by_layer and told.layer not in dict(network.named_modules()):
        raise ModelError(f"{card.name}: explanation names no layer of the network: {told.layer}")
    for module in network.modules():
        if isinstance(module, torch.nn.ReLU | torch.nn.SiLU | torch.nn.LeakyReLU):
            module.inplace = False  # CAM cannot look at a layer whose output is overwritten
    convert_conv2d_weight_memory_format(network, torch.channels_last)  # half as fast again
    return network


def _sizes(card: Card, kind: _Kind) -> dict[str, Any]:
    recipe = card.input
    sizes: dict[str, Any] = {kind.channels: recipe.backbone_channels, kind.outputs: card.numbers}
    if kind.dims:
        sizes[kind.dims] = len(recipe.shape) - 1
    elif recipe.volume is not None:
        raise ModelError(f"{card.name}: {card.architecture.kind} is for pictures, not for volumes")
    if kind.size:
        sizes[kind.size] = recipe.volume.size_vox if recipe.volume else recipe.size_px
    return sizes


def load_network(folder: Path, card: Card) -> torch.nn.Module:
    """The network with its weights, ready to answer with logits.

    Raises:
        ModelError: the file is not the one of the card, holds what must not run, or does not fit.
    """
    if card.architecture.kind in PROGRAMS:
        return _fused(load_program(folder, card), card)
    tensors = load_weights(folder, card.weights)
    network = build_network(card)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{folder}: the weights do not fit the architecture") from error
    return _fused(network, card).eval()


def _fused(network: torch.nn.Module, card: Card) -> torch.nn.Module:
    """What takes all views of a sample, where the network itself takes one."""
    recipe = card.input
    return EachView(network, len(recipe.slots)) if recipe.fusion == "mean" else network


class Answering(torch.nn.Module):
    """A network that says its logits and, where the card tells novelty, the features for that.

    One tensor in and two out, (images, labels) and (images, features), so that any runtime can
    take it whole; there are 0 features where the card tells no novelty.
    """

    def __init__(self, network: torch.nn.Module, card: Card) -> None:
        super().__init__()
        self._network = network
        self._novelty = card.novelty
        self._output: torch.Tensor | None = None
        if self._novelty is None:
            return
        try:
            inner = network.backbone if isinstance(network, EachView) else network
            layer = inner.get_submodule(self._novelty.layer)
        except AttributeError as error:
            absent = f"novelty.layer is no layer of the network: {self._novelty.layer}"
            raise ModelError(f"{card.name}: {absent}") from error
        layer.register_forward_hook(self._keep)

    def _keep(self, _layer: torch.nn.Module, _given: object, output: torch.Tensor) -> None:
        self._output = output

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and features of (images, ...)."""
        logits = self._network(images)
        if self._novelty is None:
            return logits, logits.new_empty(len(logits), 0)
        if self._output is None:
            raise ModelError(f"novelty.layer is never reached: {self._novelty.layer}")
        seen = features(self._output, self._novelty.grid)
        return logits, seen.reshape(images.shape[0], -1)  # a trace takes what len() says for fixed

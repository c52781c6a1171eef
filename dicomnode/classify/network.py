"""Card to network: one of MONAI's, with the weights of the model folder."""

from pathlib import Path

import torch
from monai.networks.nets import DenseNet, EfficientNetBN, ResNet, SEResNet50
from torch.nn.utils import convert_conv2d_weight_memory_format

from dicomnode.classify.card import Card
from dicomnode.classify.weights import load_weights
from dicomnode.errors import ModelError

__all__ = ["build_network", "load_network"]

#: Constructor, its names for channels and labels, and what keeps it from fetching weights.
_KINDS = {
    "densenet": (DenseNet, "in_channels", "out_channels", {}),
    "efficientnet": (EfficientNetBN, "in_channels", "num_classes", {"pretrained": False}),
    "resnet": (ResNet, "n_input_channels", "num_classes", {}),
    "seresnet50": (SEResNet50, "in_channels", "num_classes", {"pretrained": False}),
}


def build_network(card: Card) -> torch.nn.Module:
    """The network the card describes, its weights still random."""
    kind, channels, labels, fixed = _KINDS[card.architecture.kind]
    sizes = {"spatial_dims": 2, channels: card.input.channels, labels: len(card.labels)}
    try:
        network: torch.nn.Module = kind(**sizes, **fixed, **card.architecture.params)
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        raise ModelError(
            f"{card.name}: architecture.params do not fit {card.architecture.kind}: {error}"
        ) from error
    if absent := set(card.explanation.layers) - set(dict(network.named_modules())):
        raise ModelError(f"{card.name}: explanation names no layer of the network: {min(absent)}")
    for module in network.modules():
        if isinstance(module, torch.nn.ReLU | torch.nn.SiLU | torch.nn.LeakyReLU):
            module.inplace = False  # CAM cannot look at a layer whose output is overwritten
    convert_conv2d_weight_memory_format(network, torch.channels_last)  # half as fast again
    return network


def load_network(folder: Path, card: Card) -> torch.nn.Module:
    """The network with its weights, ready to answer."""
    tensors = load_weights(folder, card.weights)
    network = build_network(card)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{folder}: the weights do not fit the architecture") from error
    return network.eval()

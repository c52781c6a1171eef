"""How a kind of network is explained where nobody says otherwise."""

from collections.abc import Mapping
from typing import Any

from dicomnode.classify.card.architecture import Architecture

__all__ = ["explanation_of"]

#: HiResCAM at the last map is exact where that map's mean and one linear layer answer.
_USUAL: Mapping[str, Mapping[str, Any]] = {
    "densenet": {"method": "hires-cam", "layer": "class_layers.relu"},
    "resnet": {"method": "hires-cam", "layer": "layer4"},
    "seresnet50": {"method": "hires-cam", "layer": "layer4"},
    "efficientnet-torchvision": {"method": "hires-cam", "layer": "features.8"},
    "inception3": {"method": "hires-cam", "layer": "Mixed_7c"},
    "efficientnet": {"method": "grad-cam", "layer": "_conv_head"},
    "onnx": {"method": "occlusion"},
    "torchscript": {"method": "integrated-gradients"},
    "export": {"method": "integrated-gradients"},
    "scattering": {"method": "integrated-gradients"},
    "vit": {"method": "integrated-gradients"},
}


def explanation_of(architecture: Architecture) -> Mapping[str, Any]:
    """The card's table for a network of this kind."""
    if architecture.kind != "vgg":
        return _USUAL[architecture.kind]
    convolutions = int(architecture.params.get("depth", 16)) - 3
    each = 3 if architecture.params.get("batch_norm") else 2
    last = convolutions * each + 3  # the rectifier before the last of five poolings
    return {"method": "grad-cam++", "layer": f"features.{last}"}

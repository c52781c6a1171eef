"""Which network a state dict is of, told from the names and shapes of its tensors.

torchvision's names are the ones that published models have. MONAI's DenseNet and ResNet compute the
same, exactly, where they are built as said here; the others are `classify/networks/`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from dicomnode.classify.card.architecture import Architecture
from dicomnode.errors import ModelError

__all__ = ["Family", "family_of", "named", "named_architectures"]

Tensors = Mapping[str, torch.Tensor]

_RESNETS = {
    10: ("basic", [1, 1, 1, 1]),
    18: ("basic", [2, 2, 2, 2]),
    34: ("basic", [3, 4, 6, 3]),
    50: ("bottleneck", [3, 4, 6, 3]),
    101: ("bottleneck", [3, 4, 23, 3]),
    152: ("bottleneck", [3, 8, 36, 3]),
    200: ("bottleneck", [3, 24, 36, 3]),
}
_DENSENETS: Mapping[int, Mapping[str, object]] = {
    121: {},
    169: {"block_config": [6, 12, 32, 32]},
    201: {"block_config": [6, 12, 48, 32]},
    264: {"init_features": 64, "growth_rate": 32, "block_config": [6, 12, 64, 48]},
}
_SERESNETS = {50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}
_PLANES = [64, 128, 256, 512]
_CONVOLUTIONS = {8: 11, 10: 13, 13: 16, 16: 19}  #: of a VGG, and the depth it is called by
_VARIANTS = {  #: of EfficientNet: channels of the first layer and blocks of each stage
    "b0": (32, (1, 2, 2, 3, 3, 4, 1)),
    "b1": (32, (2, 3, 3, 4, 4, 5, 2)),
    "b2": (32, (2, 3, 3, 4, 4, 5, 2)),
    "b3": (40, (2, 3, 3, 5, 5, 6, 2)),
    "b4": (48, (2, 4, 4, 6, 6, 8, 2)),
    "b5": (48, (3, 5, 5, 7, 7, 9, 3)),
    "b6": (56, (3, 6, 6, 8, 8, 11, 3)),
    "b7": (64, (4, 7, 7, 10, 10, 13, 4)),
}
_WIDEST = {"b1": 1280, "b2": 1408}  #: channels of the last map tell these two apart


class Family(NamedTuple):
    """A network, and where its names for the head and the first layer are."""

    architecture: Architecture
    first: str  #: tensor of the first convolution: (outputs, channels, ...)
    head: str  #: module of the last linear layer, by the network's own names


def family_of(tensors: Tensors) -> Family:
    """The network whose tensors these are, named as torchvision names them.

    Raises:
        ModelError: they are of none that is known here, or of one that computes otherwise.
    """
    for sign, tell in _SIGNS.items():
        if any(re.fullmatch(sign, name) for name in tensors):
            try:
                return tell(tensors)
            except (KeyError, IndexError) as error:
                raise ModelError(f"the state dict lacks {error} of its network") from error
    some = ", ".join(list(tensors)[:3])
    raise ModelError(
        f"these tensors are of no network that is known by its names ({some}, ...): "
        "name it with --architecture, or bring it as TorchScript, torch.export or ONNX"
    )


def _densenet(tensors: Tensors) -> Family:
    blocks = _counts(tensors, r"features\.denseblock(\d+)\.denselayer(\d+)\.conv1\.weight")
    first = tensors["features.conv0.weight"]
    growth = tensors["features.denseblock1.denselayer1.conv2.weight"].shape[0]
    inner = tensors["features.denseblock1.denselayer1.conv1.weight"].shape[0]
    params = {
        "init_features": first.shape[0],
        "growth_rate": growth,
        "block_config": blocks,
        "bn_size": inner // growth,
    }
    return _family("densenet", params)


def _resnet(tensors: Tensors) -> Family:
    layers = _counts(tensors, r"layer(\d+)\.(\d+)\.conv1\.weight")
    block = "bottleneck" if "layer1.0.conv3.weight" in tensors else "basic"
    if any(name.endswith("downsample.0.bias") for name in tensors):
        raise ModelError("this is MONAI's ResNet, not torchvision's: name it with --architecture")
    inner = tensors["layer1.0.conv2.weight"]
    if inner.shape[:2] != (64, 64) or tensors["conv1.weight"].shape[2:] != (7, 7):
        raise ModelError(
            "this is a wide, grouped or small-image ResNet, which is not known here: "
            "bring it as TorchScript, torch.export or ONNX"
        )
    params = {
        "block": block,
        "layers": layers,
        "block_inplanes": _PLANES,
        "conv1_t_stride": 2,
        "bias_downsample": False,
    }
    return _family("resnet", params)


def _vgg(tensors: Tensors) -> Family:
    convolutions = [n for n, t in tensors.items() if n.startswith("features.") and t.ndim == 4]
    depth = _CONVOLUTIONS.get(len(convolutions))
    if depth is None:
        raise ModelError(f"there is no VGG of {len(convolutions)} convolutions")
    params = {"depth": depth, "batch_norm": "features.1.running_mean" in tensors}
    return _family("vgg", params)


def _inception3(_tensors: Tensors) -> Family:
    return _family("inception3", {})


def _efficientnet(tensors: Tensors) -> Family:
    stem, last = tensors["features.0.0.weight"].shape[0], tensors["features.8.0.weight"].shape[0]
    blocks = _counts(tensors, r"features\.(\d+)\.(\d+)\.block\.0\.0\.weight")
    for variant, (channels, counts) in _VARIANTS.items():
        if (stem, tuple(blocks)) == (channels, counts) and _WIDEST.get(variant, last) == last:
            return _family("efficientnet-torchvision", {"variant": variant})
    raise ModelError(f"there is no EfficientNet of torchvision with the blocks {blocks}")


#: Tensors that only one family has, in the order in which they are looked for.
_SIGNS: Mapping[str, Callable[[Tensors], Family]] = {
    r"features\.denseblock1\.denselayer1\.conv1\.weight": _densenet,
    r"Conv2d_1a_3x3\.conv\.weight": _inception3,
    r"features\.1\.0\.block\.0\.0\.weight": _efficientnet,
    r"layer1\.0\.conv1\.weight": _resnet,
    r"classifier\.6\.weight": _vgg,
}


def _counts(tensors: Tensors, pattern: str) -> list[int]:
    """How many of the second number there are for each of the first, in order."""
    found = [m for name in tensors if (m := re.fullmatch(pattern, name)) is not None]
    firsts = sorted({int(match[1]) for match in found})
    return [sum(int(match[1]) == first for match in found) for first in firsts]


# --- by name --------------------------------------------------------------------------------


def named_architectures() -> Sequence[str]:
    """Every name that `named` knows."""
    return tuple(_NAMED)


def named(name: str, params: Mapping[str, object]) -> Family:
    """A network by its name: MONAI's as MONAI builds it, others as torchvision does.

    Raises:
        ModelError: there is none of that name.
    """
    found = _NAMED.get(name)
    if found is None:
        known = ", ".join(_NAMED)
        raise ModelError(f"there is no architecture {name!r} here; there are: {known}")
    kind, usual = found
    return _family(kind, {**usual, **params})


def _family(kind: str, params: Mapping[str, object]) -> Family:
    architecture = Architecture.model_validate({"kind": kind, "params": params})
    return Family(architecture, *_ENDS[kind])


#: By kind: the tensor of the first convolution, and the module of the head.
_ENDS = {
    "densenet": ("features.conv0.weight", "classifier"),
    "resnet": ("conv1.weight", "fc"),
    "seresnet50": ("layer0.conv1.weight", "last_linear"),
    "efficientnet": ("_conv_stem.weight", "_fc"),
    "vit": ("", "classification_head"),
    "vgg": ("features.0.weight", "classifier.6"),
    "inception3": ("Conv2d_1a_3x3.conv.weight", "fc"),
    "efficientnet-torchvision": ("features.0.0.weight", "classifier.1"),
}
_NAMED: Mapping[str, tuple[str, Mapping[str, object]]] = {
    **{kind: (kind, {}) for kind in _ENDS},
    **{f"densenet{n}": ("densenet", params) for n, params in _DENSENETS.items()},
    **{
        f"resnet{n}": ("resnet", {"block": block, "layers": layers, "block_inplanes": _PLANES})
        for n, (block, layers) in _RESNETS.items()
    },
    **{f"seresnet{n}": ("seresnet50", {"layers": layers}) for n, layers in _SERESNETS.items()},
    **{
        f"efficientnet-b{n}": ("efficientnet", {"model_name": f"efficientnet-b{n}"})
        for n in range(9)
    },
    **{
        f"vgg{depth}{'_bn' * norm}": ("vgg", {"depth": depth, "batch_norm": bool(norm)})
        for depth in _CONVOLUTIONS.values()
        for norm in (0, 1)
    },
    "inception_v3": ("inception3", {}),
    **{f"efficientnet_b{n}": ("efficientnet-torchvision", {"variant": f"b{n}"}) for n in range(8)},
}

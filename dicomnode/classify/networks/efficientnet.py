"""EfficientNet B0 to B7 (Tan and Le, ICML 2019) with torchvision's arithmetic.

MONAI's pads as TensorFlow does, and gives other numbers for the same weights. Modules are named as
torchvision names them, so that published weights fit as they are.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

__all__ = ["EfficientNet"]


class _Stage(NamedTuple):
    """A row of the paper's table 1, before it is scaled."""

    expand: int  #: inner channels for each that comes in
    size: int  #: of the kernel
    stride: int  #: of the first block
    outputs: int
    blocks: int


class _Variant(NamedTuple):
    width: float
    depth: float
    dropout: float
    eps: float = 1e-5  #: of batch norm; torchvision took over TensorFlow's from B5 on


_STAGES = (
    _Stage(1, 3, 1, 16, 1),
    _Stage(6, 3, 2, 24, 2),
    _Stage(6, 5, 2, 40, 2),
    _Stage(6, 3, 2, 80, 3),
    _Stage(6, 5, 1, 112, 3),
    _Stage(6, 5, 2, 192, 4),
    _Stage(6, 3, 1, 320, 1),
)
_VARIANTS = {
    "b0": _Variant(1.0, 1.0, 0.2),
    "b1": _Variant(1.0, 1.1, 0.2),
    "b2": _Variant(1.1, 1.2, 0.3),
    "b3": _Variant(1.2, 1.4, 0.3),
    "b4": _Variant(1.4, 1.8, 0.4),
    "b5": _Variant(1.6, 2.2, 0.4, 1e-3),
    "b6": _Variant(1.8, 2.6, 0.5, 1e-3),
    "b7": _Variant(2.0, 3.1, 0.5, 1e-3),
}
_DROPPED = 0.2  #: blocks that are left out in training, at the network's end; fewer before


class _ConvNorm(nn.Sequential):
    """Convolution, batch norm, and SiLU unless it ends a block."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        eps: float,
        *,
        stride: int = 1,
        groups: int = 1,
        active: bool = True,
    ) -> None:
        convolution = nn.Conv2d(
            inputs, outputs, size, stride, (size - 1) // 2, groups=groups, bias=False
        )
        after = [nn.SiLU()] if active else []
        super().__init__(convolution, nn.BatchNorm2d(outputs, eps=eps), *after)


class _Squeeze(nn.Module):
    """Squeeze and excitation (Hu et al., CVPR 2018): the whole map weighs its channels."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.fc2 = nn.Conv2d(inner, channels, 1)
        self.activation = nn.SiLU()
        self.scale_activation = nn.Sigmoid()

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        inner = self.activation(self.fc1(self.avgpool(seen)))
        weighed: torch.Tensor = seen * self.scale_activation(self.fc2(inner))
        return weighed


class _Block(nn.Module):
    """Inverted bottleneck (MBConv) with a way round where shapes allow it."""

    def __init__(
        self, stage: _Stage, inputs: int, outputs: int, stride: int, eps: float, dropped: float
    ) -> None:
        super().__init__()
        inner = _divisible(inputs * stage.expand)
        layers: list[nn.Module] = []
        if inner != inputs:
            layers.append(_ConvNorm(inputs, inner, 1, eps))
        layers += [
            _ConvNorm(inner, inner, stage.size, eps, stride=stride, groups=inner),
            _Squeeze(inner, max(1, inputs // 4)),
            _ConvNorm(inner, outputs, 1, eps, active=False),
        ]
        self.block = nn.Sequential(*layers)
        self.round = stride == 1 and inputs == outputs
        self.dropped = dropped

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.block(seen)
        if not self.round:
            return made
        if self.training and self.dropped:
            kept = torch.rand(len(made), 1, 1, 1, device=made.device) >= self.dropped
            made = made * kept / (1 - self.dropped)
        return made + seen


class EfficientNet(nn.Module):
    """Images (n, in_channels, rows, columns) to (n, out_channels).

    Raises:
        ValueError: there is no such variant.
    """

    def __init__(self, in_channels: int, out_channels: int, variant: str = "b0") -> None:
        super().__init__()
        if variant not in _VARIANTS:
            raise ValueError(f"variant is one of {', '.join(_VARIANTS)}, not {variant!r}")
        scale = _VARIANTS[variant]
        channels = _divisible(32 * scale.width)
        stages: list[nn.Module] = [_ConvNorm(in_channels, channels, 3, scale.eps, stride=2)]
        counts = [math.ceil(stage.blocks * scale.depth) for stage in _STAGES]
        made = 0
        for stage, count in zip(_STAGES, counts, strict=True):
            outputs = _divisible(stage.outputs * scale.width)
            blocks = []
            for index in range(count):
                stride, dropped = stage.stride if index == 0 else 1, _DROPPED * made / sum(counts)
                blocks.append(_Block(stage, channels, outputs, stride, scale.eps, dropped))
                channels, made = outputs, made + 1
            stages.append(nn.Sequential(*blocks))
        stages.append(_ConvNorm(channels, 4 * channels, 1, scale.eps))
        self.features = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(scale.dropout), nn.Linear(4 * channels, out_channels)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """One logit an output."""
        seen: torch.Tensor = self.avgpool(self.features(images))
        logits: torch.Tensor = self.classifier(seen.flatten(1))
        return logits


def _divisible(channels: float) -> int:
    """The nearest multiple of 8, and no more than a tenth less (as MobileNet rounds)."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest

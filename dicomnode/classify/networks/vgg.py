"""VGG of 11 to 19 layers (Simonyan and Zisserman, ICLR 2015), with or without batch norm.

Modules are named as torchvision names them, so that published weights fit as they are.
"""

from collections.abc import Iterator

import torch
from torch import nn

__all__ = ["VGG"]

#: Convolutions of 64, 128, 256, 512 and 512 channels, by the number of layers with weights.
_STAGES = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_WIDTHS = (64, 128, 256, 512, 512)
_PLACES = 7  #: across the last map, to which any image is averaged
_HIDDEN = 4096


class VGG(nn.Module):
    """Images (n, in_channels, rows, columns) of at least 32 pixels each way to (n, out_channels).

    Raises:
        ValueError: there is no VGG of that depth.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        depth: int = 16,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if depth not in _STAGES:
            raise ValueError(f"depth is one of {', '.join(map(str, _STAGES))}, not {depth}")
        self.features = nn.Sequential(*_layers(in_channels, _STAGES[depth], batch_norm))
        self.avgpool = nn.AdaptiveAvgPool2d(_PLACES)
        self.classifier = nn.Sequential(
            nn.Linear(_WIDTHS[-1] * _PLACES**2, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, out_channels),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """One logit an output."""
        seen: torch.Tensor = self.avgpool(self.features(images))
        logits: torch.Tensor = self.classifier(seen.flatten(1))
        return logits


def _layers(channels: int, stages: tuple[int, ...], batch_norm: bool) -> Iterator[nn.Module]:
    for width, convolutions in zip(_WIDTHS, stages, strict=True):
        for _ in range(convolutions):
            yield nn.Conv2d(channels, width, 3, padding=1)
            if batch_norm:
                yield nn.BatchNorm2d(width)
            yield nn.ReLU()
            channels = width
        yield nn.MaxPool2d(2, 2)

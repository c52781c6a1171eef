"""Inception-v3 (Szegedy et al., CVPR 2016), as it answers: without the auxiliary head of training.

Modules are named as torchvision names them, so that published weights fit as they are. `A` to `E`
are the paper's blocks of figures 5, 10, 6, 10 and 7.
"""

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, max_pool2d

__all__ = ["Inception3"]

Size = int | tuple[int, int]


class _Conv(nn.Module):
    """Convolution, batch norm, rectifier."""

    def __init__(
        self, inputs: int, outputs: int, size: Size, *, stride: int = 1, padding: Size = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)
        self.relu = nn.ReLU()

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.relu(self.bn(self.conv(seen)))
        return made


def _wide(inputs: int, outputs: int, width: int = 7) -> _Conv:
    return _Conv(inputs, outputs, (1, width), padding=(0, width // 2))


def _tall(inputs: int, outputs: int, height: int = 7) -> _Conv:
    return _Conv(inputs, outputs, (height, 1), padding=(height // 2, 0))


def _average(seen: torch.Tensor) -> torch.Tensor:
    return avg_pool2d(seen, 3, 1, 1)


class _A(nn.Module):
    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1 = _Conv(inputs, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        single = self.branch1x1(seen)
        five = self.branch5x5_2(self.branch5x5_1(seen))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(seen)))
        return torch.cat([single, five, three, self.branch_pool(_average(seen))], 1)


class _B(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(seen)))
        return torch.cat([self.branch3x3(seen), double, max_pool2d(seen, 3, 2)], 1)


class _C(nn.Module):
    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 192, 1)
        self.branch7x7_1 = _Conv(inputs, inner, 1)
        self.branch7x7_2 = _wide(inner, inner)
        self.branch7x7_3 = _tall(inner, 192)
        self.branch7x7dbl_1 = _Conv(inputs, inner, 1)
        self.branch7x7dbl_2 = _tall(inner, inner)
        self.branch7x7dbl_3 = _wide(inner, inner)
        self.branch7x7dbl_4 = _tall(inner, inner)
        self.branch7x7dbl_5 = _wide(inner, 192)
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(seen)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(seen)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pooled = self.branch_pool(_average(seen))
        return torch.cat([self.branch1x1(seen), seven, double, pooled], 1)


class _D(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(inputs, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Conv(inputs, 192, 1)
        self.branch7x7x3_2 = _wide(192, 192)
        self.branch7x7x3_3 = _tall(192, 192)
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        three = self.branch3x3_2(self.branch3x3_1(seen))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(seen)))
        return torch.cat([three, self.branch7x7x3_4(seven), max_pool2d(seen, 3, 2)], 1)


class _E(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 320, 1)
        self.branch3x3_1 = _Conv(inputs, 384, 1)
        self.branch3x3_2a = _wide(384, 384, 3)
        self.branch3x3_2b = _tall(384, 384, 3)
        self.branch3x3dbl_1 = _Conv(inputs, 448, 1)
        self.branch3x3dbl_2 = _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _wide(384, 384, 3)
        self.branch3x3dbl_3b = _tall(384, 384, 3)
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        three = self.branch3x3_1(seen)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(seen))
        parts = [
            self.branch1x1(seen),
            self.branch3x3_2a(three),
            self.branch3x3_2b(three),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(_average(seen)),
        ]
        return torch.cat(parts, 1)


class Inception3(nn.Module):
    """Images (n, in_channels, rows, columns), 75 pixels and more each way, to (n, out_channels)."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(in_channels, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = _A(192, 32)
        self.Mixed_5c = _A(256, 64)
        self.Mixed_5d = _A(288, 64)
        self.Mixed_6a = _B(288)
        self.Mixed_6b = _C(768, 128)
        self.Mixed_6c = _C(768, 160)
        self.Mixed_6d = _C(768, 160)
        self.Mixed_6e = _C(768, 192)
        self.Mixed_7a = _D(768)
        self.Mixed_7b = _E(1280)
        self.Mixed_7c = _E(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, out_channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """One logit an output; modules follow each other in the order of their making."""
        seen = images
        for name, module in self.named_children():
            seen = module(seen.flatten(1) if name == "fc" else seen)
        return seen

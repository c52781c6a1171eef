"""The families of published models in torchvision's names, written anew from their papers.

Nothing here is the product's: a reference is a function that computes with tensors under names,
and makes each of them, at random, when it first comes to it. Batch norms get the statistics of what
they first see, a little off, so that no answer runs away. All is computed in double precision, with
numbers that single precision can hold.
"""

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812  # as torch's own documents call it

__all__ = ["DENSENETS", "EFFICIENTNETS", "RESNETS", "VGGS", "Reference", "densenet", "efficientnet",
           "inception3", "resnet", "vgg"]  # fmt: skip

Network = Callable[["Reference", torch.Tensor], torch.Tensor]

#: first features, growth, layers of the blocks
DENSENETS = {
    121: (64, 32, (6, 12, 24, 16)),
    169: (64, 32, (6, 12, 32, 32)),
    201: (64, 32, (6, 12, 48, 32)),
}
RESNETS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
VGGS = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}
#: width, depth, epsilon of the batch norms
EFFICIENTNETS = {
    "b0": (1.0, 1.0, 1e-5), "b1": (1.0, 1.1, 1e-5), "b2": (1.1, 1.2, 1e-5), "b3": (1.2, 1.4, 1e-5),
    "b4": (1.4, 1.8, 1e-5), "b5": (1.6, 2.2, 1e-3), "b6": (1.8, 2.6, 1e-3), "b7": (2.0, 3.1, 1e-3),
}  # fmt: skip


class Reference:
    """Random weights under names, and the arithmetic that they are for."""

    def __init__(self, *, shapes_only: bool = False) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._random = torch.Generator().manual_seed(1)
        self._device = "meta" if shapes_only else "cpu"

    def _made(self, name: str, *shape: int, spread: float) -> torch.Tensor:
        if name not in self.tensors:
            self.keep(name, self._drawn(*shape) * spread)
        return self.tensors[name]

    def _drawn(self, *shape: int) -> torch.Tensor:
        if self._device == "meta":
            return torch.empty(shape, device="meta")
        return torch.randn(shape, generator=self._random)

    def keep(self, name: str, tensor: torch.Tensor) -> None:
        self.tensors[name] = tensor.float().double()

    def conv(
        self,
        name: str,
        x: torch.Tensor,
        outputs: int,
        size: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = False,
    ) -> torch.Tensor:
        rows, columns = (size, size) if isinstance(size, int) else size
        inputs = x.shape[1] // groups
        spread = math.sqrt(2 / (inputs * rows * columns))
        weight = self._made(f"{name}.weight", outputs, inputs, rows, columns, spread=spread)
        shift = self._made(f"{name}.bias", outputs, spread=0.1) if bias else None
        return F.conv2d(x, weight, shift, stride, padding, groups=groups)

    def norm(self, name: str, x: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
        channels = x.shape[1]
        weight = self._made(f"{name}.weight", channels, spread=0.1)
        bias = self._made(f"{name}.bias", channels, spread=0.1)
        if f"{name}.running_mean" not in self.tensors:
            self.keep(f"{name}.weight", weight + 1)
            weight = self.tensors[f"{name}.weight"]
            off = 1 + self._drawn(2, channels).clamp(-2, 2) / 10
            self.keep(f"{name}.running_mean", x.mean((0, 2, 3)) * off[0])
            self.keep(f"{name}.running_var", (x.var((0, 2, 3), correction=0) + 0.01) * off[1])
            self.tensors[f"{name}.num_batches_tracked"] = torch.tensor(7)
        mean, var = self.tensors[f"{name}.running_mean"], self.tensors[f"{name}.running_var"]
        scale = (weight / (var + eps).sqrt())[None, :, None, None]
        return (x - mean[None, :, None, None]) * scale + bias[None, :, None, None]

    def linear(self, name: str, x: torch.Tensor, outputs: int) -> torch.Tensor:
        inputs = x.shape[1]
        weight = self._made(f"{name}.weight", outputs, inputs, spread=1 / math.sqrt(inputs))
        return x @ weight.T + self._made(f"{name}.bias", outputs, spread=0.1)


# --- DenseNet (Huang et al., CVPR 2017) -----------------------------------------------------


def densenet(depth: int, outputs: int) -> Network:
    first, growth, blocks = DENSENETS[depth]

    def run(r: Reference, x: torch.Tensor) -> torch.Tensor:
        x = r.conv("features.conv0", x, first, 7, stride=2, padding=3)
        x = F.max_pool2d(r.norm("features.norm0", x).relu(), 3, 2, 1)
        for block, layers in enumerate(blocks, 1):
            for layer in range(1, layers + 1):
                at = f"features.denseblock{block}.denselayer{layer}"
                new = r.conv(f"{at}.conv1", r.norm(f"{at}.norm1", x).relu(), 4 * growth, 1)
                new = r.norm(f"{at}.norm2", new).relu()
                x = torch.cat([x, r.conv(f"{at}.conv2", new, growth, 3, padding=1)], 1)
            if block < len(blocks):
                at = f"features.transition{block}"
                x = r.conv(f"{at}.conv", r.norm(f"{at}.norm", x).relu(), x.shape[1] // 2, 1)
                x = F.avg_pool2d(x, 2, 2)
        x = r.norm("features.norm5", x).relu()
        return r.linear("classifier", x.mean((2, 3)), outputs)

    return run


# --- ResNet (He et al., CVPR 2016), with the stride in the 3 x 3 convolution -------------------


def resnet(depth: int, outputs: int) -> Network:
    deep = depth >= 50

    def block(r: Reference, at: str, x: torch.Tensor, planes: int, stride: int) -> torch.Tensor:
        if deep:
            y = r.norm(f"{at}.bn1", r.conv(f"{at}.conv1", x, planes, 1)).relu()
            y = r.conv(f"{at}.conv2", y, planes, 3, stride=stride, padding=1)
            y = r.norm(f"{at}.bn2", y).relu()
            y = r.norm(f"{at}.bn3", r.conv(f"{at}.conv3", y, 4 * planes, 1))
        else:
            y = r.conv(f"{at}.conv1", x, planes, 3, stride=stride, padding=1)
            y = r.norm(f"{at}.bn1", y).relu()
            y = r.norm(f"{at}.bn2", r.conv(f"{at}.conv2", y, planes, 3, padding=1))
        if stride != 1 or x.shape[1] != y.shape[1]:
            x = r.conv(f"{at}.downsample.0", x, y.shape[1], 1, stride=stride)
            x = r.norm(f"{at}.downsample.1", x)
        return (x + y).relu()

    def run(r: Reference, x: torch.Tensor) -> torch.Tensor:
        x = r.norm("bn1", r.conv("conv1", x, 64, 7, stride=2, padding=3)).relu()
        x = F.max_pool2d(x, 3, 2, 1)
        for stage, blocks in enumerate(RESNETS[depth], 1):
            for index in range(blocks):
                stride = 2 if stage > 1 and index == 0 else 1
                x = block(r, f"layer{stage}.{index}", x, 64 * 2 ** (stage - 1), stride)
        return r.linear("fc", x.mean((2, 3)), outputs)

    return run


# --- VGG (Simonyan and Zisserman, ICLR 2015) --------------------------------------------------


def vgg(depth: int, outputs: int, *, norm: bool, hidden: int) -> Network:
    def run(r: Reference, x: torch.Tensor) -> torch.Tensor:
        at = 0
        for word in VGGS[depth].split():
            if word == "M":
                x, at = F.max_pool2d(x, 2, 2), at + 1
                continue
            x, at = r.conv(f"features.{at}", x, int(word), 3, padding=1, bias=True), at + 1
            if norm:
                x, at = r.norm(f"features.{at}", x), at + 1
            x, at = x.relu(), at + 1
        x = F.adaptive_avg_pool2d(x, 7).flatten(1)
        x = r.linear("classifier.0", x, hidden).relu()
        x = r.linear("classifier.3", x, hidden).relu()
        return r.linear("classifier.6", x, outputs)

    return run


# --- EfficientNet (Tan and Le, ICML 2019) -----------------------------------------------------


def _by_8(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def efficientnet(variant: str, outputs: int) -> Network:
    width, depth, eps = EFFICIENTNETS[variant]
    #: expansion, kernel, stride, channels, blocks
    table = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
             (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)]  # fmt: skip

    def block(
        r: Reference, at: str, x: torch.Tensor, row: tuple[int, int, int], out: int
    ) -> torch.Tensor:
        expand, kernel, stride = row
        inner, part, y = x.shape[1] * expand, 0, x
        if expand > 1:
            y = F.silu(r.norm(f"{at}.0.1", r.conv(f"{at}.0.0", y, inner, 1), eps))
            part = 1
        y = r.conv(
            f"{at}.{part}.0", y, inner, kernel, stride=stride, padding=kernel // 2, groups=inner
        )
        y = F.silu(r.norm(f"{at}.{part}.1", y, eps))
        s = y.mean((2, 3), keepdim=True)
        s = F.silu(r.conv(f"{at}.{part + 1}.fc1", s, x.shape[1] // 4, 1, bias=True))
        y = y * r.conv(f"{at}.{part + 1}.fc2", s, inner, 1, bias=True).sigmoid()
        y = r.norm(f"{at}.{part + 2}.1", r.conv(f"{at}.{part + 2}.0", y, out, 1), eps)
        return x + y if stride == 1 and x.shape[1] == out else y

    def run(r: Reference, x: torch.Tensor) -> torch.Tensor:
        x = r.conv("features.0.0", x, _by_8(32 * width), 3, stride=2, padding=1)
        x = F.silu(r.norm("features.0.1", x, eps))
        for stage, (expand, kernel, stride, channels, blocks) in enumerate(table, 1):
            for index in range(math.ceil(blocks * depth)):
                row = (expand, kernel, stride if index == 0 else 1)
                x = block(r, f"features.{stage}.{index}.block", x, row, _by_8(channels * width))
        x = r.conv("features.8.0", x, 4 * x.shape[1], 1)
        x = F.silu(r.norm("features.8.1", x, eps))
        return r.linear("classifier.1", x.mean((2, 3)), outputs)

    return run


# --- Inception-v3 (Szegedy et al., CVPR 2016) -------------------------------------------------


class _Inception:
    """The blocks, each under the name it stands under."""

    def __init__(self, r: Reference) -> None:
        self.r = r

    def c(
        self,
        name: str,
        y: torch.Tensor,
        out: int,
        size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> torch.Tensor:
        y = self.r.conv(f"{name}.conv", y, out, size, stride=stride, padding=padding)
        return self.r.norm(f"{name}.bn", y, 0.001).relu()

    def wide(self, name: str, y: torch.Tensor, out: int) -> torch.Tensor:
        return self.c(name, y, out, (1, 7), padding=(0, 3))

    def tall(self, name: str, y: torch.Tensor, out: int) -> torch.Tensor:
        return self.c(name, y, out, (7, 1), padding=(3, 0))

    def pooled(self, name: str, y: torch.Tensor, out: int) -> torch.Tensor:
        return self.c(f"{name}.branch_pool", F.avg_pool2d(y, 3, 1, 1), out, 1)

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        x = self.c("Conv2d_1a_3x3", x, 32, 3, 2)
        x = self.c("Conv2d_2b_3x3", self.c("Conv2d_2a_3x3", x, 32, 3), 64, 3, 1, 1)
        x = self.c("Conv2d_3b_1x1", F.max_pool2d(x, 3, 2), 80, 1)
        return F.max_pool2d(self.c("Conv2d_4a_3x3", x, 192, 3), 3, 2)

    def double(self, at: str, x: torch.Tensor, *, stride: int) -> torch.Tensor:
        x = self.c(f"{at}.branch3x3dbl_1", x, 64, 1)
        x = self.c(f"{at}.branch3x3dbl_2", x, 96, 3, 1, 1)
        return self.c(f"{at}.branch3x3dbl_3", x, 96, 3, stride, 1 if stride == 1 else 0)

    def mixed_5(self, at: str, x: torch.Tensor, out: int) -> torch.Tensor:
        one = self.c(f"{at}.branch1x1", x, 64, 1)
        five = self.c(f"{at}.branch5x5_2", self.c(f"{at}.branch5x5_1", x, 48, 1), 64, 5, 1, 2)
        return torch.cat([one, five, self.double(at, x, stride=1), self.pooled(at, x, out)], 1)

    def mixed_6a(self, at: str, x: torch.Tensor) -> torch.Tensor:
        three = self.c(f"{at}.branch3x3", x, 384, 3, 2)
        return torch.cat([three, self.double(at, x, stride=2), F.max_pool2d(x, 3, 2)], 1)

    def mixed_6(self, at: str, x: torch.Tensor, n: int) -> torch.Tensor:
        seven = self.wide(f"{at}.branch7x7_2", self.c(f"{at}.branch7x7_1", x, n, 1), n)
        seven = self.tall(f"{at}.branch7x7_3", seven, 192)
        twice = self.tall(f"{at}.branch7x7dbl_2", self.c(f"{at}.branch7x7dbl_1", x, n, 1), n)
        twice = self.tall(f"{at}.branch7x7dbl_4", self.wide(f"{at}.branch7x7dbl_3", twice, n), n)
        twice = self.wide(f"{at}.branch7x7dbl_5", twice, 192)
        one = self.c(f"{at}.branch1x1", x, 192, 1)
        return torch.cat([one, seven, twice, self.pooled(at, x, 192)], 1)

    def side(self, x: torch.Tensor, outputs: int) -> None:
        x = self.c("AuxLogits.conv0", F.avg_pool2d(x, 3, 3), 128, 1)
        self.r.linear("AuxLogits.fc", self.c("AuxLogits.conv1", x, 768, 1).mean((2, 3)), outputs)

    def mixed_7a(self, at: str, x: torch.Tensor) -> torch.Tensor:
        three = self.c(f"{at}.branch3x3_2", self.c(f"{at}.branch3x3_1", x, 192, 1), 320, 3, 2)
        seven = self.wide(f"{at}.branch7x7x3_2", self.c(f"{at}.branch7x7x3_1", x, 192, 1), 192)
        seven = self.tall(f"{at}.branch7x7x3_3", seven, 192)
        seven = self.c(f"{at}.branch7x7x3_4", seven, 192, 3, 2)
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)

    def mixed_7(self, at: str, x: torch.Tensor) -> torch.Tensor:
        one = self.c(f"{at}.branch3x3_1", x, 384, 1)
        two = self.c(f"{at}.branch3x3dbl_1", x, 448, 1)
        two = self.c(f"{at}.branch3x3dbl_2", two, 384, 3, 1, 1)
        parts = [self.c(f"{at}.branch1x1", x, 320, 1)]
        for name, y in (("branch3x3_2", one), ("branch3x3dbl_3", two)):
            parts.append(self.c(f"{at}.{name}a", y, 384, (1, 3), padding=(0, 1)))
            parts.append(self.c(f"{at}.{name}b", y, 384, (3, 1), padding=(1, 0)))
        return torch.cat([*parts, self.pooled(at, x, 192)], 1)


def inception3(outputs: int) -> Network:
    def run(r: Reference, x: torch.Tensor) -> torch.Tensor:
        made = _Inception(r)
        x = made.stem(x)
        for at, out in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = made.mixed_5(at, x, out)
        x = made.mixed_6a("Mixed_6a", x)
        for at, inner in (
            ("Mixed_6b", 128),
            ("Mixed_6c", 160),
            ("Mixed_6d", 160),
            ("Mixed_6e", 192),
        ):
            x = made.mixed_6(at, x, inner)
        made.side(x, outputs)
        x = made.mixed_7("Mixed_7c", made.mixed_7("Mixed_7b", made.mixed_7a("Mixed_7a", x)))
        return r.linear("fc", x.mean((2, 3)), outputs)

    return run

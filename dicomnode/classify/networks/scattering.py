"""A wavelet scattering network: fixed filters, and one linear layer that learns.

Moduli of Gabor filters, and of filters over those moduli, tell edges and textures of each scale and
direction without anything to be learnt (Bruna and Mallat, PAMI 2013); averaged over a grid they say
where in the chest. With some hundred images such an answer beats networks whose filters have to be
learnt from them too (Oyallon et al., PAMI 2019).
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, pad

from dicomnode.classify.networks.pooling import grid_means

__all__ = ["Scattering"]

_EDGE = 7  #: of a filter, in pixels of its scale
_WIDTH, _FREQUENCY, _SLANT = 1.2, 0.6 * math.pi, 0.6  #: of its wave, in pixels and radians a pixel
_FLOORS = (1e-2, 3e-3)  #: added before the logarithm, of first and second moduli
_LITTLE = 1e-8  #: keeps the slope of a square root finite

_Change = Callable[[torch.Tensor], torch.Tensor]


class Scattering(nn.Module):
    """Grey images (n, in_channels, rows, columns) to (n, out_channels).

    An image is brought to mean 0 and deviation 1, and beside it stands the same with its local
    contrast evened out. Each is halved `scales` - 1 times; at each scale come the moduli of
    `angles` filters, and of half as many over each of those. With `mirrored` the answer is the mean
    of that for the image and for its mirror image.

    Raises:
        ValueError: `angles` is odd, or a number is too small.
    """

    first: torch.Tensor
    second: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scales: int = 4,
        angles: int = 8,
        grid: int = 8,
        window: float = 0.12,
        mirrored: bool = True,
    ) -> None:
        super().__init__()
        if angles % 2 or min(angles, scales, grid, in_channels) < 1 or not 0 < window < 1:
            raise ValueError(
                "angles is even, scales and grid are 1 or more, window is a share of the edge"
            )
        self._scales, self._angles, self._grid = scales, angles, grid
        self._window, self._mirrored = window, mirrored
        waves = _gabors(angles)  # (2, angles, edge, edge)
        every_second = waves[:, ::2].flatten(0, 1)
        self.register_buffer("first", waves.flatten(0, 1)[:, None].contiguous())
        self.register_buffer("second", every_second[:, None].repeat(angles, 1, 1, 1))
        self.edges = nn.Identity()  #: the finest moduli of the image itself, once a pass
        maps = 1 + scales * angles + (scales - 1) * angles * (angles // 2)
        self.head = nn.Linear(2 * maps * in_channels * grid**2, out_channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """One logit an output."""
        seen = self._seen(images, self.edges)
        if self._mirrored:
            seen = (seen + self._seen(images.flip(-1), _untouched)) / 2
        logits: torch.Tensor = self.head(seen)
        return logits

    def _seen(self, images: torch.Tensor, finest: _Change) -> torch.Tensor:
        """All averaged maps of images, (n, numbers)."""
        channels = images.shape[1]
        plain = _standard(images.flatten(0, 1)[:, None])
        even = _evened(plain, self._window)
        maps = torch.cat([self._maps(even, _untouched), self._maps(plain, finest)], dim=1)
        return maps.flatten(1).reshape(-1, channels * maps.shape[1] * self._grid**2)

    def _maps(self, image: torch.Tensor, finest: _Change) -> torch.Tensor:
        found = [grid_means(image, self._grid)]
        for scale in range(self._scales):
            edges = _moduli(image, self.first, 1)
            edges = edges if scale else finest(edges)
            found.append((grid_means(edges, self._grid) + _FLOORS[0]).log())
            if scale < self._scales - 1:
                textures = _moduli(avg_pool2d(edges, 2), self.second, self._angles)
                found.append((grid_means(textures, self._grid) + _FLOORS[1]).log())
                image = avg_pool2d(image, 2)
        return torch.cat(found, dim=1)


def _untouched(maps: torch.Tensor) -> torch.Tensor:
    return maps


def _gabors(angles: int) -> torch.Tensor:
    """Waves under a bell, real and imaginary: (2, angles, edge, edge); their sum is 0."""
    axis = torch.arange(_EDGE, dtype=torch.float64) - _EDGE // 2
    down, right = torch.meshgrid(axis, axis, indexing="ij")
    turn = (math.pi / angles * torch.arange(angles, dtype=torch.float64)).reshape(-1, 1, 1)
    along = right * turn.cos() + down * turn.sin()
    across = down * turn.cos() - right * turn.sin()
    bell = (-(along**2 + (_SLANT * across) ** 2) / (2 * _WIDTH**2)).exp()
    real, imaginary = bell * (_FREQUENCY * along).cos(), bell * (_FREQUENCY * along).sin()
    real = real - bell * real.sum((1, 2), keepdim=True) / bell.sum((1, 2), keepdim=True)
    size = (real**2 + imaginary**2).sqrt().sum((1, 2), keepdim=True)
    return torch.stack([real / size, imaginary / size]).float()


def _moduli(maps: torch.Tensor, waves: torch.Tensor, groups: int) -> torch.Tensor:
    """The modulus of each wave over each of `groups` maps, (n, groups * waves, rows, columns)."""
    edge = _EDGE // 2
    answers = conv2d(pad(maps, (edge,) * 4, mode="replicate"), waves, groups=groups)
    each = len(waves) // (2 * groups)
    parts = answers.reshape(-1, groups, 2, each, *answers.shape[2:])
    moduli = (parts[:, :, 0].square() + parts[:, :, 1].square() + _LITTLE).sqrt()
    return torch.flatten(moduli, 1, 2)


def _standard(images: torch.Tensor) -> torch.Tensor:
    """Each with mean 0 and deviation 1."""
    centred = images - images.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True).sqrt() + 1e-5)


def _evened(images: torch.Tensor, window: float) -> torch.Tensor:
    """With the mean round each pixel taken away, and the deviation round it brought near 1."""
    edge = int(images.shape[-1] * window) | 1
    centred = images - _around(images, edge)
    spread = (_around(centred.square(), edge) + _LITTLE).sqrt()
    return centred / (spread + 0.25 * spread.mean((2, 3), keepdim=True))


def _around(images: torch.Tensor, edge: int) -> torch.Tensor:
    return avg_pool2d(images, edge, 1, edge // 2, count_include_pad=False)

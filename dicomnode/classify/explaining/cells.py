"""Where on the image the cells of a layer's map lie.

Kernels, strides and padding decide, and seldom share the image out evenly: the cells of a DenseNet
lie a pixel and a half to the upper left of where they would, and a map that is spread evenly lies
beside what the network saw. So the network itself is asked: each convolution is reduced to the
middle of its kernel, and a cell lies where the pixels that still reach it have their middle.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from dicomnode.errors import ModelError

__all__ = ["Axis", "Cells", "cells_of", "covered", "evenly", "onto", "passed"]

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_NORMALISATIONS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
#: Of the strongest: what reaches a cell more weakly comes by a detour over the whole image, such as
#: the gates of squeeze and excitation.
_FAINT = 0.05


class Axis(NamedTuple):
    """Cells in one direction, in pixels of the image; 0 is its outer edge."""

    first: float  #: middle of the first cell
    pitch: float  #: from the middle of one cell to the middle of the next


#: Where the cells of a map lie: down and to the right; of a volume, through its slices before that.
Cells = tuple[Axis, ...]


def evenly(cells: Sequence[int], pixels: Sequence[int]) -> Cells:
    """So many cells that share so many pixels, in each direction."""
    pitches = [size / count for count, size in zip(cells, pixels, strict=True)]
    return tuple(Axis(first=pitch / 2, pitch=pitch) for pitch in pitches)


def passed(
    network: nn.Module,
    layer: str,
    image: torch.Tensor,
    changed: Mapping[str, torch.Tensor] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network says of an image, and what a layer gives on the way; the way back is kept.

    The network has the parameters `changed` meanwhile. ModelError if the layer gives no map.
    """
    seen: list[object] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda *given: seen.append(given[-1]))
    try:
        with torch.enable_grad():
            given = (image.requires_grad_(),)
            said: torch.Tensor = torch.func.functional_call(network, dict(changed or {}), given)
    finally:
        hook.remove()
    found = seen[-1] if seen else None
    if not isinstance(found, torch.Tensor) or found.ndim != image.ndim:
        raise ModelError(f"a layer to explain by gives no map: {layer}")
    return said, found


# --- asking the network -----------------------------------------------------------------------


def cells_of(network: nn.Module, layer: str, image: torch.Tensor) -> Cells:
    """Where the cells of a layer lie on images like this: (1, channels, rows, columns) or 3D.

    Exact for what convolutions and pools make of the middle of the image; evenly where a network
    lets nothing through. Costs as much as a few explanations. ModelError if it gives no map.
    """
    changed = _taps(network)
    slope = _slope(image)
    # The largest pixel of a pool lies in one corner on one slope, in the opposite on the other.
    return _mean(*(_reached(network, layer, changed, ramp) for ramp in (slope, 2 - slope)))


def _taps(network: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters with which convolutions hand on the mean of what lies in the middle of them."""
    changed = {}
    for name, module in network.named_modules():
        if isinstance(module, _CONVOLUTIONS):
            taps = torch.zeros_like(module.weight)
            middle = (slice((size - 1) // 2, size // 2 + 1) for size in taps.shape[2:])
            taps[(slice(None), slice(None), *middle)] = 1
            changed[f"{name}.weight"] = taps / taps[0].sum()
            if module.bias is not None:
                changed[f"{name}.bias"] = torch.zeros_like(module.bias)
    return changed


def _slope(image: torch.Tensor) -> torch.Tensor:
    """From 1/2 in the first corner to 3/2 in the last: a pool has one pixel that is largest."""
    slope = torch.full_like(image, 1 / 2)
    for axis in range(2, image.ndim):
        ramp = torch.linspace(0, 1 / (image.ndim - 2), image.shape[axis], device=image.device)
        slope += ramp.reshape([-1 if at == axis else 1 for at in range(image.ndim)])
    return slope


def _reached(
    network: nn.Module,
    layer: str,
    changed: Mapping[str, torch.Tensor],
    ramp: torch.Tensor,
) -> Cells:
    plain = [
        module.register_forward_hook(lambda _module, given, _found: given[0])
        for module in network.modules()
        if isinstance(module, _NORMALISATIONS)
    ]
    try:
        with torch.enable_grad():
            _, found = passed(network, layer, ramp, changed)
            return _cells(found, ramp)
    finally:
        for hook in plain:
            hook.remove()


def _cells(found: torch.Tensor, image: torch.Tensor) -> Cells:
    """By two cells in the middle of the map; evenly where none can be told."""
    even = evenly(found.shape[2:], image.shape[2:])
    middle = [(count - 1) // 2 for count in found.shape[2:]]
    here, there = _place(found, middle, image), _place(found, [at + 1 for at in middle], image)
    if here is None or there is None:
        return even
    measured = zip(even, here, there, middle, strict=True)
    return tuple(_axis(alike, *told) for alike, *told in measured)


def _axis(even: Axis, here: float, there: float, at: float) -> Axis:
    """From the middles of the cells `at` and after it; a single cell has no next one."""
    pitch = there - here
    return Axis(first=here - at * pitch, pitch=pitch or even.pitch)


def _place(found: torch.Tensor, at: Sequence[int], image: torch.Tensor) -> list[float] | None:
    """The middle of the pixels that reach a cell, or the last one; None where none does."""
    cell = found[0]
    for index, count in zip(at, found.shape[2:], strict=True):
        cell = cell[:, min(index, count - 1)]
    reach = torch.autograd.grad(cell.sum(), image, retain_graph=True)[0][0].sum(0).double()
    reach = reach.where(reach >= _FAINT * reach.max(), 0)
    total = float(reach.sum())
    if not 0 < total < float("inf"):
        return None
    return [_middle_of(reach.transpose(0, axis).flatten(1).sum(1)) for axis in range(reach.ndim)]


def _middle_of(reach: torch.Tensor) -> float:
    pixels = torch.arange(len(reach), dtype=reach.dtype, device=reach.device) + 0.5
    return float(reach @ pixels / reach.sum())


def _mean(one: Cells, other: Cells) -> Cells:
    return tuple(
        Axis(first=(a.first + b.first) / 2, pitch=(a.pitch + b.pitch) / 2)
        for a, b in zip(one, other, strict=True)
    )


# --- from cells to pixels, and back -----------------------------------------------------------


def onto(found: torch.Tensor, cells: Cells, pixels: Sequence[int]) -> torch.Tensor:
    """A map as its cells lie on an image of so many pixels, drawn straight from middle to middle.

    Beyond the outermost middles it stays as it is there.
    """
    for axis, (lie, size) in enumerate(zip(cells, pixels, strict=True), -len(cells)):
        found = _along(found, axis, _nearness(lie, found.shape[axis], size))
    return found


def covered(area: torch.Tensor, cells: Cells, counts: Sequence[int]) -> torch.Tensor:
    """Which share of each of so many cells an area of the image covers.

    `area` is 0..1; its last dimensions are the image's.
    """
    for axis, (lie, count) in enumerate(zip(cells, counts, strict=True), -len(cells)):
        area = _along(area, axis, _overlap(lie, count, area.shape[axis]))
    return area


def _along(found: torch.Tensor, axis: int, weights: torch.Tensor) -> torch.Tensor:
    """Weighted sums along one dimension: `weights` are (new, old)."""
    return (found.movedim(axis, -1) @ weights.to(found).T).movedim(-1, axis)


def _nearness(axis: Axis, count: int, size: int) -> torch.Tensor:
    """What each cell counts at each pixel: (pixels, cells), 1 in all for a pixel."""
    at = ((torch.arange(size) + 0.5 - axis.first) / axis.pitch).clamp(0, count - 1)
    return (1 - (at[:, None] - torch.arange(count)).abs()).clamp(min=0)


def _overlap(axis: Axis, count: int, size: int) -> torch.Tensor:
    """Which share of each cell each pixel is: (cells, pixels)."""
    middle, pixel = axis.first + axis.pitch * torch.arange(count)[:, None], torch.arange(size)
    end = torch.minimum(middle + axis.pitch / 2, pixel + 1)
    begin = torch.maximum(middle - axis.pitch / 2, pixel)
    return (end - begin).clamp(min=0) / axis.pitch

"""Which part of an image or volume speaks for a label: one map a label, by the card's method.

- Grad-CAM: activations of a layer, weighed by the mean gradient of their channel
  (Selvaraju et al. 2017).
- Grad-CAM++: weighed by their positive gradients, so that several places can count
  (Chattopadhay et al. 2018).
- HiResCAM: activation times gradient, place by place; on the last layer exactly what each place
  adds to the answer, and faithful on earlier ones too (Draelos and Carin 2020).
- Occlusion: how far the answer falls where a part of the image is covered (Zeiler and Fergus 2014).
- Integrated gradients: what each pixel adds on the way from a flat grey image to this one
  (Sundararajan et al. 2017).

The CAM methods need one way through the network for all labels, and back to the layer for each.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, product
from typing import NamedTuple

import torch
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d

from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.explaining.cells import Cells, evenly, onto, passed

__all__ = ["attribute"]


class _Effort(NamedTuple):
    """How finely a method without a grid of its own looks."""

    cells: int  #: along each axis
    cover: int  #: such a part of each edge is covered at a time
    steps: int  #: from grey to the image
    batch: int  #: covered images that go through the network together


_OF_IMAGES = _Effort(cells=20, cover=8, steps=32, batch=20)
_OF_VOLUMES = _Effort(cells=10, cover=5, steps=16, batch=8)  # with so many more places


def attribute(
    network: torch.nn.Module,
    explanation: Explanation,
    image: torch.Tensor,
    numbers: Sequence[int],
    cells: Cells | None,
) -> list[torch.Tensor]:
    """For each of the network's numbers a map of at least 0, place by place of `image`.

    `image` is (1, channels, rows, columns), or with slices before the rows; maps are without the
    first two dimensions, in a unit of their own. `cells` says where those of the card's layer lie
    (`cells.py`); None where the method looks at no layer. ModelError if the layer has no map.
    """
    image, pixels = image.detach(), image.shape[2:]
    effort = _OF_IMAGES if len(pixels) == 2 else _OF_VOLUMES
    maps: Iterable[torch.Tensor]
    match explanation.method:
        case "occlusion":
            maps = _occlusion(network, image, numbers, effort)
        case "integrated-gradients":
            maps = _integrated_gradients(network, image, numbers, effort)
        case "grad-cam++" | "grad-cam" | "hires-cam":
            maps = _cam(network, explanation, image, numbers)
    drawn = (onto(found, cells or evenly(found.shape, pixels), pixels) for found in maps)
    return [found.detach().float().cpu() for found in drawn]


# --- class activation maps ------------------------------------------------------------------


def _grad_cam(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return (gradient.mean(_across(gradient), keepdim=True) * activation).sum(0).relu()


def _across(found: torch.Tensor) -> tuple[int, ...]:
    """The axes of a map (channels, ...) that are places."""
    return tuple(range(1, found.ndim))


def _grad_cam_plus_plus(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Equation 19 of the paper divided by the square of the gradient, which nothing can upset."""
    positive = gradient.relu()
    whole = activation.relu().sum(_across(activation), keepdim=True)
    weight = (positive / (2 + positive * whole)).sum(_across(activation), keepdim=True)
    return (weight * activation).sum(0).relu()


def _hires_cam(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return (gradient * activation).sum(0).relu()


#: (channels, ...) of activations and gradients to a map, by the name of the method.
_CAMS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "grad-cam": _grad_cam,
    "grad-cam++": _grad_cam_plus_plus,
    "hires-cam": _hires_cam,
}


def _cam(
    network: torch.nn.Module,
    explanation: Explanation,
    image: torch.Tensor,
    numbers: Sequence[int],
) -> Iterator[torch.Tensor]:
    (logits,), activation = passed(network, explanation.layer, image)
    for number in numbers:
        (gradient,) = torch.autograd.grad(logits[number], activation, retain_graph=True)
        found = _CAMS[explanation.method](activation[0].detach(), gradient[0])
        yield found / found.max().clamp(min=1e-30)  # gradients of a sure network are next to 0


# --- from the image itself ------------------------------------------------------------------


def _occlusion(
    network: torch.nn.Module, image: torch.Tensor, numbers: Sequence[int], effort: _Effort
) -> list[torch.Tensor]:
    """How far the answer falls where a part of the image is covered with its mean."""
    spans = [_spans(size, effort) for size in image.shape[2:]]
    parts, grey = product(*spans), image.mean()
    fallen = []
    with torch.no_grad():
        whole = network(image)[0]
        while some := list(islice(parts, effort.batch)):
            covered = image.repeat(len(some), *(1 for _ in image.shape[1:]))
            for one, part in zip(covered, some, strict=True):
                one[(slice(None), *part)] = grey
            fallen.append(whole - network(covered))
    maps = torch.cat(fallen).reshape(*map(len, spans), -1)
    return [maps[..., number].relu() for number in numbers]


def _spans(size: int, effort: _Effort) -> list[slice]:
    """What is covered at a time along one axis, from its first pixel to its last."""
    cells, half = min(effort.cells, size), max(1, size // effort.cover // 2)
    middles = [(2 * cell + 1) * size // (2 * cells) for cell in range(cells)]
    return [slice(max(0, middle - half), middle + half) for middle in middles]


def _integrated_gradients(
    network: torch.nn.Module, image: torch.Tensor, numbers: Sequence[int], effort: _Effort
) -> Iterator[torch.Tensor]:
    way = image - image.mean()
    total = [torch.zeros_like(image) for _ in numbers]
    for step in range(effort.steps):
        at = (image - way * ((step + 0.5) / effort.steps)).requires_grad_()
        with torch.enable_grad():
            logits = network(at)[0]
        for index, number in enumerate(numbers):
            total[index] += torch.autograd.grad(logits[number], at, retain_graph=True)[0]
    cells = [min(effort.cells, size) for size in image.shape[2:]]
    for gradient in total:
        added = (way * gradient)[0].sum(0, keepdim=True) / effort.steps
        pool = adaptive_avg_pool2d if len(cells) == 2 else adaptive_avg_pool3d
        pooled: torch.Tensor = pool(added, cells)  # type: ignore[arg-type]  # one an axis
        yield pooled[0].relu()  # single pixels are noise

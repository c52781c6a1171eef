"""Which part of an image speaks for a label: one map a label, by the method of the card.

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
from contextlib import contextmanager

import torch
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate

from dicomnode.classify.card import Explanation
from dicomnode.errors import ModelError

__all__ = ["attribute"]

_CELLS = 20  #: across the image, where a method has no grid of its own
_COVER = 8  #: an eighth of the image's edge is covered at a time
_STEPS = 32  #: from grey to the image


def attribute(
    network: torch.nn.Module, explanation: Explanation, image: torch.Tensor, labels: Sequence[int]
) -> list[torch.Tensor]:
    """For each label a map of at least 0 over the whole `image`, (1, channels, size, size).

    Maps are (cells, cells), in a unit of their own. ModelError if a layer has no map.
    """
    image = image.detach()
    maps: Iterable[torch.Tensor]
    match explanation.method:
        case "occlusion":
            maps = _occlusion(network, image, labels)
        case "integrated-gradients":
            maps = _integrated_gradients(network, image, labels)
        case "grad-cam++" | "grad-cam" | "hires-cam":
            maps = _cam(network, explanation, image, labels)
    return [found.detach().float().cpu() for found in maps]


# --- class activation maps ------------------------------------------------------------------


def _grad_cam(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return (gradient.mean((1, 2), keepdim=True) * activation).sum(0).relu()


def _grad_cam_plus_plus(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Equation 19 of the paper divided by the square of the gradient, which nothing can upset."""
    positive, whole = gradient.relu(), activation.relu().sum((1, 2), keepdim=True)
    weight = (positive / (2 + positive * whole)).sum((1, 2), keepdim=True)
    return (weight * activation).sum(0).relu()


def _hires_cam(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return (gradient * activation).sum(0).relu()


_CAMS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "grad-cam": _grad_cam,
    "grad-cam++": _grad_cam_plus_plus,
    "hires-cam": _hires_cam,
}


def _cam(
    network: torch.nn.Module, explanation: Explanation, image: torch.Tensor, labels: Sequence[int]
) -> Iterator[torch.Tensor]:
    weigh = _CAMS[explanation.method]
    with torch.enable_grad(), _watched(network, explanation.layers) as seen:
        logits = network(image.requires_grad_())[0]
    activations = [seen[layer] for layer in explanation.layers]
    if any(activation.ndim != image.ndim for activation in activations):
        raise ModelError(f"a layer to explain by gives no map: {', '.join(explanation.layers)}")
    for label in labels:
        gradients = torch.autograd.grad(logits[label], activations, retain_graph=True)
        pairs = zip(activations, gradients, strict=True)
        yield _joined([weigh(activation[0].detach(), g[0]) for activation, g in pairs])


@contextmanager
def _watched(network: torch.nn.Module, layers: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """What these layers give while the network is used."""
    seen: dict[str, torch.Tensor] = {}

    def watch(layer: str) -> torch.utils.hooks.RemovableHandle:
        keep = seen.__setitem__
        return network.get_submodule(layer).register_forward_hook(lambda *a: keep(layer, a[-1]))

    hooks = [watch(layer) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _joined(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """The first map, narrowed down by finer ones: their geometric mean.

    A finer map is smoothed over a cell of the first in each direction before. One that is cold
    everywhere says nothing.
    """
    coarse, *finer = maps
    told = [coarse] + [_smoothed(fine, len(fine) // len(coarse)) for fine in finer if fine.any()]
    cells = max(len(found) for found in told)
    scaled = [_resized(found / found.max().clamp(min=1e-30), cells) for found in told]
    return torch.stack(scaled).prod(0) ** (1 / len(scaled))


def _smoothed(fine: torch.Tensor, reach: int) -> torch.Tensor:
    reach = max(1, reach)
    return avg_pool2d(fine[None, None], 2 * reach + 1, 1, reach, count_include_pad=False)[0, 0]


def _resized(found: torch.Tensor, cells: int) -> torch.Tensor:
    return interpolate(found[None, None], size=(cells, cells), mode="bilinear")[0, 0]


# --- from the image itself ------------------------------------------------------------------


def _occlusion(
    network: torch.nn.Module, image: torch.Tensor, labels: Sequence[int]
) -> list[torch.Tensor]:
    size = image.shape[-1]
    cells, half = min(_CELLS, size), max(1, size // _COVER // 2)
    grey = image.mean()
    middles = [(2 * cell + 1) * size // (2 * cells) for cell in range(cells)]
    spans = [slice(max(0, middle - half), middle + half) for middle in middles]
    fallen = []
    with torch.no_grad():
        whole = network(image)[0]
        for rows in spans:
            covered = image.repeat(cells, 1, 1, 1)
            for one, columns in zip(covered, spans, strict=True):
                one[:, rows, columns] = grey
            fallen.append(whole - network(covered))
    maps = torch.stack(fallen)
    return [maps[..., label].relu() for label in labels]


def _integrated_gradients(
    network: torch.nn.Module, image: torch.Tensor, labels: Sequence[int]
) -> Iterator[torch.Tensor]:
    way = image - image.mean()
    total = [torch.zeros_like(image) for _ in labels]
    for step in range(_STEPS):
        at = (image - way * ((step + 0.5) / _STEPS)).requires_grad_()
        with torch.enable_grad():
            logits = network(at)[0]
        for index, label in enumerate(labels):
            total[index] += torch.autograd.grad(logits[label], at, retain_graph=True)[0]
    for gradient in total:
        yield _pooled((way * gradient)[0].sum(0) / _STEPS).relu()


def _pooled(found: torch.Tensor) -> torch.Tensor:
    """Pixels by cells: single ones are noise."""
    return adaptive_avg_pool2d(found[None], min(_CELLS, len(found)))[0]

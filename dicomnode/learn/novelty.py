"""What is usual for a network, fitted on images like those it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.fitted import Novelty
from dicomnode.classify.novelty import distances, features
from dicomnode.classify.weights import save_weights
from dicomnode.errors import ModelError

__all__ = ["Familiar", "accepted", "fit", "look", "threshold", "with_novelty"]

_LEAST_SPREAD = 1e-2  #: of the mean spread: where nothing ever varies, a trace is no surprise


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiar:
    """How it is decided that an image is like those for training."""

    layer: str = "features.pool0"  #: of the network, that is looked at
    grid: int = 4  #: places squared that its output is averaged to
    quantile: float = 0.99  #: of the scores of validation images
    slack: float = 3.0  #: the limit is so many times that quantile


def look(network: torch.nn.Module, images: torch.Tensor, layer: str, grid: int) -> torch.Tensor:
    """Features of prepared images (images, channels, height, width), one row an image.

    Raises:
        ModelError: the network has no such layer, never reaches it, or it gives no map.
    """
    try:
        module = network.get_submodule(layer)
    except AttributeError as error:
        raise ModelError(f"what is usual: the network has no layer {layer}") from error
    seen: list[torch.Tensor] = []

    def keep(_layer: torch.nn.Module, _given: object, output: object) -> None:
        if not isinstance(output, torch.Tensor) or output.ndim < 3:
            raise ModelError(f"what is usual: the layer {layer} gives no map")
        seen.append(features(output, grid))

    hook = module.register_forward_hook(keep)
    network.eval()
    try:
        with torch.inference_mode():
            for image in images:
                network(image[None])
    finally:
        hook.remove()
    if not seen:
        raise ModelError(f"what is usual: the layer {layer} is never reached")
    return torch.cat(seen)


def fit(usual: torch.Tensor) -> dict[str, torch.Tensor]:
    """Mean and spread of each feature of (images, features), for the model's folder."""
    table = usual.double()
    spread = table.std(0)
    spread = spread.clamp(min=_LEAST_SPREAD * float(spread.mean()))
    return {"mean": table.mean(0).float(), "spread": spread.float()}


def threshold(
    numbers: Mapping[str, torch.Tensor], usual: torch.Tensor, quantile: float, slack: float
) -> float:
    """`slack` times the quantile of the scores of usual images that were not fitted to."""
    scores: NDArray[np.float32] = distances(usual, numbers).numpy()
    return round(slack * float(np.quantile(scores, quantile)), 4)


def accepted(numbers: Mapping[str, torch.Tensor], seen: torch.Tensor, limit: float) -> float:
    """The share of images that score no higher than the limit."""
    return round(float((distances(seen, numbers) <= limit).double().mean()), 4)


def with_novelty(
    card: Card,
    network: torch.nn.Module,
    images: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    familiar: Familiar,
    folder: Path,
) -> Card:
    """The card with what is usual, and its numbers as a file in the model's folder.

    Of the three sets of prepared images the first is fitted to, the second gives the limit, and
    the third says which share of such images is accepted.
    """
    fitted, validation, held_out = (
        look(network, each, familiar.layer, familiar.grid) for each in images
    )
    numbers = fit(fitted)
    limit = threshold(numbers, validation, familiar.quantile, familiar.slack)
    table = Novelty(
        layer=familiar.layer,
        grid=familiar.grid,
        threshold=limit,
        numbers=save_weights(numbers, folder / "usual.safetensors"),
        dataset="the images that the model was trained on",
        images=len(fitted),
        accepted=accepted(numbers, held_out, limit),
    )
    return card.model_copy(update={"novelty": table})

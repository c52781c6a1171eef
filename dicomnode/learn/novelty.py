"""What is usual for a network, fitted on images like those it was trained on."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.novelty import distances, features

__all__ = ["accepted", "fit", "look", "threshold"]

_LEAST_SPREAD = 1e-2  #: of the mean spread: where nothing ever varies, a trace is no surprise


def look(network: torch.nn.Module, images: torch.Tensor, layer: str, grid: int) -> torch.Tensor:
    """Features of prepared images (images, channels, height, width), one row an image."""
    seen: list[torch.Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(
        lambda _layer, _given, output: seen.append(features(output, grid))
    )
    network.eval()
    with torch.inference_mode():
        for image in images:
            network(image[None])
    hook.remove()
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

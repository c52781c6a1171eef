"""How unlike the training images is a frame? Asked of what the network sees on its way.

The output of an early layer, averaged over a coarse grid, tells where what kind of edge and
brightness lies. Its score is the mean squared distance from what is usual there, in units of what
is usual variation: 1 for an average training image. Takes no pass of its own.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.card.fitted import Novelty
from dicomnode.classify.networks.pooling import grid_means
from dicomnode.errors import Cause, ModelError, NotAnalysable

__all__ = ["Usual", "distances", "features"]


def features(output: torch.Tensor, grid: int) -> torch.Tensor:
    """A layer's output (images, channels, ...) as (images, channels * grid for each axis)."""
    return grid_means(output.detach().float(), grid).flatten(1)


def distances(seen: torch.Tensor, numbers: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The score of each row of features: (images, features) to (images,)."""
    return ((seen - numbers["mean"]) / numbers["spread"]).square().mean(1)


class Usual:
    """What is usual for a network, as its card says.

    `numbers` holds `mean` and `spread`, one a feature, as `learn/novelty.py` fits them.
    """

    def __init__(self, novelty: Novelty, numbers: Mapping[str, torch.Tensor]) -> None:
        self._novelty = novelty
        self._numbers = {name: numbers.get(name, torch.empty(0)) for name in ("mean", "spread")}

    def score(self, seen: NDArray[np.float32]) -> float:
        """Of one image's features, (features,)."""
        if {seen.shape} != {each.shape for each in self._numbers.values()}:
            raise ModelError("novelty.numbers do not fit the layer and the grid")
        return float(distances(torch.from_numpy(seen)[None], self._numbers)[0])

    def unfamiliar(self, seen: NDArray[np.float32]) -> NotAnalysable | None:
        """Whether the image with these features is unlike what the model was trained on."""
        if self.score(seen) <= self._novelty.threshold:  # what is not a number is not usual either
            return None
        return NotAnalysable("an image is unlike those the model was trained on", Cause.UNFAMILIAR)

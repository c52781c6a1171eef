"""How unlike the training images is a frame? Asked of what the network sees on its way.

The output of an early layer, averaged over a coarse grid, tells where what kind of edge and
brightness lies. Its score is the mean squared distance from what is usual there, in units of what
is usual variation: 1 for an average training image. Takes no pass of its own.
"""

from collections.abc import Mapping

import torch
from torch.nn.functional import adaptive_avg_pool2d

from dicomnode.classify.fitted import Novelty
from dicomnode.errors import Cause, ModelError, NotAnalysable

__all__ = ["Usual", "distances", "features"]


def features(output: torch.Tensor, grid: int) -> torch.Tensor:
    """A layer's output (images, channels, height, width) as (images, channels * grid * grid)."""
    return adaptive_avg_pool2d(output.detach().float(), grid).flatten(1)


def distances(seen: torch.Tensor, numbers: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The score of each row of features: (images, features) to (images,)."""
    return ((seen - numbers["mean"]) / numbers["spread"]).square().mean(1)


class Usual:
    """What is usual for a network, as its card says; keeps a hook in it.

    `numbers` holds `mean` and `spread`, one a feature, as `learn/novelty.py` fits them.
    """

    def __init__(
        self, network: torch.nn.Module, novelty: Novelty, numbers: Mapping[str, torch.Tensor]
    ) -> None:
        self._novelty = novelty
        self._seen: torch.Tensor | None = None
        self._numbers = {name: numbers.get(name, torch.empty(0)) for name in ("mean", "spread")}
        try:
            layer = network.get_submodule(novelty.layer)
        except AttributeError as error:
            raise ModelError(
                f"novelty.layer is no layer of the network: {novelty.layer}"
            ) from error
        layer.register_forward_hook(self._look)

    def _look(self, _layer: torch.nn.Module, _given: object, output: torch.Tensor) -> None:
        self._seen = features(output, self._novelty.grid)

    def score(self) -> float:
        """Of the frame that went through the network last."""
        if self._seen is None:
            raise ModelError("novelty.layer is never reached")
        if {self._seen[0].shape} != {each.shape for each in self._numbers.values()}:
            raise ModelError("novelty.numbers do not fit the layer and the grid")
        return float(distances(self._seen.cpu(), self._numbers)[0])

    def unfamiliar(self) -> NotAnalysable | None:
        """Whether the frame that went through last is unlike what the model was trained on."""
        score = self.score()
        if score <= self._novelty.threshold:  # what is not a number is not usual either
            return None
        return NotAnalysable("an image is unlike those the model was trained on", Cause.UNFAMILIAR)

"""Why a finding is present: a heat map over the frame, and the regions that stand out in it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.attribution import attribute
from dicomnode.classify.card import Explanation
from dicomnode.classify.outlines import regions
from dicomnode.classify.preprocess import Prepared, resize
from dicomnode.records import Region

__all__ = ["Explained", "Explainer"]


class Explained(NamedTuple):
    """Where one label lies on a frame."""

    heat: NDArray[np.float32]  #: 0..1, (rows, columns) of the source frame
    regions: tuple[Region, ...]  #: largest first


class Explainer:
    """Explains what one network says, as its card tells."""

    def __init__(self, network: torch.nn.Module, explanation: Explanation) -> None:
        self._network = network
        self._explanation = explanation
        self._device = next(network.parameters()).device

    def explain(self, prepared: Prepared, labels: Sequence[int]) -> list[Explained]:
        """Heat map and regions of each label, all from the same way through the network."""
        return [
            Explained(
                heat=resize(heat, prepared.placement.rows, prepared.placement.columns),
                regions=regions(heat, self._explanation.region_fraction, prepared.placement),
            )
            for heat in self.maps(prepared, labels)
        ]

    def maps(self, prepared: Prepared, labels: Sequence[int]) -> list[NDArray[np.float32]]:
        """Heat of each label, 0..1, on the frame's part of the network's square."""
        image, size = prepared.tensor[None].to(self._device), prepared.tensor.shape[-1]
        coarse = attribute(self._network, self._explanation, image, labels)
        heats = (prepared.placement.crop(resize(found.numpy(), size, size)) for found in coarse)
        return [heat / (heat.max() or np.float32(1)) for heat in heats]

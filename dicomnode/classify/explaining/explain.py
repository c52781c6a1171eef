"""Why a finding is present: a heat map over the frame, and the regions that stand out in it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.answers import Region
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.explaining.attribution import attribute
from dicomnode.classify.explaining.cells import Cells, cells_of
from dicomnode.classify.explaining.outlines import regions
from dicomnode.classify.explaining.shown import Shown
from dicomnode.classify.samples.look import Sample
from dicomnode.classify.samples.preprocess import Prepared
from dicomnode.errors import ModelError

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
        self._cells: dict[torch.Size, Cells] = {}  # by the size of the image

    def explain(self, prepared: Prepared, labels: Sequence[int]) -> list[Explained]:
        """Heat map and regions of each label, all from the same way through the network."""
        return [
            Explained(
                heat=prepared.placement.over_source(heat),
                regions=regions(heat, self._explanation.region_fraction, prepared.placement),
            )
            for heat in self.maps(prepared, labels)
        ]

    def shown(self, sample: Sample, numbers: Sequence[int]) -> list[Shown]:
        """The same for a sample that is one frame."""
        if not isinstance(sample, Prepared):
            raise ModelError("a sample of several frames cannot be explained as one")
        return [
            Shown(frame=sample.ref, heat=found.heat, regions=found.regions)
            for found in self.explain(sample, numbers)
        ]

    def maps(self, prepared: Prepared, labels: Sequence[int]) -> list[NDArray[np.float32]]:
        """Heat of each label, 0..1, on the frame's part of the network's square."""
        image = prepared.tensor[None].to(self._device)
        maps = attribute(self._network, self._explanation, image, labels, self._lie(image))
        heats = (prepared.placement.crop(found.numpy()) for found in maps)
        return [heat / (heat.max() or np.float32(1)) for heat in heats]

    def _lie(self, image: torch.Tensor) -> Cells | None:
        """Where the layer's cells lie on images of this size; asked of the network once."""
        if not self._explanation.by_layer:
            return None
        if image.shape not in self._cells:
            self._cells[image.shape] = cells_of(self._network, self._explanation.layer, image)
        return self._cells[image.shape]

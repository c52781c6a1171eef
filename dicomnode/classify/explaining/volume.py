"""Why a finding of a volume is present: the slice that shows it best, heat and regions on that."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.explaining.attribution import attribute
from dicomnode.classify.explaining.cells import Cells, cells_of
from dicomnode.classify.explaining.outlines import regions
from dicomnode.classify.explaining.shown import Shown
from dicomnode.classify.samples.look import Sample
from dicomnode.classify.samples.preprocess import Placement
from dicomnode.classify.samples.volume import Grid, Seen, sample_on
from dicomnode.errors import ModelError

__all__ = ["VolumeExplainer"]

_LOOKED_AT = 64  #: places across a slice, to choose one by


class VolumeExplainer:
    """Explains what one network says of volumes, as its card tells."""

    def __init__(self, network: torch.nn.Module, explanation: Explanation) -> None:
        self._network = network
        self._explanation = explanation
        self._cells: Cells | None = None  # volumes of one network are of one size

    def shown(self, sample: Sample, numbers: Sequence[int]) -> list[Shown]:
        """Of each of the network's numbers: the slice with most of what is hot, and where on it."""
        if not isinstance(sample, Seen):
            raise ModelError("a network for volumes is shown something else")
        device = next(self._network.parameters()).device
        volume, explanation = sample.tensor[None].to(device), self._explanation
        if explanation.by_layer and self._cells is None:
            self._cells = cells_of(self._network, explanation.layer, volume)
        maps = attribute(self._network, explanation, volume, numbers, self._cells)
        return [self._on_slice(sample, found) for found in maps]

    def _on_slice(self, seen: Seen, found: torch.Tensor) -> Shown:
        fraction = self._explanation.region_fraction
        at = _hottest(seen, found, fraction)
        ref = seen.slices[at]
        heat = _heat(seen, found, at, ref.rows, ref.columns)
        heat /= heat.max() or np.float32(1)
        outlined = regions(heat, fraction, Placement.whole(ref.rows, ref.columns))
        return Shown(frame=ref, heat=heat, regions=outlined)


def _hottest(seen: Seen, found: torch.Tensor, fraction: float) -> int:
    """The slice, by number, with most heat above that share of the maximum.

    Of equal ones it is that in their middle.
    """
    level = fraction * float(found.max())
    sums = {}
    for at, ref in seen.slices.items():
        size = (min(ref.rows, _LOOKED_AT), min(ref.columns, _LOOKED_AT))
        heat = _heat(seen, found, at, *size)
        sums[at] = float(heat[heat >= level].sum())
    most = max(sums.values())
    best = [at for at, total in sorted(sums.items()) if total >= most * (1 - 1e-6)]
    return best[len(best) // 2]


def _heat(seen: Seen, found: torch.Tensor, at: int, rows: int, columns: int) -> NDArray[np.float32]:
    """The map of the grid on one slice, at (rows, columns) places that share it."""
    _, all_rows, all_columns = seen.stack.shape
    tall, wide = all_rows / rows, all_columns / columns
    way, down, right = seen.stack.steps.T
    corner = seen.stack.origin + way * at + down * (tall - 1) / 2 + right * (wide - 1) / 2
    steps = np.stack([way, down * tall, right * wide], axis=1)
    places = Grid(origin=corner, steps=steps, shape=(1, rows, columns))
    heat: NDArray[np.float32] = sample_on(places, found, seen.grid)[0, 0].numpy()
    return heat

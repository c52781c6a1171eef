"""Where on which frame a label lies, and what a classifier needs to be told that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dicomnode.answers import FrameRef, Region
from dicomnode.classify.samples.look import Sample

__all__ = ["Shown", "Shows"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """Where one label lies: on the frame of a sample that shows it best."""

    frame: FrameRef
    heat: NDArray[np.float32]  #: 0..1, (rows, columns) of the frame
    regions: tuple[Region, ...]  #: on the frame, largest first


class Shows(Protocol):
    """Explains what a network says of the kind of samples that it is for."""

    def shown(self, sample: Sample, numbers: Sequence[int]) -> list[Shown]:
        """One for each of these numbers of the network; one thread at a time may call it.

        Raises:
            ModelError: the network cannot be explained as the card wants.
        """

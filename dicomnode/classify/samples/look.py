"""What the network is shown at once, and what it says of that."""

from dataclasses import dataclass
from typing import Protocol

import torch

from dicomnode.answers import FrameRef
from dicomnode.errors import NotAnalysable

__all__ = ["Look", "Outcome", "Sample"]


class Sample(Protocol):
    """What the network is shown at once: a frame, some views, or a volume."""

    @property
    def tensor(self) -> torch.Tensor:
        """float32, (channels, ...), as the card's input tells."""

    @property
    def frames(self) -> tuple[FrameRef, ...]:
        """What it was made of."""

    def kept(self) -> "Sample":
        """The same in the host's memory, for whoever explains or remembers it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """A sample with its answer."""

    sample: Sample
    scores: tuple[float, ...]  #: 0..1, one a label: calibrated and rounded

    @property
    def frames(self) -> tuple[FrameRef, ...]:
        """What was looked at."""
        return self.sample.frames


#: What comes of a sample: an answer, or why it is none that the model is for.
Outcome = Look | NotAnalysable

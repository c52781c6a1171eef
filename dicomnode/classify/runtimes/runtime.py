"""What a classifier needs of the program that carries its network out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Runtime", "Said"]


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a network said of a batch."""

    logits: NDArray[np.float64]  #: (images, outputs), neither calibrated nor squashed
    features: NDArray[np.float32] | None = None  #: (images, features) of the card's novelty layer


class Runtime(Protocol):
    """A network ready to be run, by several threads at once."""

    @property
    def name(self) -> str:
        """What carries it out, such as "torch"; for logs and people."""

    def run(self, images: torch.Tensor) -> Said:
        """Answers for float32 (images, ...), each as the card's input is prepared.

        They lie on the host, or on the runtime's own device.

        Raises:
            ModelError: the network cannot be carried out.
        """

"""What one network is to learn, from what, and how that went."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicomnode.classify.card.input import Input
from dicomnode.learn.training.checkpoint import Line
from dicomnode.learn.training.pictures import Pictures
from dicomnode.learn.training.recipe import Recipe

__all__ = ["Fitted", "Lesson", "Watch"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What one network is to learn, and from what."""

    recipe: Recipe
    input: Input  #: what the network is shown
    pictures: Pictures  #: to learn from
    plain: Pictures  #: as the network is shown them
    truth: NDArray[np.float64]  #: (images, labels), NaN where not known
    taught: NDArray[np.float64] | None  #: a teacher's probabilities of the same shape
    training: NDArray[np.intp]  #: places of the images to learn from
    validation: NDArray[np.intp]  #: and of those to stop by; may be empty
    epochs: int
    seed: int
    key: str  #: of all that decides the outcome
    file: Path  #: the checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """How it went."""

    epoch: int  #: whose weights the network has now
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far it is."""

    step: Callable[[float], None] = field(default=lambda _epochs: None)  #: epochs that are done
    epoch: Callable[[Line], None] = field(default=lambda _line: None)

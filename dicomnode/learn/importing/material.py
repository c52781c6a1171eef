"""What was found in a source, before it becomes a model folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.provenance import Source

__all__ = ["Material"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """A model that was read and not yet run: its architecture, and its numbers or its program."""

    source: Source
    architecture: Architecture
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)  #: by the network's names
    head: str = ""  #: module of the last layer, whose rows are the outputs
    program: bytes = b""  #: in the place of tensors
    channels: int | None = None  #: that the first layer takes; None where it does not tell
    tables: Mapping[str, Any] = field(default_factory=dict)  #: of the card, as far as it tells
    thresholds: tuple[float, ...] = ()  #: of the outputs, where the source has its own
    notes: tuple[str, ...] = ()  #: what was taken, changed and dropped, in words

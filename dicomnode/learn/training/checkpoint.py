"""What a run needs to go on after a kill: one file of tensors and numbers, replaced whole.

It is a safetensors file whose header holds the numbers as JSON: nothing in it can run, and tensors
and numbers cannot be of different epochs. Random numbers need no state of their own: each epoch,
image and batch draws its own from the recipe's seed.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from dicomnode.errors import ModelError
from dicomnode.learn.training.files import write_whole

__all__ = ["Line", "Progress", "Tensors", "optimizer_tensors", "read", "restore", "write"]

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What became of one epoch."""

    epoch: int  #: from 1
    rate: float  #: learning rate of its last step
    loss: float  #: mean over its steps
    auroc: float | None  #: mean over the labels in validation; None where there is none
    seconds: float


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    key: str  #: of recipe and data; another one's file is not gone on with
    steps: int = 0  #: that weights were changed in
    best_epoch: int = 0
    best: float = -1.0  #: AUROC
    ended: bool = False
    lines: list[Line] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The last epoch that is finished, from 1; 0 at the start."""
        return self.lines[-1].epoch if self.lines else 0


def write(path: Path, progress: Progress, parts: Mapping[str, Tensors]) -> None:
    """Replace the file; StoreError where the disk does not take it: the old one stays."""
    tensors = {
        f"{part}/{name}": tensor.detach().cpu().contiguous().clone()
        for part, of_part in parts.items()
        for name, tensor in of_part.items()
    }
    write_whole(path, save(tensors, metadata={"progress": json.dumps(asdict(progress))}))


def read(path: Path, key: str) -> tuple[Progress, dict[str, Tensors]] | None:
    """What was kept, by part; None where nothing was.

    Raises:
        ModelError: it is of another recipe or of other data, or it is no such file.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        progress = _progress(data)
        parts: dict[str, Tensors] = {}
        for name, tensor in load(data).items():
            part, _, rest = name.partition("/")
            parts.setdefault(part, {})[rest] = tensor
    except (SafetensorError, ValueError, LookupError, TypeError, struct.error) as error:
        raise ModelError(f"{path}: is no checkpoint; --again starts from the beginning") from error
    if progress.key != key:
        raise ModelError(
            f"{path}: the run there was begun with another recipe, manifest or images; give the "
            "old ones, choose another folder, or start from the beginning with --again"
        )
    return progress, parts


def _progress(data: bytes) -> Progress:
    (length,) = struct.unpack("<Q", data[:8])  # safetensors: 8 bytes of length, then the header
    told: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["progress"])
    lines = [Line(**line) for line in told.pop("lines")]
    return Progress(**told, lines=lines)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """What an optimiser remembers of each parameter, by its number and name."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{name}": value
        for index, of_one in state.items()
        for name, value in of_one.items()
        if isinstance(value, torch.Tensor)
    }


def restore(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give an optimiser back what it remembered."""
    state: dict[int, Tensors] = {}
    for name, value in tensors.items():
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})

"""Weights on disk: hashed before they are opened, tensors only, nothing that can run."""

import hashlib
import pickle  # for its error alone
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from dicomnode.classify.card.tables import Weights
from dicomnode.errors import ModelError

__all__ = [
    "load_weights",
    "read_checked",
    "read_checkpoint",
    "read_tensors",
    "save_program",
    "save_weights",
]

_scalar = cast("Callable[..., Any]", np.float64(0).__reduce__()[0])
#: Plain numbers as numpy keeps them, such as the best score so far: they hold bytes and a type.
_NUMBERS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_scalar, "numpy._core.multiarray.scalar"),
    (_scalar, "numpy.core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "float32", "float64")),
]


def read_checked(folder: Path, weights: Weights) -> bytes:
    """A file of a model folder, if it is the one the card names; ModelError if not."""
    path = folder / weights.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the weights cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != weights.sha256:
        raise ModelError(f"{path}: weights.sha256 in the card is not that of the file ({digest})")
    return data


def load_weights(folder: Path, weights: Weights) -> dict[str, torch.Tensor]:
    """The tensors of a model folder, if the file is the one the card names."""
    return read_tensors(read_checked(folder, weights), f"{folder / weights.file}")


def read_tensors(data: bytes, what: str) -> dict[str, torch.Tensor]:
    """The tensors in safetensors; `what` names them in a ModelError."""
    try:
        return dict(load(data))
    except SafetensorError as error:
        raise ModelError(f"{what}: is no safetensors file") from error


def read_checkpoint(path: Path) -> object:
    """What a pickle of torch holds, where that is tensors, numbers, words, lists and tables.

    For a process of its own: the room that makes model folders starts one for this alone.

    Raises:
        ModelError: it names anything else, such as a class or a function, or is broken.
    """
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            loaded: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL |global |class )([\w.]+)", str(error))
        found = f"names {named[1]}" if named else "holds other things"
        raise ModelError(
            f"{found}, which is not opened: only tensors are. Where the model was made, its "
            "state_dict() can be saved alone"
        ) from error
    except (EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"is broken ({type(error).__name__})") from error
    return loaded


def save_weights(tensors: Mapping[str, torch.Tensor], path: Path) -> Weights:
    """Write tensors; returns what the card has to say of them."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save_program(save(plain), path)


def save_program(data: bytes, path: Path) -> Weights:
    """Write a program as it is; returns what the card has to say of it."""
    path.write_bytes(data)
    return Weights(file=path.name, sha256=hashlib.sha256(data).hexdigest())

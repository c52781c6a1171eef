"""Tensors from a file: safetensors as they are, a pickle only on request and in a process apart.

That process reads with `torch.load(weights_only=True)`, which knows tensors and plain values and
refuses every other name; it has no more memory, time and disk than that needs, and hands back
safetensors.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from dicomnode.classify.weights import read_tensors
from dicomnode.errors import ModelError

__all__ = ["read_pickle", "read_safetensors", "state_dict"]

_SECONDS = 600


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; ModelError if it is none."""
    return read_tensors(path.read_bytes(), f"{path}")


def read_pickle(path: Path, *, convert: bool) -> dict[str, torch.Tensor]:
    """The state dict in a checkpoint of torch, wherever in it that is.

    Raises:
        ModelError: it is not to be converted, holds more than tensors and plain values, or is
            broken.
    """
    if not convert:
        raise ModelError(
            f"{path}: is a pickle, which can run what its maker likes when it is opened: it is "
            "refused. With --convert-pickle its tensors are read by a process apart that opens "
            "nothing else; or ask for the same as safetensors"
        )
    with tempfile.TemporaryDirectory(prefix="dicomnode-") as folder:
        made = Path(folder) / "tensors.safetensors"
        program = [sys.executable, "-I", "-m", f"{__package__}.unpickle", str(path), str(made)]
        try:
            done = subprocess.run(  # noqa: S603  # our own module, and paths as arguments
                program, capture_output=True, timeout=_SECONDS, check=False, env={}, text=True
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(f"{path}: could not be read in {_SECONDS} s") from error
        if done.returncode:
            words = done.stdout.strip() or "it ended the process that read it"
            raise ModelError(f"{path}: {words}")
        return read_tensors(made.read_bytes(), f"{path}")


def state_dict(loaded: object) -> Mapping[str, torch.Tensor]:
    """The tensors by name in what a checkpoint holds, in one of the usual places.

    Raises:
        ModelError: there are none, or in more than one place.
    """
    if isinstance(loaded, Mapping):
        if found := _tensors(loaded):
            return found
        inside = {str(key): found for key, value in loaded.items() if (found := _tensors(value))}
        usual = [key for key in _PLACES if key in inside] or list(inside)
        if len(usual) == 1 or (usual and usual[0] in _PLACES):
            return inside[usual[0]]
        if inside:
            raise ModelError(f"holds several sets of tensors: {', '.join(inside)}")
    raise ModelError("holds no tensors by name")


#: Where checkpoints keep the state dict, the likeliest first.
_PLACES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")


def _tensors(value: object) -> dict[str, torch.Tensor]:
    """A table of nothing but tensors by name; empty if it is none."""
    if not isinstance(value, Mapping) or not value:
        return {}
    whole = all(isinstance(k, str) and isinstance(t, torch.Tensor) for k, t in value.items())
    return dict(value) if whole else {}

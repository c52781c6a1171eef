"""Weights on disk: hashed before they are opened, tensors only, nothing that can run."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from dicomnode.classify.card import Weights
from dicomnode.errors import ModelError

__all__ = ["load_weights", "save_weights"]


def load_weights(folder: Path, weights: Weights) -> dict[str, torch.Tensor]:
    """The tensors of a model folder, if the file is the one the card names."""
    path = folder / weights.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the weights cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != weights.sha256:
        raise ModelError(f"{path}: weights.sha256 in the card is not that of the file ({digest})")
    try:
        return dict(load(data))
    except SafetensorError as error:
        raise ModelError(f"{path}: is no safetensors file") from error


def save_weights(tensors: Mapping[str, torch.Tensor], path: Path) -> Weights:
    """Write tensors; returns what the card has to say of them."""
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    path.write_bytes(data)
    return Weights(file=path.name, sha256=hashlib.sha256(data).hexdigest())

"""Weights: only the file the card names, and never anything that runs."""

import pickle
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from dicomnode.classify.card.tables import Weights
from dicomnode.classify.weights import load_weights, save_weights
from dicomnode.errors import ModelError

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([7], dtype=torch.int64)}


def test_loads_what_was_saved(tmp_path: Path) -> None:
    weights = save_weights(TENSORS, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path, weights)
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], TENSORS[name]) for name in TENSORS)


def test_the_same_tensors_are_the_same_bytes(tmp_path: Path) -> None:
    first = save_weights(TENSORS, tmp_path / "1.safetensors")
    second = save_weights(dict(reversed(TENSORS.items())), tmp_path / "2.safetensors")
    assert first.sha256 == second.sha256


def test_refuses_weights_of_which_one_bit_was_changed(tmp_path: Path) -> None:
    weights = save_weights(TENSORS, tmp_path / "w.safetensors")
    data = bytearray((tmp_path / "w.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match=r"weights\.sha256"):
        load_weights(tmp_path, weights)


def test_refuses_weights_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_weights(tmp_path, Weights(file="w.safetensors", sha256="0" * 64))


def test_never_opens_a_pickle_even_if_the_card_vouches_for_it(tmp_path: Path) -> None:
    data = pickle.dumps({"a": 1})
    (tmp_path / "w.safetensors").write_bytes(data)
    weights = Weights(file="w.safetensors", sha256=sha256(data).hexdigest())
    with pytest.raises(ModelError, match="no safetensors file"):
        load_weights(tmp_path, weights)

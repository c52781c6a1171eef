"""Test vectors: the same everywhere, and worth something."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.folder import write_card
from dicomnode.classify.card.input import Input
from dicomnode.classify.network import load_network
from dicomnode.classify.vectors import add_vectors, made_up, read_vectors
from dicomnode.classify.verify import verify
from dicomnode.errors import ModelError
from tests.tiny_model import make_card, make_label, make_model

GREY = Input(size_px=32, channels=1, resize="pad", mean=(0.5,), std=(0.25,))


def with_vectors(folder: Path) -> Card:
    card = make_model(folder)
    card = add_vectors(folder, card, load_network(folder, card))
    write_card(card, folder)
    return card


def test_made_up_inputs_are_the_same_on_every_machine() -> None:
    pixels = made_up(GREY)
    assert (pixels.shape, pixels.dtype) == ((3, 1, 32, 32), torch.uint8)
    assert hashlib.sha256(pixels.numpy().tobytes()).hexdigest().startswith("74c9f0e95a4f0078")


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"channels": 3, "mean": (0.5,) * 3, "std": (0.2,) * 3}, (3, 3, 32, 32)),
        ({"kind": "views", "slots": ("PA", "LATERAL")}, (3, 2, 32, 32)),
    ],
)
def test_inputs_have_the_shape_of_what_the_network_gets(
    changes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    said = GREY.model_dump() | changes
    pixels = made_up(Input.model_validate(said))
    assert pixels.shape == shape
    same = torch.equal(pixels[:, 0], pixels[:, 1])
    assert same == (shape[1] == 3)  # grey in every channel; views differ


def test_inputs_for_volumes() -> None:
    volume = {"size_vox": (8, 16, 24), "intensity": (-1000.0, 400.0)}
    recipe = Input(kind="volume", channels=1, mean=(0.0,), std=(1.0,), volume=volume)
    assert made_up(recipe).shape == (3, 1, 8, 16, 24)


def test_a_model_verifies_itself(tmp_path: Path) -> None:
    card = with_vectors(tmp_path)
    (verified,) = verify(tmp_path, card, "torch")
    assert (verified.runtime, verified.inputs, verified.holds) == ("torch", 3, True)
    assert verified.difference < 1e-6


def test_another_network_does_not(tmp_path: Path) -> None:
    card = with_vectors(tmp_path)
    wider = GREY.model_copy(update={"std": (0.1,)})
    (verified,) = verify(tmp_path, card.model_copy(update={"input": wider}), "torch")
    assert not verified.holds


def test_vectors_of_another_card_are_refused(tmp_path: Path) -> None:
    card = with_vectors(tmp_path)
    wider = GREY.model_copy(update={"size_px": 64})
    with pytest.raises(ModelError, match="vectors do not fit the card"):
        read_vectors(tmp_path, card.model_copy(update={"input": wider}))
    (tmp_path / "vectors.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"vectors\.safetensors: weights\.sha256"):
        read_vectors(tmp_path, card)


def test_a_card_without_vectors_has_its_files_checked(tmp_path: Path) -> None:
    card = make_model(tmp_path)
    assert verify(tmp_path, card, "torch") == []
    (tmp_path / card.weights.file).write_bytes(b"")
    with pytest.raises(ModelError, match="is not that of the file"):
        verify(tmp_path, card, "torch")


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (lambda images: images.mean((2, 3)).repeat(1, 3), "gives 3 numbers an image, not 2"),
        (lambda images: images.mean((2, 3)).repeat(1, 2) / 0 * 0, "is not a number"),
        (lambda images: images @ torch.ones(5), "cannot be run on images of 1 x 32 x 32"),
    ],
)
def test_a_network_that_does_not_fit_its_card_has_no_vectors(
    tmp_path: Path, network: Any, words: str
) -> None:
    card = make_card(input=GREY, labels=(make_label("one"), make_label("two")))
    with pytest.raises(ModelError, match=words):
        add_vectors(tmp_path, card, network)

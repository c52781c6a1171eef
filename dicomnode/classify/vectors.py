"""Test vectors: made-up images, and what the network said of them when its folder was made.

They tell, on any machine and after any update, that the model still answers what it answered. The
images are noise at three scales, kept as bytes before normalisation.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.provenance import Vectors
from dicomnode.classify.weights import load_weights, save_weights
from dicomnode.errors import ModelError

__all__ = ["Known", "add_vectors", "made_up", "read_vectors", "tried"]

_FILE = "vectors.safetensors"
_INPUTS, _FEWER = 3, 1 << 20  #: so many; one less for volumes, of more numbers than that
_SCALES = (32, 8, 1)  #: pixels and voxels, along each edge, that share a value


class Known(NamedTuple):
    """Inputs as the network gets them, and its answers."""

    images: torch.Tensor  #: float32, (inputs, ...) as the card's input is prepared
    logits: NDArray[np.float64]  #: (inputs, numbers)


def add_vectors(folder: Path, card: Card, network: Callable[[torch.Tensor], torch.Tensor]) -> Card:
    """Ask `network`, write the file, and return the card that names it.

    Raises:
        ModelError: as `tried`.
    """
    pixels = made_up(card.input)
    logits = tried(network, _normalised(pixels, card.input), card)
    tensors = {"images": pixels, "logits": logits}
    table = Vectors(numbers=save_weights(tensors, folder / _FILE), inputs=len(pixels))
    return card.model_copy(update={"vectors": table})


def tried(
    network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, card: Card
) -> torch.Tensor:
    """What a network of unknown worth says of images (n, ...), float32, (n, numbers).

    Raises:
        ModelError: it cannot be run on them, or gives another number of answers than its card has
            labels for, or none that are numbers.
    """
    try:
        with torch.inference_mode():
            logits = network(images).detach().float().cpu()
    except (RuntimeError, ValueError, TypeError, LookupError) as error:
        words = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        shape = " x ".join(map(str, images.shape[1:]))
        raise ModelError(f"{card.name}: cannot be run on images of {shape}: {words[0]}") from error
    if logits.shape != (len(images), card.numbers):
        given = " x ".join(map(str, logits.shape[1:]))
        raise ModelError(f"{card.name}: gives {given} numbers an image, not {card.numbers}")
    if not logits.isfinite().all():
        raise ModelError(f"{card.name}: answers with something that is not a number")
    return logits


def read_vectors(folder: Path, card: Card) -> Known:
    """The vectors of a model folder.

    Raises:
        ModelError: the card has none, or the file is not the one it names or does not fit it.
    """
    if card.vectors is None:
        raise ModelError(f"{folder}: the card has no test vectors")
    tensors = load_weights(folder, card.vectors.numbers)
    pixels, logits = (tensors.get(name, torch.empty(0)) for name in ("images", "logits"))
    count = card.vectors.inputs
    if pixels.shape != (count, *card.input.shape) or logits.shape != (count, card.numbers):
        raise ModelError(f"{folder}: the test vectors do not fit the card")
    return Known(_normalised(pixels, card.input), logits.double().numpy())


def made_up(recipe: Input) -> torch.Tensor:
    """Noise as the network's input, uint8; the same for the same shape, everywhere."""
    shape = recipe.shape
    count = _INPUTS if np.prod(shape) <= _FEWER else _INPUTS - 1
    rng = np.random.Generator(np.random.PCG64(7))
    edges = shape[1:]
    mixed = np.zeros((count, shape[0] // recipe.channels, *edges), dtype=np.uint16)
    for scale in _SCALES:
        coarse = [-(-edge // scale) for edge in edges]
        noise = rng.integers(0, 256, (*mixed.shape[:2], *coarse), dtype=np.uint16)
        for axis, edge in enumerate(edges, start=2):
            noise = noise.repeat(scale, axis).take(range(edge), axis)
        mixed += noise
    pixels = (mixed // len(_SCALES)).astype(np.uint8)
    return torch.from_numpy(pixels.repeat(recipe.channels, axis=1))  # grey in every channel


def _normalised(pixels: torch.Tensor, recipe: Input) -> torch.Tensor:
    planes = pixels.shape[1] // recipe.channels
    across = (-1, *(1 for _ in recipe.shape[1:]))
    mean, std = (torch.tensor(v * planes).reshape(across) for v in (recipe.mean, recipe.std))
    return (pixels.float() / 255 - mean) / std

"""A model made elsewhere to a model folder: read, described, run once, and then put in place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.folder import read_card, write_card
from dicomnode.classify.card.tables import Weights
from dicomnode.classify.network import build_network, load_network
from dicomnode.classify.vectors import add_vectors, made_up
from dicomnode.classify.weights import save_program, save_weights
from dicomnode.errors import ModelError
from dicomnode.learn.importing.bundle import read_bundle
from dicomnode.learn.importing.describe import Described, describe
from dicomnode.learn.importing.families import named
from dicomnode.learn.importing.files import read_program, read_state_dict
from dicomnode.learn.importing.material import Material
from dicomnode.learn.importing.new_folder import free_place, made_aside
from dicomnode.learn.importing.source import Kind, kind_of
from dicomnode.learn.importing.tensors import fitted
from dicomnode.learn.importing.wish import Wish

__all__ = ["Imported", "import_model"]

_PROGRAMS = (Kind.TORCHSCRIPT, Kind.EXPORT, Kind.ONNX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A model folder that was made."""

    folder: Path
    card: Card
    notes: tuple[str, ...]  #: what was taken, decided, changed and dropped, in words


def import_model(wish: Wish) -> Imported:
    """Make the model folder; nothing is left behind where that fails.

    Raises:
        ModelError: the source is refused, broken or not understood, something is not told, or the
            network does not run as its card says.
    """
    place = free_place(wish.into, wish.folder)
    material = _read(wish)
    described = describe(material, wish)
    card = described.card
    with made_aside(place) as folder:
        weights = _written(material, described, folder)
        card = card.model_copy(update={"weights": weights})
        network = load_network(folder, card)
        if material.program and not wish.answers:
            _ask_if_squashed(network, card)
        card = add_vectors(folder, card, network)
        write_card(card, folder)
        read_card(folder)
    return Imported(folder=place, card=card, notes=tuple(described.notes))


def _read(wish: Wish) -> Material:
    kind = kind_of(wish.source)
    answers = wish.answers or "logits"
    if kind is Kind.BUNDLE:
        shown = bool(wish.preset) or "input" in wish.recipe
        return read_bundle(wish.source, answers, convert=wish.convert_pickle, shown=shown)
    if kind in _PROGRAMS:
        if wish.architecture:
            raise ModelError(f"{wish.source}: is {kind}: it brings its architecture with it")
        return read_program(wish.source, kind, answers)
    if wish.params and not wish.architecture:
        raise ModelError("--params are those of an --architecture, which has to be named")
    family = named(wish.architecture, wish.params) if wish.architecture else None
    return read_state_dict(wish.source, kind, family, convert=wish.convert_pickle)


def _written(material: Material, described: Described, folder: Path) -> Weights:
    """The file with the weights, in the folder."""
    path = folder / described.card.weights.file
    if not material.program:
        tensors = _of_outputs(material, described)
        return save_weights(fitted(tensors, build_network(described.card)), path)
    if len(described.kept) < described.outputs:
        raise ModelError("a program's outputs cannot be dropped: give each of them a name")
    return save_program(material.program, path)


def _of_outputs(material: Material, described: Described) -> Mapping[str, torch.Tensor]:
    """The tensors, without the rows of outputs that have no label."""
    if len(described.kept) == described.outputs:
        return material.tensors
    rows = {n: t for n, t in material.tensors.items() if n.rpartition(".")[0] == material.head}
    if any(len(row) != described.outputs for row in rows.values()):
        count = len(next(iter(rows.values())))
        raise ModelError(f"the network has {count} outputs; there are {described.outputs} labels")
    return {**material.tensors, **{name: row[list(described.kept)] for name, row in rows.items()}}


def _ask_if_squashed(network: torch.nn.Module, card: Card) -> None:
    """A program whose every answer is from 0 to 1 may give probabilities: that is not guessed."""
    pixels = made_up(card.input).float()
    with torch.inference_mode():
        said = network(torch.cat([pixels / 255, pixels / 16 - 8, pixels * 0]))
    if bool(((said >= 0) & (said <= 1)).all()):
        raise ModelError(
            "every answer of the program to made-up images is from 0 to 1: say with --answers "
            "whether these are probabilities or logits"
        )

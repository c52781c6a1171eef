"""Where training starts: random weights, or those of a model that is there already."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dicomnode.classify.card.architecture import PROGRAMS, Architecture
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.folder import read_card
from dicomnode.classify.network import build_network, load_network
from dicomnode.classify.vectors import tried
from dicomnode.config.fields import did_you_mean
from dicomnode.errors import ModelError, NotFound
from dicomnode.learn.novelty import look
from dicomnode.learn.training.recipe import Familiar, Recipe, Start
from dicomnode.learn.training.stages import stages

__all__ = ["Moved", "architecture", "find_model", "started", "usual_layer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of the weights that were there."""

    kept: int  #: tensors that were taken over
    made: tuple[str, ...]  #: that begin at random: they were not there, or of another size


def find_model(named: str, beside: Path, models: Mapping[str, Path]) -> Path:
    """The folder of a model, by its name or by a path from the recipe's folder on; NotFound."""
    if named in models:
        return models[named]
    folder = beside / named
    if (folder / "model.toml").is_file():
        return folder
    hint = did_you_mean(named, list(models)) or f"; here are: {', '.join(sorted(models))}"
    raise NotFound(f"{named}: there is no such model, and no such folder with a model.toml{hint}")


def architecture(recipe: Recipe, folder: Path | None) -> Architecture:
    """The network of a recipe: its own, or that of the model it starts from, cut short if asked.

    Raises:
        ModelError: the two are of different kinds, or cannot be cut.
    """
    if folder is None:
        if recipe.network is None or recipe.start.truncate:
            raise ModelError("start.truncate cuts the network of start.model: name one")
        return recipe.network
    source = read_card(folder).architecture
    if source.kind in PROGRAMS:
        raise ModelError(
            f"{folder}: is a program ({source.kind}), whose layers nobody can train; start from "
            "a model with a named network"
        )
    own = recipe.network or source
    if own.kind != source.kind:
        raise ModelError(f"{folder}: is a {source.kind}, and network.kind is {own.kind}")
    return _cut(own, recipe.start)


def _cut(own: Architecture, start: Start) -> Architecture:
    if not start.truncate:
        return own
    match own.kind:
        case "densenet":
            name = "block_config"
            blocks = list(own.params.get(name, (6, 12, 24, 16)))
            left: list[int] | int = blocks[: len(blocks) - start.truncate]
        case "vit":
            name = "num_layers"
            left = max(0, int(own.params.get(name, 12)) - start.truncate)
        case _:
            raise ModelError(f"start.truncate: blocks of a {own.kind} cannot be cut off")
    if not left:
        raise ModelError(f"start.truncate: {start.truncate} leaves no block of the {own.kind}")
    return own.model_copy(update={"params": {**own.params, name: left}})


def usual_layer(network: torch.nn.Module, familiar: Familiar) -> str:
    """The layer by which unfamiliar images will be told."""
    return familiar.layer or stages(network)[0].names[-1]


def started(
    card: Card, folder: Path | None, recipe: Recipe
) -> tuple[torch.nn.Module, Moved | None]:
    """The network of a card that is still to be trained, with the weights of another one.

    What is of another size begins at random; so does the head where the labels are others. Weights
    for colour are summed to grey, and those for grey spread over three channels.

    Raises:
        ModelError: the network cannot be built or run, no weights fit, the recipe freezes all of
            it, or names a layer by which nothing unfamiliar is told.
    """
    network = build_network(card)
    grey = torch.zeros(1, *card.input.shape)
    tried(network.eval(), grey, card)
    row, familiar = stages(network), recipe.familiar
    if any(count >= len(row) for _, count in recipe.start.frozen):
        raise ModelError(f"start.frozen: the network has {len(row)} stages, and one has to learn")
    if familiar.told:  # after the training it would be too late to say that there is no such layer
        look(network, grey, usual_layer(network, familiar), familiar.grid)
    if folder is None:
        return network, None
    source = read_card(folder)
    there = load_network(folder, source).state_dict()
    head = set(row[-1].names)
    same = [label.name for label in source.labels] == [label.name for label in card.labels]
    own, made = network.state_dict(), []
    for name, mine in own.items():
        is_head = any(name.startswith(f"{part}.") for part in head)
        theirs = None if is_head and not same else _fitted(there.get(name), mine)
        if theirs is None:
            made.append(name)
        else:
            own[name] = theirs
    network.load_state_dict(own)
    if len(made) == len(own):
        raise ModelError(f"{folder}: none of its weights fits the network")
    return network, Moved(kept=len(own) - len(made), made=tuple(made))


def _fitted(theirs: torch.Tensor | None, mine: torch.Tensor) -> torch.Tensor | None:
    """Weights of the size that is needed; None if they are not of it."""
    if theirs is None or theirs.shape == mine.shape:
        return theirs
    if theirs.ndim != 4 or theirs.shape[0] != mine.shape[0] or theirs.shape[2:] != mine.shape[2:]:
        return None
    match theirs.shape[1], mine.shape[1]:
        case 3, 1:
            return theirs.sum(1, keepdim=True)
        case 1, 3:
            return theirs.expand(-1, 3, -1, -1) / 3
    return None

"""What commands share that make a model folder: their options, its place, and what is printed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.ensemble import EnsembleCard
from dicomnode.cli.card import print_card
from dicomnode.cli.found import find_node
from dicomnode.cli.output import print_json, say
from dicomnode.errors import ModelError

__all__ = [
    "DisclaimerOption",
    "FolderOption",
    "IntendedUseOption",
    "IntoOption",
    "ManufacturerOption",
    "VersionOption",
    "folder_of_models",
    "print_made",
    "words_of_card",
]

VersionOption = Annotated[
    str, typer.Option("--version", help="Version of the new model, said in every result.")
]
IntoOption = Annotated[
    Path | None,
    typer.Option("--into", help="Folder of models; else the first of the configuration."),
]
FolderOption = Annotated[
    str,
    typer.Option("--folder", help="Name of the new folder, which pipelines use; else the model's."),
]
IntendedUseOption = Annotated[
    str, typer.Option("--intended-use", help="Whom it is for, and for what.")
]
ManufacturerOption = Annotated[
    str, typer.Option("--manufacturer", help="Who answers for the model.")
]
DisclaimerOption = Annotated[str, typer.Option("--disclaimer", help="Said in every result.")]


def folder_of_models(config: Path) -> Path:
    """The first of the configuration, where new models go; ModelError where it names none."""
    node = find_node(config)
    if node is None or not node.classify.models:
        raise ModelError(f"{config}: names no folder of models ([classify] models); give --into")
    return node.classify.models[0]


def words_of_card(intended_use: str, manufacturer: str, disclaimer: str) -> Mapping[str, str]:
    """What was said of the new model, as its card has it; what was not said is left out."""
    said = {"intended_use": intended_use, "manufacturer": manufacturer, "disclaimer": disclaimer}
    return {key: words for key, words in said.items() if words}


def print_made(
    card: Card | EnsembleCard, folder: Path, notes: Sequence[str], *, as_json: bool
) -> None:
    """What was made: what was taken and decided, and then the card."""
    if as_json:
        said = card.model_dump(mode="json")
        print_json({"folder": str(folder), "notes": list(notes), "card": said})
        return
    for note in notes:
        say(f"- {note}", wrap=True)
    say("")
    print_card(card, folder)

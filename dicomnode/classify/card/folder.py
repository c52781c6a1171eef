"""Model folders: find them, read and write their cards."""

import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import tomlkit
from pydantic import ValidationError

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.ensemble import EnsembleCard, Member
from dicomnode.errors import ModelError

__all__ = [
    "SHIPPED",
    "find_members",
    "find_models",
    "mistakes",
    "read_card",
    "read_model",
    "write_card",
]

_FILE = "model.toml"
#: Where the models are that come with dicomnode.
SHIPPED = Path(__file__).parents[1] / "models"


def read_card(folder: Path) -> Card:
    """The card of a model of one network; ModelError names folder, key and what would be right."""
    card = read_model(folder)
    if isinstance(card, EnsembleCard):
        names = ", ".join(member.model for member in card.ensemble.members)
        raise ModelError(f"{folder}: is several models together: {names}; name one of them")
    return card


def read_model(folder: Path) -> Card | EnsembleCard:
    """The card in a model folder, whatever model it is; ModelError as above."""
    path = folder / _FILE
    try:
        said = tomllib.loads(path.read_text("utf-8"))
        kind: type[Card | EnsembleCard] = EnsembleCard if "ensemble" in said else Card
        return kind.model_validate(said)
    except FileNotFoundError:
        raise ModelError(f"{folder}: there is no {_FILE}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        raise ModelError(f"{path}: {mistakes(error)}") from error


def mistakes(error: ValidationError) -> str:
    """What is wrong with a card, in one line: each key, and what would be right."""
    lines = (
        (".".join(str(part) for part in mistake["loc"]) or "the card", mistake["msg"])
        for mistake in error.errors(include_url=False)
    )
    return "; ".join(f"{key}: {message}" for key, message in lines)


def find_members(card: EnsembleCard, folders: Iterable[Path]) -> list[Path]:
    """The folders of an ensemble's members, in its order, among `folders`.

    Raises:
        ModelError: one is not there, is another than the card says, or tells other labels.
    """
    there = {}
    for folder in folders:
        with suppress(ModelError):  # a broken neighbour is nobody's member
            found = read_model(folder)
            there[found.tag] = (folder, found)
    return [_member(card, member, there) for member in card.ensemble.members]


def _member(
    card: EnsembleCard, member: Member, there: Mapping[str, tuple[Path, Card | EnsembleCard]]
) -> Path:
    if member.model not in there:
        here = ", ".join(sorted(tag for tag in there if tag != card.tag)) or "none"
        raise ModelError(f"{card.name}: its member {member.model} is not here; here are: {here}")
    folder, found = there[member.model]
    if isinstance(found, EnsembleCard):
        raise ModelError(f"{card.name}: its member {member.model} is several models itself")
    if found.weights.sha256 != member.sha256:
        was = f"weights of {found.weights.sha256}, and the ensemble is of {member.sha256}"
        raise ModelError(f"{card.name}: its member {member.model} has {was}")
    told = [(label.name, label.code) for label in found.labels]
    if told != [(label.name, label.code) for label in card.labels]:
        raise ModelError(f"{card.name}: its member {member.model} tells other labels")
    if found.output.form is not card.output.form:
        raise ModelError(f"{card.name}: its member {member.model} is {found.output.kind}")
    return folder


def write_card(card: Card | EnsembleCard, folder: Path) -> Path:
    """Write the card as `model.toml`; returns its path."""
    path = folder / _FILE
    path.write_text(tomlkit.dumps(card.model_dump(exclude_none=True)), "utf-8")
    return path


def find_models(folders: Iterable[Path] = ()) -> dict[str, Path]:
    """Every model folder by its name: the shipped ones, then those inside `folders`."""
    found: dict[str, Path] = {}
    for parent in (SHIPPED, *folders):
        if not parent.is_dir():
            raise ModelError(f"{parent}: is no folder; it should hold one folder a model")
        for folder in sorted(parent.iterdir()):
            if folder.name.startswith(".") or not (folder / _FILE).is_file():
                continue  # one that begins with a dot is being imported
            if folder.name in found:
                raise ModelError(f"{folder}: {found[folder.name]} has the same name; rename one")
            found[folder.name] = folder
    return found

"""Models that are here become one: a card that names them, in a folder of its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.ensemble import Ensemble, EnsembleCard, Member
from dicomnode.classify.card.folder import mistakes, read_card, read_model, write_card
from dicomnode.classify.card.output import Label
from dicomnode.classify.load import load_classifier
from dicomnode.errors import ModelError
from dicomnode.learn.importing.new_folder import free_place, made_aside

__all__ = ["Combine", "Joined", "Joint", "Mean", "join_models"]

Mean = Literal["probabilities", "logits"]
Combine = Literal["", "max", "mean"]

#: What is said where members differ and nobody says otherwise.
_UNTOLD = {
    "manufacturer": "not stated",
    "intended_use": "For research. Its members differ in what they are for; its own use was not "
    "stated when they were put together.",
    "disclaimer": "Not cleared for clinical use",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """What a person asks for when models are to answer together."""

    members: Sequence[Path]  #: their folders, in order
    near: Iterable[Path]  #: folders of all models that a node knows, where it looks for members
    into: Path  #: folder of models; a new one appears in it
    folder: str  #: its name, by which pipelines name the model
    name: str
    version: str
    mean: Mean = "probabilities"
    combine: Combine = ""  #: what several frames say together; empty: as the members have it
    labels: Sequence[Mapping[str, Any]] = ()  #: keys of labels that are not to be the members'
    words: Mapping[str, str] = field(default_factory=dict)  #: intended_use, manufacturer, ...


class Joined(NamedTuple):
    """A model folder that was made."""

    folder: Path
    card: EnsembleCard
    notes: tuple[str, ...]  #: what was taken and decided, in words


def join_models(joint: Joint) -> Joined:
    """Make the model folder, and load it as the node would; where that fails, nothing is left.

    Raises:
        ModelError: members do not tell the same, are not shown the same, were altered, or are where
            the node would not find them; or a card cannot be made of what is said.
    """
    place = free_place(joint.into, joint.folder)
    cards = [read_card(folder) for folder in joint.members]
    notes: list[str] = []
    card = _card(joint, cards, notes)
    with made_aside(place) as folder:
        write_card(card, folder)
        read_model(folder)
        load_classifier(folder, device="cpu", others=joint.near)
    return Joined(place, card, tuple(notes))


def _card(joint: Joint, cards: Sequence[Card], notes: list[str]) -> EnsembleCard:
    if len(cards) < 2:
        raise ModelError("an ensemble has two members or more: give --member for each")
    _demand_alike(cards)
    members = [Member(model=card.tag, sha256=card.weights.sha256) for card in cards]
    combine = joint.combine or _combined(cards)
    made = {
        **_said(joint.words, cards, notes),
        "name": joint.name,
        "version": joint.version,
        "output": {"kind": cards[0].output.kind},
        "labels": _labels(joint.labels, cards, notes),
    }
    try:
        told = Ensemble(members=tuple(members), mean=joint.mean, combine=combine or None)
        return EnsembleCard.model_validate({**made, "ensemble": told})
    except ValidationError as error:
        raise ModelError(f"the card would be wrong: {mistakes(error)}") from error


def _demand_alike(cards: Sequence[Card]) -> None:
    """The same labels with the same codes, and the same kind of answer."""
    first = cards[0]
    for card in cards[1:]:
        ours, theirs = (
            [(label.name, label.code, label.normal) for label in one.labels]
            for one in (first, card)
        )
        if ours != theirs:
            raise ModelError(
                f"{card.tag} and {first.tag} tell different labels, or in another order, or by "
                f"other codes: {_names(card.labels)}; {_names(first.labels)}"
            )
        if card.output.form is not first.output.form:
            kinds = f"is {card.output.kind}, and {first.tag} is {first.output.kind}"
            raise ModelError(f"{card.tag} {kinds}: their answers have no mean")


def _names(labels: Sequence[Label]) -> str:
    return ", ".join(f"{label.name} ({label.code.value}, {label.code.scheme})" for label in labels)


def _combined(cards: Sequence[Card]) -> Combine:
    """What several frames say together, if members agree on that."""
    ways = {card.input.combine for card in cards}
    if len(ways) > 1:
        raise ModelError(
            "members do not agree on what several images say together: give --combine max, that "
            "the most suspicious decides, or --combine mean"
        )
    return ways.pop() or ""


def _said(words: Mapping[str, str], cards: Sequence[Card], notes: list[str]) -> dict[str, Any]:
    """Of each: what a person says, what all members say, or the careful default."""
    said: dict[str, Any] = {}
    for key, untold in _UNTOLD.items():
        of_members = {getattr(card, key) for card in cards}
        usual = of_members.pop() if len(of_members) == 1 else untold
        said[key] = words.get(key) or usual
        if said[key] == untold:
            notes.append(f"{key}: {untold}")
        elif key not in words:
            notes.append(f"{key}: that of every member")
    alike = all(card.translations == cards[0].translations for card in cards)
    if alike and all(said[key] == getattr(cards[0], key) for key in ("disclaimer", "intended_use")):
        said["translations"] = cards[0].translations
    return said


def _labels(
    given: Sequence[Mapping[str, Any]], cards: Sequence[Card], notes: list[str]
) -> list[Label]:
    """The members' labels: their mean threshold and widest margin, or what a person says."""
    usual = [_mean_label(same) for same in zip(*(card.labels for card in cards), strict=True)]
    changes = {str(one.get("name", "")): one for one in given}
    if unknown := changes.keys() - {label.name for label in usual}:
        raise ModelError(f"the members have no label {min(unknown)!r}: {_names(usual)}")
    if measured := [name for name, one in changes.items() if "threshold" in one]:
        notes.append(f"thresholds as given: {', '.join(measured)}")
    if rest := [label.name for label in usual if label.name not in measured]:
        notes.append(f"thresholds: the members' mean, which nobody measured: {', '.join(rest)}")
    try:
        return [
            Label.model_validate(label.model_dump() | dict(changes.get(label.name, {})))
            for label in usual
        ]
    except ValidationError as error:
        raise ModelError(f"a label is wrong: {mistakes(error)}") from error


def _mean_label(same: Sequence[Label]) -> Label:
    mean = sum(label.threshold for label in same) / len(same)
    margin = max(label.margin for label in same)
    return same[0].model_copy(update={"threshold": round(mean, 4), "margin": margin})

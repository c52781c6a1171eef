"""A card for a model that was read: from its source, a preset, a recipe, and what a person says.

The later of these counts. What nobody told gets the careful default, and that is said.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.folder import mistakes
from dicomnode.classify.card.output import Label
from dicomnode.errors import ModelError
from dicomnode.learn.importing.explanation import explanation_of
from dicomnode.learn.importing.known import label, presets
from dicomnode.learn.importing.material import Material
from dicomnode.learn.importing.wish import Wish

__all__ = ["Described", "describe"]

Table = Mapping[str, Any]


class Described(NamedTuple):
    """A card, and how it was come to."""

    card: Card  #: but for its weights and vectors
    kept: tuple[int, ...]  #: which outputs of the network it speaks of
    outputs: int  #: that were named, the dropped ones too
    notes: list[str]  #: what was taken and decided, in words


_UNTOLD = {
    "manufacturer": "not stated",
    "intended_use": "For research. For what, and for whom, was not stated when it was imported.",
    "disclaimer": "Not cleared for clinical use",
}
#: Tables and words that are not a recipe's to say.
_OURS = {"name", "version", "architecture", "weights", "vectors", "source"}
_NEEDED = (
    "say how images are prepared: --preset, or --recipe with a table [input]; "
    "there are the presets {presets}"
)

#: What labels are called that say that nothing is there; whether they do, only their makers know.
_NOTHING = frozenset({"normal", "no finding", "no findings", "healthy", "negative", "none"})
_IS_IT_NORMAL = (
    "taken for findings like any other: {names}; if that says that nothing is there, write "
    "`normal = true` under its name in model.toml, or in the TOML file of --labels: then results "
    "point at nothing for it"
)

_INCEPTION_PX = 299  # Szegedy et al., CVPR 2016


def describe(material: Material, wish: Wish) -> Described:
    """The card, but for its weights and vectors.

    Raises:
        ModelError: something is not told, or what is told does not fit together.
    """
    if ours := _OURS & wish.recipe.keys():
        raise ModelError(f"a recipe has no {', '.join(sorted(ours))}: the import gives those")
    notes = list(material.notes)
    tables: dict[str, Any] = {
        **_UNTOLD,
        **material.tables,
        **_preset(wish.preset),
        **wish.recipe,
        **_input(material, wish, notes),
        **wish.words,
    }
    given = wish.labels or tuple(_named(one) for one in tables.get("labels", ()))
    labels, kept = _labels(given, material, notes)
    if wish.output:
        tables["output"] = {"kind": wish.output}
    if "output" not in tables:
        notes.append("output: multi-label, as nothing says otherwise; --output tells another")
    if "input" not in tables:
        raise ModelError(_NEEDED.format(presets=", ".join(presets())))
    notes += [f"{key}: {words}" for key, words in _UNTOLD.items() if tables[key] == words]
    if "explanation" not in tables:
        tables["explanation"] = explanation_of(material.architecture)
    made = {
        **tables,
        "name": wish.name,
        "version": wish.version,
        "architecture": material.architecture,
        "weights": {"file": f"weights{material.architecture.suffix}", "sha256": "0" * 64},
        "source": material.source,
        "labels": labels,
    }
    try:
        card = Card.model_validate(made)
    except ValidationError as error:
        raise ModelError(f"the card would be wrong: {mistakes(error)}") from error
    if material.channels not in (None, card.input.backbone_channels):
        raise ModelError(
            f"the network takes {material.channels} channel(s), the input has "
            f"{card.input.backbone_channels}: --preset or --recipe is another model's"
        )
    return Described(card, kept, len(given), notes)


def _preset(name: str) -> dict[str, Any]:
    if not name:
        return {}
    known = presets()
    if name not in known:
        raise ModelError(f"there is no preset {name}; there are: {', '.join(known)}")
    return {key: value for key, value in known[name].items() if key != "about"}


def _input(material: Material, wish: Wish, notes: list[str]) -> dict[str, Any]:
    """The preset's table [input], changed key by key by the recipe's; nothing without a preset."""
    if not wish.preset:
        return {}
    shown, told = _preset(wish.preset)["input"], wish.recipe.get("input", {})
    notes.append(f"preset {wish.preset}: {presets()[wish.preset]['about']}")
    if material.architecture.kind == "inception3" and "size_px" not in told:
        shown = {**shown, "size_px": _INCEPTION_PX}
        notes.append(f"input: {_INCEPTION_PX} pixels, as Inception-v3 was trained on")
    return {"input": {**shown, **told}}


# --- labels ---------------------------------------------------------------------------------


def _named(one: Any) -> Table:
    return one if isinstance(one, Mapping) else {"name": str(one)}


def _labels(
    given: Sequence[Table], material: Material, notes: list[str]
) -> tuple[list[Label], tuple[int, ...]]:
    """The labels, and the outputs that they are of; others are dropped, which is said."""
    if not given:
        raise ModelError(
            "say what the outputs are: --labels with names and commas, or a TOML or CSV file"
        )
    limits = material.thresholds
    if limits and len(limits) != len(given):
        raise ModelError(
            f"the file has {len(limits)} operating points; there are {len(given)} labels"
        )
    labels: list[Label] = []
    kept: list[int] = []
    for index, one in enumerate(given):
        name, limit = str(one.get("name", "")).strip(), limits[index] if limits else None
        if dropped := _dropped(index, name, limit):
            notes.append(dropped)
        else:
            labels.append(_label(one, name, limit))
            kept.append(index)
    if limits:
        notes.append("thresholds: the operating points in the file")
    elif not any("threshold" in one for one in given):
        notes.append("thresholds: 0.5 each, which nobody measured")
    notes += _doubts(labels, [given[index] for index in kept])
    return labels, tuple(kept)


def _doubts(labels: Sequence[Label], given: Sequence[Table]) -> Iterator[str]:
    """What a person should look at, of labels that were made of what was given."""
    untold = [one.name for one, table in zip(labels, given, strict=True) if "normal" not in table]
    if asked := [name for name in untold if name.lower() in _NOTHING]:
        yield _IS_IT_NORMAL.format(names=", ".join(asked))
    if private := [one.name for one in labels if one.code.scheme.startswith("99")]:
        yield f"codes of our private scheme, as no other is known: {', '.join(private)}"


def _dropped(index: int, name: str, limit: float | None) -> str:
    """Why the card does not speak of an output; empty where it does."""
    if name in ("", "-"):
        return f"dropped: output {index + 1}, which has no name"
    never = limit is not None and math.isnan(limit)
    return f"dropped: {name}, which the model was never trained to tell" if never else ""


def _label(one: Table, name: str, limit: float | None) -> Label:
    """What a person wrote of it counts; the rest is as it is known."""
    usual = label(name, 0.5 if limit is None else round(limit, 6)).model_dump()
    if "code" in one:  # another concept may go by the same name
        usual |= {"name": name, "names": {}}
    try:
        return Label.model_validate(usual | {k: v for k, v in one.items() if k != "name"})
    except ValidationError as error:
        raise ModelError(f"the label {name!r} is wrong: {mistakes(error)}") from error

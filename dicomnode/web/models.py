"""Models: what their cards say, which pipelines use them, what came of them, are they recalled?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.ensemble import EnsembleCard
from dicomnode.classify.card.folder import find_models, read_model
from dicomnode.classify.card.measured import Evaluation
from dicomnode.config.load import Settings
from dicomnode.errors import ModelError
from dicomnode.web.site import Site
from dicomnode.worklist import model_use
from dicomnode.worklist.model_use import Recalled, Use

__all__ = ["CardFacts", "Model", "Models", "models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a model's card says that is asked first."""

    name: str
    version: str
    manufacturer: str
    intended_use: str
    disclaimer: str  #: as every result says it
    labels: tuple[str, ...]  #: what it tells
    trained_on: str  #: as its makers tell; empty where they do not
    evaluation: Evaluation | None  #: none: how well it does is not known
    members: tuple[str, ...]  #: as name@version, of a model that is several together


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model version."""

    model: str  #: as name@version; empty where its card cannot be read
    folder: str  #: as pipelines name it; empty where it is here no more
    problem: str  #: why its card cannot be read
    card: CardFacts | None
    pipelines: tuple[str, ...]  #: that are answered by it
    shadowed: tuple[str, ...]  #: pipelines that ask it as a candidate, whose answers are not sent
    use: Use
    recalled: Recalled | None  #: it was, or one that it is made of
    to_recall: str  #: the command; empty where it is recalled, or its version is not known
    to_reinstate: str  #: the command, where it was recalled


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """All that are here, that pipelines name, or that results here are of."""

    models: list[Model]
    problem: str  #: why the folders of models cannot be read; empty where they can


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A model before it is asked what came of it."""

    folder: str = ""
    model: str = ""
    card: Card | EnsembleCard | None = None
    problem: str = ""


def models(here: Site) -> Models:
    """Those that pipelines name first, then the others that are here, then those that are gone."""
    settings = here.settings()
    folders, problem = _folders(settings)
    named = {name for rules in settings.pipelines.values() for name in (rules.model, *rules.shadow)}
    found = [_read(folders, name) for name in (*sorted(named), *sorted({*folders} - named))]
    with here.database.reading() as tx:
        gone = sorted({*model_use.spoken(tx)} - {each.model for each in found})
        found += [_Found(model=model) for model in gone]
        uses = model_use.uses(tx, [each.model for each in found])
        recalled = model_use.recalled(tx)
    told = [_model(each, settings, uses[each.model], recalled) for each in found]
    return Models(models=told, problem=problem)


def _folders(settings: Settings) -> tuple[Mapping[str, Path], str]:
    """Where a folder of models is wrong, those that ship are there all the same."""
    try:
        return find_models(settings.node.classify.models), ""
    except (ModelError, OSError) as error:
        return find_models(), str(error)


def _read(folders: Mapping[str, Path], name: str) -> _Found:
    if name not in folders:
        return _Found(folder=name, problem="no model of this name is here")
    try:
        card = read_model(folders[name])
    except ModelError as error:
        return _Found(folder=name, problem=str(error))
    return _Found(folder=name, model=card.tag, card=card)


def _model(found: _Found, settings: Settings, use: Use, recalled: Mapping[str, Recalled]) -> Model:
    card, rules = found.card, settings.pipelines.items()
    parts = (found.model, *(card.model.members if card else ()))
    stopped = next((recalled[part] for part in parts if part in recalled), None)
    return Model(
        model=found.model,
        folder=found.folder,
        problem=found.problem,
        card=_facts(card) if card else None,
        pipelines=tuple(name for name, each in rules if each.model == found.folder),
        shadowed=tuple(name for name, each in rules if found.folder in each.shadow),
        use=use,
        recalled=stopped,
        to_recall=_command("recall", found.model) if found.model not in ("", *recalled) else "",
        to_reinstate=_command("reinstate", stopped.model) if stopped else "",
    )


def _command(act: str, model: str) -> str:
    return f"dicomnode results {act} --model {quote(model)}"


def _facts(card: Card | EnsembleCard) -> CardFacts:
    told = card.training if isinstance(card, Card) else None
    return CardFacts(
        name=card.name,
        version=card.version,
        manufacturer=card.manufacturer,
        intended_use=card.intended_use,
        disclaimer=card.disclaimer,
        labels=tuple(label.name for label in card.labels),
        trained_on=told.words if told else "",
        evaluation=card.evaluation,
        members=card.model.members,
    )

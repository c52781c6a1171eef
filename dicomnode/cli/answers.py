"""Where the predictions that are evaluated come from: a table, or models asked about a manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.common import Common
from dicomnode.classify.card.ensemble import EnsembleCard
from dicomnode.classify.card.folder import find_members, read_card, read_model
from dicomnode.cli.found import find_model, known_models, run_settings
from dicomnode.cli.output import note, progress
from dicomnode.errors import NotFound
from dicomnode.learn.prediction_columns import Patterns
from dicomnode.learn.predictions import (
    INDEPENDENT,
    Predictions,
    read_predictions,
    read_scores,
    with_columns,
)

if TYPE_CHECKING:
    from dicomnode.learn.manifest import Manifest

__all__ = ["Answers", "Models", "from_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is evaluated: predictions, whose they are, and the card with their thresholds."""

    predictions: Predictions
    name: str
    card: Common | None
    facts: Mapping[str, str]  #: for the head of the page


def from_table(path: Path, patterns: Patterns, against: str, card: Common | None) -> Answers:
    """The predictions of a table, with those of another beside them where there is one."""
    if not path.is_file():
        raise NotFound(f"{path}: there is no such table; a model is asked about images with --on")
    predictions = read_predictions(path, patterns)
    if against and not patterns.against:
        other = read_scores(Path(against), patterns, predictions)
        predictions = replace(predictions, opinions=(other, *predictions.opinions))
    name = card.tag if card else path.name.split(".")[0]
    facts = {"table": path.name, "SHA-256 of the table": predictions.sha256[:16]}
    return Answers(predictions=predictions, name=name, card=card, facts=facts)


class Models:
    """Models of the configuration, to be asked about images; importing torch takes seconds."""

    def __init__(self, config: Path, device: str, *, hidden: bool) -> None:
        self._config, self._device, self._hidden = config, device, hidden

    def asked(
        self, name: str, on: Path, images: Path | None, patterns: Patterns, against: str
    ) -> Answers:
        """A model's answers to a manifest, with what others say of the same images."""
        from dicomnode.learn.asked import beside
        from dicomnode.learn.manifest import Columns, read_manifest

        ours = self._found(name)
        theirs = self._found(against) if against and not patterns.against else None
        if patterns.independent:
            columns = Columns(file=patterns.image, independent=True)
        else:
            columns = Columns(file=patterns.image, patient=patterns.patient)
        manifest = read_manifest(on, columns, images=images)
        predictions, digest = self._answers(ours, manifest)
        if theirs is not None:
            others, _ = self._answers(theirs, manifest)
            predictions = beside(predictions, others, theirs.card)
        card = ours.card
        facts = {
            "model": card.tag,
            "SHA-256 of the model": digest[:16],
            "manifest": on.name,
            "SHA-256 of the manifest": manifest.sha256[:16],
        }
        predictions = with_columns(predictions, on, patterns)
        if patterns.independent:
            predictions = replace(predictions, notes=(*predictions.notes, INDEPENDENT))
        return Answers(predictions=predictions, name=card.tag, card=card, facts=facts)

    def _found(self, name: str) -> "_Model":
        folder = find_model(name, self._config)
        return _Model(name=name, folder=folder, card=read_model(folder))

    def _answers(self, model: "_Model", manifest: "Manifest") -> tuple[Predictions, str]:
        """What a model says, and its digest."""
        from dicomnode.classify.load import load_classifier
        from dicomnode.learn.asked import ask

        near = [model.folder, *known_models(self._config).values()]
        rules = run_settings(self._config)
        if rules.runtime != "torch" and not self._hidden:
            words = "is loaded; where its runtime is not chosen yet, that takes minutes"
            note(f"{model.name}: {words}")
        classifier = load_classifier(
            model.folder,
            self._device or rules.device,
            rules.threads,
            runtime=rules.runtime,
            cache=rules.cache,
            others=near,
        )
        modality = _modality(model.card, near)
        title = f"images, {model.name}"
        with progress(title, len(manifest.entries), hidden=self._hidden) as step:
            answers = ask(classifier, model.card, manifest, step, modality=modality)
        return answers, classifier.model.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A model that was named, before it is loaded."""

    name: str  #: as it was named
    folder: Path
    card: Card | EnsembleCard


def _modality(card: Card | EnsembleCard, near: list[Path]) -> str:
    """Of which modality a picture has to be for the model to look at it."""
    one = card if isinstance(card, Card) else read_card(find_members(card, near)[0])
    return one.input.modalities[0] if one.input.modalities else "OT"

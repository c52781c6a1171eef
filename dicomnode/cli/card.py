"""A model's card as a person reads it."""

from collections.abc import Sequence
from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from dicomnode.answers import Form
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.ensemble import EnsembleCard
from dicomnode.classify.card.explanation import Shown
from dicomnode.classify.card.fitted import Calibration, Novelty
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.measured import Measures
from dicomnode.classify.card.tables import Estimate
from dicomnode.cli.output import console, print_table, say

__all__ = ["percent", "print_card"]

_OUTPUTS = {
    "multi-label": "findings, each for itself",
    "binary": "one finding",
    "multi-class": "one of several classes: the most probable, if over its threshold",
    "ordinal": "a grade: the highest that, counted with those above it, is over its threshold",
}
_LABELS = {
    Form.FINDINGS: "findings",
    Form.CLASSES: "classes",
    Form.GRADES: "grades, each counted with those above it",
}
_RESIZED = {"pad": "black around it", "stretch": "stretched", "crop": "its middle square"}


def print_card(card: Card | EnsembleCard, folder: Path) -> None:
    """Everything a person asks first: what it finds, for what, and how well it was measured to."""
    console.print(Text(f"{card.name} {card.version}, by {card.manufacturer}", "bold"))
    console.print(Text(card.disclaimer, "bold yellow"))
    console.print(Text(card.intended_use))
    hashed = "the weights" if isinstance(card, Card) else "the models and how they are joined"
    place = f"\nfolder\n  {folder}\nSHA-256 of {hashed}\n  {card.model.digest}"
    console.print(Text(place), soft_wrap=True)
    facts = _facts(card) if isinstance(card, Card) else _joined(card)
    for title, words in ({"what it tells": _OUTPUTS[card.output.kind]} | facts).items():
        say(f"\n{title}")
        console.print(Padding(Text(words), (0, 0, 0, 2), expand=False))
    columns = ["finding", "code", "threshold", "undetermined within"]
    print_table(columns, _labels(card), title=_LABELS[card.output.form])
    if isinstance(card, Card):
        _print_fitted(card)
    if card.evaluation is None:
        console.print(
            "\nThe card has no measurements. How well it does is not known.", style="bold yellow"
        )
        return
    print_table(
        ["finding", "AUROC", "sensitivity", "specificity", "with", "without"],
        [_measured(line) for line in card.evaluation.measures],
        title=f"measured on {card.evaluation.images} images: {card.evaluation.dataset}",
    )


def _labels(card: Card | EnsembleCard) -> list[tuple[str, ...]]:
    """The lowest grade has no threshold: it holds where no other does."""
    lowest = card.labels[0] if card.output.form is Form.GRADES else None
    return [
        (
            label.name,
            f"({label.code.value}, {label.code.scheme}, {label.code.meaning})",
            "-" if label is lowest else f"{label.threshold:.1%}",
            "-" if label is lowest else f"±{label.margin:.1%}",
        )
        for label in card.labels
    ]


def _print_fitted(card: Card) -> None:
    if card.calibration and card.calibration.measures:
        _print_reliability(card.calibration)
    if card.explanation.measures:
        _print_shown(card.explanation.measures)


def _print_shown(measures: Sequence[Shown]) -> None:
    rows = [
        (
            line.label,
            str(line.findings),
            percent(line.centre),
            percent(line.pointing),
            f"{line.deletion:.3f}",
            f"{line.insertion:.3f}",
        )
        for line in measures
    ]
    columns = ["finding", "n", "centre", "hottest", "deletion", "insertion"]
    print_table(columns, rows, title="explanations, measured as `models evaluate` does")


def _print_reliability(calibration: Calibration) -> None:
    rows = [
        (
            line.label,
            f"{line.ece_before:.3f} -> {line.ece_after:.3f}",
            f"{line.brier_before:.3f} -> {line.brier_after:.3f}",
        )
        for line in calibration.measures
    ]
    print_table(["finding", "calibration error", "Brier score"], rows, title="calibration")


def _joined(card: EnsembleCard) -> dict[str, str]:
    told = card.ensemble
    names = ", ".join(member.model for member in told.members)
    title = f"{len(told.members)} models that answer together"
    return {title: names, "their answer": f"the mean of {told.mean}"}


def _input(recipe: Input) -> str:
    if recipe.volume is not None:
        size = " x ".join(str(size) for size in recipe.volume.size_vox)
        spacing = recipe.volume.spacing_mm
        apart = " x ".join(f"{step:g}" for step in spacing) + " mm" if spacing else "stretched"
        return f"a series of slices, as {size} voxels, {apart}, along {''.join(recipe.volume.axes)}"
    square = f"{recipe.size_px} x {recipe.size_px} pixels ({_RESIZED[recipe.resize]})"
    if recipe.slots:
        return f"{', '.join(slot.name for slot in recipe.slots)} of a study together, {square}"
    return f"each image alone, {square}"


def _facts(card: Card) -> dict[str, str]:
    return {
        "what it is shown": _input(card.input),
        "modalities": ", ".join(card.input.modalities) or "any; the card names none",
        "views": _views(card.input),
        "probabilities": _calibration(card.calibration),
        "images unlike its training": _novelty(card.novelty),
        "explanation": _explanation(card),
        "network": _network(card),
        "trained on": card.training.words if card.training else "not told",
        "made from": _source(card),
        "test vectors": f"{card.vectors.inputs} made-up inputs" if card.vectors else "none",
    }


def _views(recipe: Input) -> str:
    if recipe.slots:
        return f"{', '.join(slot.name for slot in recipe.slots)}; each of them is needed"
    return ", ".join(recipe.views) or "any; the card names none"


def _network(card: Card) -> str:
    told = card.architecture
    params = ", ".join(f"{key} {value}" for key, value in told.params.items())
    gives = ", gives probabilities itself" if told.answers == "probabilities" else ""
    allowed = f"a faster runtime may differ by {card.running.tolerance:g} in probability"
    return f"{told.kind}{f' ({params})' if params else ''}{gives}; {allowed}"


def _source(card: Card) -> str:
    told = card.source
    return f"{told.format}, SHA-256 {told.sha256}" if told else "it was not imported"


def _calibration(calibration: Calibration | None) -> str:
    if calibration is None:
        return "not calibrated"
    on = f"{calibration.images} images: {calibration.dataset}"
    return f"calibrated by {calibration.method}, on {on}"


def _novelty(novelty: Novelty | None) -> str:
    if novelty is None:
        return "not told apart"
    return f"not analysed; {novelty.accepted:.1%} of images like its training are accepted"


def _explanation(card: Card) -> str:
    told = card.explanation
    where = f" at {told.layer}" if told.by_layer else ""
    share = f"regions from {told.region_fraction:.0%} of the maximum"
    return f"{card.model.explanation}{where}; {share}"


def _measured(line: Measures) -> tuple[str, ...]:
    values = (_estimate(value) for value in (line.auroc, line.sensitivity, line.specificity))
    return line.label, *values, str(line.positives), str(line.negatives)


def _estimate(value: Estimate) -> str:
    return f"{value.value:.3f} ({value.low:.3f}-{value.high:.3f})"


def percent(share: Estimate | None) -> str:
    """A share with its interval; a dash where there is none."""
    if share is None:
        return "-"
    return f"{share.value:.0%} ({share.low * 100:.0f}-{share.high * 100:.0f})"

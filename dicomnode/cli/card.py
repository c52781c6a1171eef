"""A model's card as a person reads it."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from dicomnode.classify.card import Card, Estimate, Measures, Shown
from dicomnode.classify.fitted import Calibration, Novelty
from dicomnode.cli.output import console, print_table

__all__ = ["percent", "print_card"]


def print_card(card: Card, folder: Path) -> None:
    """Everything a person asks first: what it finds, for what, and how well it was measured to."""
    console.print(Text(f"{card.name} {card.version}, by {card.manufacturer}", "bold"))
    console.print(Text(card.disclaimer, "bold yellow"))
    console.print(Text(card.intended_use))
    place = f"\nfolder\n  {folder}\nSHA-256 of the weights\n  {card.weights.sha256}"
    console.print(Text(place), soft_wrap=True)
    labels = [
        (
            label.name,
            f"({label.code.value}, {label.code.scheme}, {label.code.meaning})",
            f"{label.threshold:.1%}",
            f"±{label.margin:.1%}",
        )
        for label in card.labels
    ]
    for title, words in _facts(card).items():
        console.print(f"\n{title}\n  {words}", markup=False, highlight=False)
    print_table(["finding", "code", "threshold", "undetermined within"], labels, title="findings")
    if card.calibration and card.calibration.measures:
        _print_reliability(card.calibration)
    if card.explanation.measures:
        _print_shown(card.explanation.measures)
    if card.evaluation is None:
        console.print("\nThe card has no measurements.", style="bold yellow")
        return
    print_table(
        ["finding", "AUROC", "sensitivity", "specificity", "with", "without"],
        [_measured(line) for line in card.evaluation.measures],
        title=f"measured on {card.evaluation.images} images: {card.evaluation.dataset}",
    )


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


def _facts(card: Card) -> dict[str, str]:
    return {
        "modalities": ", ".join(card.input.modalities) or "any; the card names none",
        "views": ", ".join(card.input.views) or "any; the card names none",
        "probabilities": _calibration(card.calibration),
        "images unlike its training": _novelty(card.novelty),
        "explanation": _explanation(card),
    }


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
    where = f" at {told.layer}" if told.layers else ""
    narrowed = f", narrowed down by {', '.join(told.finer)}" if told.finer else ""
    share = f"regions from {told.region_fraction:.0%} of the maximum"
    return f"{card.model.explanation}{where}{narrowed}; {share}"


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

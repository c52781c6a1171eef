"""`dicomnode models`: which models are here, and what their cards say."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from dicomnode.classify.card import Card, Estimate, Measures, find_models, read_card
from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    console,
    errors,
    print_json,
    print_table,
)
from dicomnode.config.load import load
from dicomnode.errors import NotFound

__all__ = ["app"]

app = typer.Typer(help="See the models of this node.", no_args_is_help=True)


def _models(config: Path) -> dict[str, Path]:
    """Those of the configuration; without one, those that ship with the program."""
    there = (config / "node.toml").is_file()
    return find_models(load(config).node.classify.models if there else ())


@app.command("list")
def list_models(config: ConfigOption = Path("ae_config"), as_json: JsonOption = False) -> None:
    """List the models that pipelines may name."""
    with errors():
        cards = {name: read_card(folder) for name, folder in sorted(_models(config).items())}
    if as_json:
        print_json({name: card.model_dump(mode="json") for name, card in cards.items()})
        return
    rows = [
        (name, card.version, ", ".join(label.name for label in card.labels), card.intended_use)
        for name, card in cards.items()
    ]
    print_table(["model", "version", "findings", "intended use"], rows)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the model, as `models list` shows it.")],
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """Show a model's card: what it finds, what it is for, and how well it was measured to do."""
    with errors():
        found = _models(config)
        if name not in found:
            raise NotFound(f"there is no model {name}; here are: {', '.join(sorted(found))}")
        card = read_card(found[name])
    if as_json:
        print_json(card.model_dump(mode="json"))
    else:
        _print_card(card, found[name])


def _print_card(card: Card, folder: Path) -> None:
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
    modalities = ", ".join(card.input.modalities) or "any; the card names none"
    console.print(f"\nmodalities\n  {modalities}", markup=False, highlight=False)
    print_table(["finding", "code", "threshold", "undetermined within"], labels, title="findings")
    if card.evaluation is None:
        console.print("\nThe card has no measurements.", style="bold yellow")
        return
    print_table(
        ["finding", "AUROC", "sensitivity", "specificity", "with", "without"],
        [_measured(line) for line in card.evaluation.measures],
        title=f"measured on {card.evaluation.images} images: {card.evaluation.dataset}",
    )


def _measured(line: Measures) -> tuple[str, ...]:
    values = (_estimate(value) for value in (line.auroc, line.sensitivity, line.specificity))
    return line.label, *values, str(line.positives), str(line.negatives)


def _estimate(value: Estimate) -> str:
    return f"{value.value:.3f} ({value.low:.3f}-{value.high:.3f})"

"""`dicomnode models`: which models are here, and what their cards say."""

from pathlib import Path
from typing import Annotated

import typer

from dicomnode.classify.card import Estimate, find_models, read_card
from dicomnode.cli.output import ConfigOption, JsonOption, console, errors, print_json, table
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
    rows = table("", "model", "version", "findings", "intended use")
    for name, card in cards.items():
        labels = ", ".join(label.name for label in card.labels)
        rows.add_row(name, card.version, labels, card.intended_use)
    console.print(rows)


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
        return
    console.print(f"[bold]{card.name}[/] {card.version}, by {card.manufacturer}")
    console.print(card.disclaimer, style="bold yellow", highlight=False)
    console.print(card.intended_use, highlight=False)
    console.print(
        f"\nfolder   {found[name]}\nweights  SHA-256 {card.weights.sha256}", highlight=False
    )
    labels = table("\nfindings", "finding", "code", "threshold", "undetermined within")
    for label in card.labels:
        code = f"({label.code.value}, {label.code.scheme}, {label.code.meaning})"
        labels.add_row(label.name, code, f"{label.threshold:.1%}", f"±{label.margin:.1%}")
    console.print(labels)
    if card.evaluation is None:
        console.print("\nThe card has no measurements.", style="bold yellow")
        return
    measured = f"\nmeasured on {card.evaluation.images} images: {card.evaluation.dataset}"
    rows = table(measured, "finding", "AUROC", "sensitivity", "specificity", "with", "without")
    for line in card.evaluation.measures:
        values = (_estimate(value) for value in (line.auroc, line.sensitivity, line.specificity))
        rows.add_row(line.label, *values, str(line.positives), str(line.negatives))
    console.print(rows)


def _estimate(value: Estimate) -> str:
    return f"{value.value:.3f} ({value.low:.3f}-{value.high:.3f})"

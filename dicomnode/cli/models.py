"""`dicomnode models`: which models are here, what their cards say, and how well they explain."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.text import Text

from dicomnode.classify.card import Card, Estimate, Measures, Method, Shown, find_models, read_card
from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    console,
    errors,
    print_json,
    print_table,
    progress,
)
from dicomnode.config.load import load
from dicomnode.errors import NotFound

if TYPE_CHECKING:
    from dicomnode.learn.explanations import Line

__all__ = ["app"]

app = typer.Typer(help="See the models of this node.", no_args_is_help=True)


_LEGEND = """
n: findings that are there and are called present
centre, hottest: of the largest region, of the map: how often inside the box
deletion, insertion: probability while the hottest pixels go (low is good), come (high)
ms: for one finding, median"""

NameArgument = Annotated[str, typer.Argument(help="Name of the model, as `models list` shows it.")]


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


def _find(name: str, config: Path) -> Path:
    found = _models(config)
    if name not in found:
        raise NotFound(f"there is no model {name}; here are: {', '.join(sorted(found))}")
    return found[name]


@app.command()
def show(
    name: NameArgument,
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """Show a model's card: what it finds, what it is for, and how well it was measured to do."""
    with errors():
        folder = _find(name, config)
        card = read_card(folder)
    if as_json:
        print_json(card.model_dump(mode="json"))
    else:
        _print_card(card, folder)


@app.command()
def evaluate(
    name: NameArgument,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images, DICOM or PNG; else drawings are made.")
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="CSV of where findings lie: file, label, x, y, width, height in pixels."),
    ] = None,
    synthetic: Annotated[int, typer.Option(min=1, help="How many drawings.")] = 100,
    methods: Annotated[
        str, typer.Option(help="Methods to compare, with commas, or all; else that of the card.")
    ] = "",
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """Measure how well a model's explanations hold up: on the finding, and on what decided."""
    from dicomnode.learn import cases, explanations
    from dicomnode.learn.drawing import FINDINGS

    with errors():
        folder = _find(name, config)
        card = read_card(folder)
        chosen = _methods(methods, card)
        if images is None and not {label.name for label in card.labels} & set(FINDINGS):
            raise NotFound(f"{name} finds nothing that can be drawn; give --images")
        files = cases.list_images(images) if images else []
        known = cases.read_boxes(boxes) if boxes else {}
        there = cases.from_folder(files, known) if images else cases.synthetic(synthetic)
        network = explanations.load(folder, card)
        judged = []
        with progress("images", len(files) or synthetic, hidden=as_json) as step:
            for of_case in explanations.judge(card, network, there, chosen):
                judged += of_case
                step()
        if not judged:
            raise NotFound("in none of the images is a finding present that could be judged")
        lines = explanations.table(judged)
    if as_json:
        print_json([_plain(line) for line in lines])
    else:
        _print_lines(lines)


def _methods(wanted: str, card: Card) -> list[Method]:
    every: tuple[Method, ...] = get_args(Method)
    if not wanted:
        return [card.explanation.method]
    names = every if wanted == "all" else wanted.split(",")
    if unknown := set(names) - set(every):
        raise NotFound(f"there is no method {min(unknown)}; there are: {', '.join(every)}")
    return [method for method in every if method in names]


def _plain(line: "Line") -> dict[str, Any]:
    shares = {"centre": line.centre, "pointing": line.pointing}
    return asdict(line) | {key: share and share.model_dump() for key, share in shares.items()}


def _print_lines(lines: list["Line"]) -> None:
    columns = ["finding", "n", "centre", "hottest", "deletion", "insertion", "ms"]
    for method in dict.fromkeys(line.method for line in lines):
        rows = [_line(line) for line in lines if line.method == method]
        print_table(columns, rows, title=method)
    console.print(_LEGEND, style="italic", highlight=False)


def _line(line: "Line") -> tuple[str, ...]:
    return (
        line.label or "all",
        str(line.findings),
        _percent(line.centre),
        _percent(line.pointing),
        f"{line.deletion:.3f}",
        f"{line.insertion:.3f}",
        f"{line.seconds * 1000:.0f}",
    )


def _percent(share: Estimate | None) -> str:
    if share is None:
        return "-"
    return f"{share.value:.0%} ({share.low * 100:.0f}-{share.high * 100:.0f})"


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
    console.print(f"\nexplanation\n  {_explanation(card)}", markup=False, highlight=False)
    print_table(["finding", "code", "threshold", "undetermined within"], labels, title="findings")
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
            _percent(line.centre),
            _percent(line.pointing),
            f"{line.deletion:.3f}",
            f"{line.insertion:.3f}",
        )
        for line in measures
    ]
    columns = ["finding", "n", "centre", "hottest", "deletion", "insertion"]
    print_table(columns, rows, title="explanations, measured as `models evaluate` does")


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

"""`dicomnode models`: which are here, what their cards say, and what becomes one of them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Method
from dicomnode.classify.card.folder import read_card, read_model
from dicomnode.cli.card import percent, print_card
from dicomnode.cli.compare import compare
from dicomnode.cli.ensemble import ensemble_command
from dicomnode.cli.found import find_model, known_models
from dicomnode.cli.importing import import_command
from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    errors,
    print_json,
    print_table,
    progress,
    say,
)
from dicomnode.cli.verify import verify_command
from dicomnode.errors import NotFound

if TYPE_CHECKING:
    from dicomnode.learn.explanations import Line

__all__ = ["app"]

app = typer.Typer(help="See, import, join, verify and compare models.", no_args_is_help=True)


_LEGEND = """
n: findings that are there and are called present
centre, hottest: of the largest region, of the map: how often on the finding
(in drawings on its very pixels, in other images inside its box)
deletion, insertion: probability while the hottest pixels go (low is good), come (high)
ms: for one finding, median"""

NameArgument = Annotated[
    str, typer.Argument(help="Name of the model, as `models list` shows it, or its folder.")
]


app.command("import")(import_command)
app.command("ensemble")(ensemble_command)
app.command("verify")(verify_command)
app.command("compare")(compare)


@app.command("list")
def list_models(config: ConfigOption = Path("ae_config"), as_json: JsonOption = False) -> None:
    """List the models that pipelines may name."""
    with errors():
        cards = {name: read_model(folder) for name, folder in sorted(known_models(config).items())}
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
    name: NameArgument,
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """Show a model's card: what it finds, what it is for, and how well it was measured to do."""
    with errors():
        folder = find_model(name, config)
        card = read_model(folder)
    if as_json:
        print_json(card.model_dump(mode="json"))
    else:
        print_card(card, folder)


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
        folder = find_model(name, config)
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
    say(_LEGEND, "italic", wrap=True)


def _line(line: "Line") -> tuple[str, ...]:
    return (
        line.label or "all",
        str(line.findings),
        percent(line.centre),
        percent(line.pointing),
        f"{line.deletion:.3f}",
        f"{line.insertion:.3f}",
        f"{line.seconds * 1000:.0f}",
    )

"""`dicomnode evaluate`: how well a model tells the truth, and whether another tells it better."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from dicomnode.classify.card.common import Common
from dicomnode.classify.card.folder import read_model
from dicomnode.cli.answers import Models, from_table
from dicomnode.cli.evaluation import as_json, print_evaluation
from dicomnode.cli.found import find_model
from dicomnode.cli.output import ConfigOption, JsonOption, errors, print_json, progress
from dicomnode.errors import NotFound, StoreError
from dicomnode.learn.assess import GROUPED, Question, assess, thresholds
from dicomnode.learn.measures.evaluation import Plan
from dicomnode.learn.measures.points import Point, parse_point
from dicomnode.learn.page.page import page
from dicomnode.learn.prediction_columns import Patterns
from dicomnode.learn.predictions import write_predictions

__all__ = ["evaluate"]

_USUAL = ("youden", "sensitivity=0.95", "specificity=0.95")


def evaluate(
    what: Annotated[
        str, typer.Argument(help="A table of predictions (CSV, CSV.gz), or a model with --on.")
    ],
    on: Annotated[
        Path | None, typer.Option(help="Manifest (CSV) of images that the model is asked about.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the manifest's images; else it is beside them.")
    ] = None,
    truth: Annotated[
        str, typer.Option(help="Columns of the truth; {} is the finding, such as 'true_{}'.")
    ] = "",
    probability: Annotated[
        str, typer.Option(help="Columns of the probabilities, such as 'prob_{}'.")
    ] = "",
    image: Annotated[str, typer.Option(help="Column of the image's name.")] = "",
    patient: Annotated[
        str, typer.Option(help="Column of the patient; 'none': images are independent.")
    ] = "",
    at: Annotated[
        str,
        typer.Option(
            help="Operating points, with commas: card, youden, sensitivity=0.9, "
            "specificity=0.95, 0.5. Else card where there is one, youden, and 0.95 of both."
        ),
    ] = "",
    card: Annotated[
        str, typer.Option(help="Model whose card has the thresholds, for a table.")
    ] = "",
    against: Annotated[
        str,
        typer.Option(
            help="Compare with columns of the same table ('other_{}'), another table, "
            "or, with --on, another model."
        ),
    ] = "",
    reader: Annotated[
        list[str] | None,
        typer.Option(help="Compare with a reader: columns of 0 and 1, such as 'reader1_{}'."),
    ] = None,
    findings: Annotated[str, typer.Option(help="Only these findings, with commas.")] = "",
    by: Annotated[
        str,
        typer.Option(
            help="Columns to group images by, with commas; else sex, age, view and scanner where "
            "they are known; 'none': no groups."
        ),
    ] = "",
    age_bands: Annotated[
        str, typer.Option(help="Ages in years at which bands begin, with commas.")
    ] = "18,40,60,80",
    resamples: Annotated[int, typer.Option(min=0, help="Resamples of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    html: Annotated[Path | None, typer.Option(help="Write a report as one HTML file.")] = None,
    write_to: Annotated[
        Path | None,
        typer.Option("--write-predictions", help="Write the predictions as CSV, or as CSV.gz."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where the model runs, as torch names it; else as on the node.")
    ] = "",
    config: ConfigOption = Path("ae_config"),
    json: JsonOption = False,
) -> None:
    """Measure how well a model tells the truth, with 95 % intervals; compare it with another.

    AUROC, average precision, calibration, and what thresholds are worth, by finding and by group.
    """
    patterns = Patterns(
        truth=truth,
        probability=probability,
        image=image,
        patient=patient,
        against=against if "{}" in against else "",
        readers=tuple(reader or ()),
        by=tuple(name for name in _split(by) if name not in ("none", *GROUPED)),
    )
    with errors():
        # Before models are asked, which may take an hour.
        points, bands = _points(_split(at)), _ages(age_bands)
        _demand_folders(html, write_to)
        if on is None:
            known = read_model(find_model(card, config)) if card else None
            asked = from_table(Path(what), patterns, against, known)
        else:
            _only_of_tables({"--truth": truth, "--probability": probability, "--card": card})
            models = Models(config, device, hidden=json)
            asked = models.asked(what, on, images, patterns, against)
        if write_to is not None:  # whatever comes, it need not be asked again
            write_predictions(asked.predictions, write_to)
        question = Question(
            name=asked.name,
            plan=Plan(points=points or _usual(asked.card), resamples=resamples, seed=seed),
            only=_split(findings),
            by=_split(by),
            age_bands=bands,
            thresholds=thresholds(asked.card) if asked.card else {},
        )
        with progress("resamples", resamples, hidden=json) as step:
            found = assess(asked.predictions, question, step)
        if html is not None:
            _write(html, page(found, asked.facts))
    if json:
        print_json(as_json(found))
    else:
        print_evaluation(found)


def _only_of_tables(given: Mapping[str, str]) -> None:
    if wrong := [option for option, value in given.items() if value]:
        raise NotFound(f"{wrong[0]} belongs to a table of predictions, and --on asks a model")


def _points(names: Iterable[str]) -> tuple[Point, ...]:
    return tuple(dict.fromkeys(parse_point(name) for name in names))


def _usual(card: Common | None) -> tuple[Point, ...]:
    return _points(("card", *_USUAL) if card else _USUAL)


def _ages(text: str) -> tuple[float, ...]:
    try:
        edges = [float(edge) for edge in _split(text)]
    except ValueError:
        edges = [-1.0]
    if edges != sorted(set(edges)) or not all(0 < edge < 150 for edge in edges):
        raise NotFound(f"age bands {text!r} are none; they begin at rising ages, as in 18,40,65")
    return tuple(edges)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _demand_folders(*files: Path | None) -> None:
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise StoreError(f"{file}: cannot be written: {file.parent} is no folder")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error

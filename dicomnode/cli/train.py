"""`dicomnode train`: from a recipe and a manifest to a model folder."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dicomnode.cli.card import print_card
from dicomnode.cli.found import known_models
from dicomnode.cli.output import ConfigOption, console, errors, fail, print_table, say
from dicomnode.errors import NotFound, StoreError

if TYPE_CHECKING:
    from dicomnode.learn.training.folder import Folders
    from dicomnode.learn.training.forecast import Forecast
    from dicomnode.learn.training.plan import Plan
    from dicomnode.learn.training.processes import Crew

__all__ = ["train"]


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(help="The recipe (TOML), or the name of one that comes along: chest14."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="The table of images, in place of data.manifest.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="The folder of its files, in place of data.images.")
    ] = None,
    to: Annotated[
        Path, typer.Option(help="Where the model's folder is made, NAME, and that of the run.")
    ] = Path("models"),
    init: Annotated[
        Path | None, typer.Option(help="Write a commented recipe to start from, and stop.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and how long it takes.")
    ] = False,
    preview: Annotated[
        Path | None, typer.Option(help="With --dry-run: a picture (PNG) of varied images.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Forget what was begun, and a model that is there.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, or cuda:0 and the like.")] = "auto",
    config: ConfigOption = Path("ae_config"),
) -> None:
    """Train a model by a recipe; the same command goes on with a run that was killed.

    Several GPUs: `torchrun --nproc-per-node 4 -m dicomnode train RECIPE`.
    """
    from dicomnode.learn.training.plan import plan
    from dicomnode.learn.training.processes import crew
    from dicomnode.learn.training.reading import find_recipe, read_recipe, with_images

    with errors():
        if init is not None:
            _write_example(init)
            return
        if recipe is None:
            fail("name a recipe, or write one with --init FILE", code=2)
        path = find_recipe(recipe)
        given = with_images(read_recipe(path), manifest, images)
        made = plan(given, path.parent, known_models(config))
        with crew(device) as we:
            if dry_run:
                _foretell(made, str(we.device), preview)
            else:
                _train(made, to, we, again=again)


def _train(made: "Plan", to: Path, we: "Crew", *, again: bool) -> None:
    from dicomnode.learn.training.folder import Folders
    from dicomnode.learn.training.run import train
    from dicomnode.learn.training.shown import Shown
    from dicomnode.learn.training.trackers import trackers

    name = made.recipe.name
    folders = Folders(model=to / name, run=to / f"{name}.run")
    if we.leads:
        _clear(folders, again=again)
    we.wait()
    words = console if we.leads else Console(quiet=True)
    names = made.recipe.track if we.leads else ()
    with trackers(names, name, folders.run) as tell:
        card = train(made, folders, we, Shown(words, tell))
    if we.leads:
        _tidy(folders)
        print_card(card, folders.model)
        answered = folders.run / "predictions.csv"
        if answered.is_file():
            place = f"\nwhat was answered of each image, for `dicomnode evaluate`\n  {answered}"
            say(place)


def _clear(folders: "Folders", *, again: bool) -> None:
    """A model that is there is replaced when the new one is whole; nothing else is written over."""
    there = (folders.model / "model.toml").is_file()
    if there and not again:
        raise NotFound(f"{folders.model}: a model is there already; --again makes it anew")
    if folders.model.is_dir() and not there and any(folders.model.iterdir()):
        raise NotFound(f"{folders.model}: is there, and is no model's folder; choose another --to")
    if again:
        shutil.rmtree(folders.run, ignore_errors=True)


def _tidy(folders: "Folders") -> None:
    """Images and checkpoints are not needed any more; what was answered stays."""
    shutil.rmtree(folders.run / "before", ignore_errors=True)
    for path in folders.run.iterdir():
        if path.suffix in (".bin", ".key", ".safetensors"):
            path.unlink(missing_ok=True)
    if not any(folders.run.iterdir()):
        folders.run.rmdir()


def _write_example(path: Path) -> None:
    from dicomnode.learn.training.reading import EXAMPLES

    try:
        with path.open("x", encoding="utf-8") as out:
            out.write((EXAMPLES / "example.toml").read_text("utf-8"))
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
    say(f"{path}: written; set data.manifest in it")


def _foretell(made: "Plan", device: str, picture: Path | None) -> None:
    import torch

    from dicomnode.learn.training.forecast import forecast, preview

    _print_split(made)
    _print_forecast(made, forecast(made, torch.device(device)))
    if picture is not None:
        preview(made, picture)
        say(f"varied images: {picture}")


def _print_split(made: "Plan") -> None:
    """Images with and without each label, part by part."""
    groups = {
        "training": made.parts == 0, "validation": made.parts == 1, "held out": made.parts == 2,
    }  # fmt: skip
    if made.folds is not None:
        count = int(made.folds.max()) + 1
        groups = {f"fold {fold + 1}": made.folds == fold for fold in range(count)}
    patients = made.manifest.patients
    rows = []
    for column, label in enumerate(made.manifest.labels):
        truth = made.manifest.truth[:, column]
        cells = [
            f"{int((truth[own] == 1).sum())} / {int((truth[own] == 0).sum())}"
            for own in groups.values()
        ]
        rows.append((label, *cells))
    sizes = [
        f"{int(own.sum())} of {len({p for p, there in zip(patients, own, strict=True) if there})}"
        for own in groups.values()
    ]
    rows.append(("images of patients", *sizes))
    print_table(["label", *groups], rows, title="images with / without each label")


def _print_forecast(made: "Plan", told: "Forecast") -> None:
    kind = made.card.architecture.kind
    moved = told.moved
    taken = f", {moved.kept} tensors taken over, {len(moved.made)} at random" if moved else ""
    lines = (
        f"network: {kind}, {told.parameters:,} parameters{taken}",
        f"stages: {', '.join(f'{i} {name}' for i, name in enumerate(told.stages, 1))}",
        f"time: {told.epoch_s:.0f} s an epoch of {told.steps} steps; at most "
        f"{told.total_s / 60:.0f} min for {told.networks} network(s)",
    )
    for line in lines:
        say(line)

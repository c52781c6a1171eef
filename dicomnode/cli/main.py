"""The table of commands."""

import typer

from dicomnode import __version__
from dicomnode.cli import (
    bench,
    demo,
    evaluate,
    models,
    operate,
    results,
    train,
    trying,
    users,
    worklist,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="dicomnode",
    help="A DICOM Application Entity beside a PACS: receives studies, classifies them, "
    "and stores Structured Reports and Secondary Captures back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command()(operate.init)
app.command()(operate.check)
app.command()(operate.serve)
app.command()(demo.demo)
app.command("try")(trying.try_files)
app.command()(operate.send)
app.command()(operate.echo)
app.command(hidden=True)(operate.worker)
app.command(hidden=True)(operate.web)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.add_typer(worklist.app, name="worklist")
app.add_typer(results.app, name="results")
app.add_typer(models.app, name="models")
app.add_typer(users.app, name="users")
app.add_typer(bench.app, name="bench")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dicomnode {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and stop."
    ),
) -> None:
    """Results are automated and unverified; see the README for what this must not be used for."""


def main() -> None:
    """Run the command line."""
    app()

"""What every command shares: where the configuration is, how output looks, how errors end it."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dicomnode.errors import ConfigError, DicomnodeError

__all__ = [
    "ConfigOption",
    "JsonOption",
    "console",
    "errors",
    "fail",
    "local_time",
    "note",
    "print_json",
    "print_table",
    "progress",
    "say",
]

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar="DICOMNODE_CONFIG",
        help="Folder with node.toml, peers/ and pipelines/.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]

console = Console()
_problems = Console(stderr=True)


@contextmanager
def errors() -> Iterator[None]:
    """An error of ours ends the command with its words: exit code 3 for a wrong configuration,
    1 for everything else.
    """
    try:
        yield
    except ConfigError as error:
        fail(str(error), code=3)
    except DicomnodeError as error:
        fail(str(error))


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Say what went wrong on standard error, and end with an exit code."""
    _problems.print(message, style="bold red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def say(words: str, style: str | None = None, *, wrap: bool = False) -> None:
    """Print words that may come from anywhere, so that nothing in them is taken for markup.

    Lines are broken between words where that is asked; else a path in them can be copied whole.
    """
    console.print(words, style=style, markup=False, highlight=False, soft_wrap=not wrap)


def note(message: str) -> None:
    """Say on standard error what is being done, or what it is done with."""
    _problems.print(message, markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output; times in ISO 8601."""
    typer.echo(json.dumps(value, indent=2, default=str))


def local_time(at: datetime) -> str:
    """A moment in the zone of this machine."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


@contextmanager
def progress(what: str, total: int, *, hidden: bool = False) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error; call what it gives for each step that is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=_problems, disable=hidden) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, title: str = ""
) -> None:
    """Print a table in the one style of this program. Words come from everywhere, so nothing in a
    cell is taken for markup.
    """
    made = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    if title:
        say(f"\n{title}", "italic", wrap=True)
    console.print(made)

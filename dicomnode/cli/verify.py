"""`dicomnode models verify`: does a model still answer what it answered when it was made?"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.folder import find_members, read_model
from dicomnode.cli.found import RunSettings, find_model, known_models, run_settings
from dicomnode.cli.output import ConfigOption, JsonOption, errors, note, print_json, print_table
from dicomnode.errors import ModelError

__all__ = ["verify_command"]

Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """How models are checked, and who is told what is done before it is done."""

    near: Sequence[Path]  #: where members of several models may lie
    rules: RunSettings
    tell: Callable[[str], None]


def verify_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of models, or their folders; else all.")
    ] = None,
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """Check a model's files, run its test vectors, and say how far the answers are from its card's.

    They are run by torch, and by the runtime of the configuration's node. Where that is not chosen
    yet, those there are get measured first: that may take minutes, and is remembered.

    Ends with 1 if a file is not the one of the card, or a difference exceeds the tolerance.
    """
    with errors():
        known = known_models(config)
        folders = [find_model(name, config) for name in names or sorted(known)]
        tell = _silent if as_json else note
        check = _Check(near=sorted(known.values()), rules=run_settings(config), tell=tell)
    if check.rules.cache is None:
        tell(f"{config} is no node's configuration: only torch is tried, no other runtime")
    lines = [line for folder in folders for line in _lines(folder, check)]
    if as_json:
        print_json(lines)
    else:
        columns = ["model", "runtime", "inputs", "difference", "tolerance", ""]
        print_table(columns, [_row(line) for line in lines])
    if not all(line["holds"] for line in lines):
        raise typer.Exit(1)


def _silent(_: str) -> None:
    """JSON is for a script, which waits in silence."""


def _lines(folder: Path, check: _Check) -> list[Line]:
    """What became of one model: a line for each runtime, or one that says what is wrong."""
    try:
        return list(_found(folder, check))
    except ModelError as error:
        return [{"model": folder.name, "holds": False, "problem": str(error)}]


def _found(folder: Path, check: _Check) -> Iterator[Line]:
    from dicomnode.classify.verify import verify

    card = read_model(folder)
    if not isinstance(card, Card):
        for member in find_members(card, [*check.near, *sorted(folder.parent.iterdir())]):
            for line in _lines(member, check):
                yield line | {"model": f"{folder.name}: {line['model']}"}
        return
    check.tell(f"{folder.name}: its files, and its test vectors by torch")
    rules, trying = check.rules, partial(_measured, check, folder.name)
    verified = verify(folder, card, rules.runtime, rules.cache, rules.threads, trying)
    for one in verified:
        yield {"model": folder.name, **asdict(one), "holds": one.holds, "problem": ""}
    if not verified:
        words = "its files are right; its card has no test vectors"
        yield {"model": folder.name, "holds": True, "problem": words}


def _measured(check: _Check, model: str, runtime: str) -> None:
    check.tell(f"{model}: {runtime} is measured, once on this machine; that may take minutes")


def _row(line: Line) -> tuple[str, ...]:
    if "runtime" not in line:
        return line["model"], "", "", "", "", line["problem"]
    said = "holds" if line["holds"] else "does not hold"
    numbers = f"{line['difference']:.2g}", f"{line['tolerance']:g}"
    return line["model"], line["runtime"], str(line["inputs"]), *numbers, said

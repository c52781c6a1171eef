"""How fast receivers are, side by side: `python tests/benchmarks/receive.py --help`.

The same synthetic objects go to our node, DCMTK's storescp and Orthanc in turn, in every round
again, so that each round's ratios compare what this machine did within a minute. The node
and Orthanc sync what they acknowledge; storescp syncs nothing.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dicomnode.cli.output import console
from dicomnode.cli.replay import SAMPLES
from tests.benchmarks import special
from tests.benchmarks.disk import disk
from tests.benchmarks.goals import Cell, show, summary
from tests.benchmarks.load import Measured, load
from tests.benchmarks.peers import PEERS, absent

_COUNTS = {"ct": 1000, "dx": 20, "tiny": 2000}


def main(
    sets: Annotated[str, typer.Option(help="Which sets, with commas.")] = "ct,dx,tiny",
    associations: Annotated[str, typer.Option(help="How many at once, with commas.")] = "1,4",
    targets: Annotated[
        str, typer.Option(help="Which receivers, with commas.")
    ] = "dicomnode,dcmtk,dcmtk-tuned,orthanc,disk",
    repeat: Annotated[int, typer.Option(min=1, help="Rounds; medians are shown.")] = 3,
    count_scale: Annotated[float, typer.Option(help="Send so many times the objects.")] = 1.0,
    latency: Annotated[
        bool, typer.Option(help="Only: from release to a job that is ready.")
    ] = False,
    idle: Annotated[int, typer.Option(help="Only: so many associations at once, idle.")] = 0,
    big: Annotated[float, typer.Option(help="Only: memory for one object of so many GB.")] = 0.0,
    folder: Annotated[Path | None, typer.Option(help="Where the receivers write.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Every round, as JSON.")] = None,
) -> None:
    """Measure receivers side by side, and compare the node with its goals."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops what it started
    chosen = [name for name in targets.split(",") if name == "disk" or _is_here(name)]
    with _folder(folder) as place:
        if latency:
            result = special.latency(place)
        elif idle:
            result = special.idle(place, [name for name in chosen if name != "disk"], idle)
        elif big:
            result = special.big(place, [name for name in chosen if name != "disk"], big)
        else:
            counts = {name: max(4, round(_COUNTS[name] * count_scale)) for name in sets.split(",")}
            cells = [
                (name, number) for name in counts for number in map(int, associations.split(","))
            ]
            result = throughput(place, chosen, counts, cells, repeat)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=2), "utf-8")


def throughput(
    folder: Path,
    targets: list[str],
    counts: dict[str, int],
    cells: list[tuple[str, int]],
    repeat: int,
) -> list[dict[str, object]]:
    """Every cell, its targets in turn, `repeat` times; shows each cell when it is done.

    Nothing is removed before the end: some file systems make new files slowly for minutes after
    many were removed.
    """
    done: list[Cell] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("starting", total=len(cells) * len(targets) * repeat)
        for sample, associations in cells:
            cell = Cell(sample, counts[sample], associations, {name: [] for name in targets})
            place = _fresh(folder / f"{sample} x {associations}")
            for name, measured in _rounds(place, targets, cell, repeat):
                cell.rounds[name].append(measured)
                bar.update(task, advance=1, description=f"{sample} x {associations}: {name}")
            show(cell)
            done.append(cell)
    summary(done)
    return [
        {"set": cell.sample, "associations": cell.associations, "target": name, **asdict(one)}
        for cell in done
        for name, many in cell.rounds.items()
        for one in many
    ]


def _rounds(
    folder: Path, targets: list[str], cell: Cell, repeat: int
) -> Iterator[tuple[str, Measured]]:
    """Start the receivers afresh, and measure each in turn."""
    with ExitStack() as stack:
        running = {}
        for name in targets:
            if name != "disk":
                running[name] = stack.enter_context(PEERS[name](_fresh(folder / name)))
        for number in range(repeat):
            for name in targets:
                os.sync()  # nobody pays for what another left unwritten
                if name == "disk":
                    place = _fresh(folder / f"{name} {number}")
                    size = SAMPLES[cell.sample].pixel_bytes
                    yield name, disk(place, size, cell.count, cell.associations)
                else:
                    yield name, load(running[name], cell.sample, cell.count, cell.associations)


def _fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _is_here(target: str) -> bool:
    if target not in PEERS:
        raise typer.BadParameter(f"{target}: there are {', '.join(PEERS)} and disk")
    if missing := absent(target):
        console.print(f"{target} is left out: there is no {missing} here", style="yellow")
    return not missing


@contextmanager
def _folder(parent: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="receive-", dir=parent) as name:
        yield Path(name)


if __name__ == "__main__":
    typer.run(main)

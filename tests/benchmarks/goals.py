"""What the node should reach beside others in the same run, and the tables that say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.text import Text

from dicomnode.cli.output import console, print_table
from tests.benchmarks.load import Measured

__all__ = ["Cell", "show"]

_OURS = "dicomnode"
_DISK = "disk"
#: By set and associations: of each other's objects/s, the least that the node should do.
_GOALS: Mapping[tuple[str, int], Mapping[str, float]] = {
    ("ct", 1): {"dcmtk": 0.7, "orthanc": 2.0, _DISK: 0.8},
    ("ct", 4): {"dcmtk": 0.8, "orthanc": 2.0, _DISK: 0.8},
    ("dx", 1): {"dcmtk": 1.0, "orthanc": 4.0, _DISK: 0.8},
    ("dx", 4): {"dcmtk": 2.0, "orthanc": 4.0, _DISK: 0.8},
    ("tiny", 1): {"dcmtk": 0.6, "orthanc": 2.0, _DISK: 0.8},
    ("tiny", 4): {"dcmtk": 0.6, "orthanc": 2.0, _DISK: 0.8},
}
_COLUMNS = (
    *("", "objects/s", "MB/s", "p50 ms", "p99 ms", "CPU s"),
    *("peak MB", "grown", "listed s"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One set with so many associations: every round of every target."""

    sample: str
    count: int
    associations: int
    rounds: Mapping[str, Sequence[Measured]]  #: by target; all have as many


def show(cell: Cell) -> None:
    """Print the medians of a cell, and how the node compares."""
    title = f"{cell.count} x {cell.sample}, associations: {cell.associations}"
    print_table(_COLUMNS, [_row(name, many) for name, many in cell.rounds.items()], title=title)
    ours = cell.rounds.get(_OURS)
    if not ours:
        return
    goals = _GOALS.get((cell.sample, cell.associations), {})
    rows = [
        _ratio(name, ours, theirs, goals.get(name))
        for name, theirs in cell.rounds.items()
        if name != _OURS
    ]
    console.print()
    print_table(["objects/s of", "ratio", "least - most", "goal", ""], rows)


def _row(name: str, many: Sequence[Measured]) -> list[str]:
    def middle(field: str) -> float:
        return float(median(getattr(one, field) for one in many))

    rates = [f"{middle('objects_per_s'):.1f}", f"{middle('mb_per_s'):.1f}"]
    if name == _DISK:
        return [name, *rates, *[""] * 6]
    entered = f"{middle('entered_s'):.2f}" if many[0].entered_s is not None else ""
    used = [f"{middle(field):.2f}" for field in ("p50_ms", "p99_ms", "cpu_s")]
    memory = [f"{middle(field):.0f}" for field in ("peak_mb", "grown_mb")]
    return [name, *rates, *used, *memory, entered]


def _ratio(
    name: str, ours: Sequence[Measured], theirs: Sequence[Measured], goal: float | None
) -> list[str | Text]:
    """The median of the rounds' ratios; each round compares what ran side by side."""
    ratios = [a.objects_per_s / b.objects_per_s for a, b in zip(ours, theirs, strict=True)]
    middle, spread = median(ratios), f"{min(ratios):.2f} - {max(ratios):.2f}"
    verdict = Text("")
    if goal is not None:
        verdict = Text("met", "green") if middle >= goal else Text("not met", "bold red")
    wanted = "" if goal is None else f"{goal:g}"
    return [f"{_OURS} / {name}", f"{middle:.2f}", spread, wanted, verdict]

"""What the node should reach beside others in the same run, and the tables that say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.text import Text

from dicomnode.cli.output import console, print_table
from tests.benchmarks.load import Measured

__all__ = ["Cell", "show", "summary"]

_OURS = "dicomnode"
_DISK = "disk"
_WITH_GOALS = ("dcmtk", "orthanc", _DISK)
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
    rounds: Mapping[str, list[Measured]]  #: by target; all have as many

    def ratios(self, other: str) -> list[float]:
        """The node's objects/s by another's, in each round: what ran side by side."""
        pairs = zip(self.rounds[_OURS], self.rounds[other], strict=True)
        return [ours.objects_per_s / theirs.objects_per_s for ours, theirs in pairs]

    def goal(self, other: str) -> float | None:
        """The least that the median of the ratios should be."""
        return _GOALS.get((self.sample, self.associations), {}).get(other)


def show(cell: Cell) -> None:
    """Print the medians of a cell, and how the node compares."""
    title = f"{cell.count} x {cell.sample}, associations: {cell.associations}"
    print_table(_COLUMNS, [_row(name, many) for name, many in cell.rounds.items()], title=title)
    if _OURS in cell.rounds:
        console.print()
        rows = [_compared(cell, name) for name in cell.rounds if name != _OURS]
        print_table(["objects/s of", "ratio", "least - most", "goal", ""], rows)


def summary(cells: Sequence[Cell]) -> None:
    """Print every goal and what became of it, one line a cell."""
    others = [name for name in _WITH_GOALS if all(name in cell.rounds for cell in cells)]
    if not others or any(_OURS not in cell.rounds for cell in cells):
        return
    rows: list[list[str | Text]] = [
        [f"{cell.sample} x {cell.associations}", *(_against(cell, name) for name in others)]
        for cell in cells
    ]
    print_table(["", *(f"by {name} (goal)" for name in others)], rows, title="the node's objects/s")
    console.print(
        "The node's memory counts its worker, which holds the model's libraries.", style="dim"
    )


def _against(cell: Cell, other: str) -> Text:
    ratio, goal = median(cell.ratios(other)), cell.goal(other)
    if goal is None:
        return Text(f"{ratio:.2f}")
    met = ratio >= goal
    words = f"{ratio:.2f} ({goal:g}) {'met' if met else 'not met'}"
    return Text(words, "green" if met else "bold red")


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


def _compared(cell: Cell, other: str) -> list[str | Text]:
    ratios, goal = cell.ratios(other), cell.goal(other)
    middle, spread = median(ratios), f"{min(ratios):.2f} - {max(ratios):.2f}"
    verdict = Text("")
    if goal is not None:
        verdict = Text("met", "green") if middle >= goal else Text("not met", "bold red")
    wanted = "" if goal is None else f"{goal:g}"
    return [f"{_OURS} / {other}", f"{middle:.2f}", spread, wanted, verdict]

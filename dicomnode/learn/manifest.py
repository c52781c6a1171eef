"""Which images there are to learn from or to be measured on, whose they are, and what is in them.

A manifest is a table (CSV, also gzipped) with one line an image: its file, its patient, one column
a label with 1, 0 or nothing where it is not known, and what else is known of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.table import Table, presence, probability, read_table, years

__all__ = ["Columns", "Entry", "Manifest", "read_manifest"]

_FACTS = ("patient", "age", "sex", "view", "scanner", "split")
#: How a person names a column that there has to be: as an option, and in a recipe's table `data`.
_ASKED = {"file": ("image", "file"), "patient": ("patient", "patient")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns are called; an empty name means the usual ones, such as image for file.

    Capitals, hyphens and underscores make no difference: "pleural thickening" is the column
    `Pleural_Thickening`.
    """

    file: str = ""
    patient: str = ""
    independent: bool = False  #: each image is of a patient of its own, whatever columns there are
    age: str = ""  #: years
    sex: str = ""
    view: str = ""
    scanner: str = ""
    split: str = ""
    labels: tuple[str, ...] = ()  #: empty: every other column that holds only 0, 1 and nothing
    teacher_prefix: str = ""  #: of columns with a teacher's probabilities; empty: there are none


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One image of a manifest."""

    line: int  #: of the table, from 1
    name: str  #: of the file, as the table has it
    file: Path
    patient: str
    age: float | None = None  #: years
    sex: str = ""  #: as in the table, in capitals
    view: str = ""
    scanner: str = ""
    split: str = ""  #: in small letters


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifest:
    """A whole table, in its order."""

    path: Path
    sha256: str  #: of the file as it is on disk
    labels: tuple[str, ...]
    entries: tuple[Entry, ...]
    truth: NDArray[np.float64]  #: (images, labels): 1, 0, and NaN where it is not known
    teacher: NDArray[np.float64] | None = None  #: (images, labels): probabilities, NaN if unknown

    @property
    def patients(self) -> tuple[str, ...]:
        """Whose each image is."""
        return tuple(entry.patient for entry in self.entries)


def read_manifest(
    path: Path, columns: Columns | None = None, *, images: Path | None = None
) -> Manifest:
    """Read and check a manifest; relative files are looked for in `images`, or beside the table.

    Raises:
        ConfigError: with line and column of every mistake: a column or a file that is not there,
            a value that is none, one file twice, one patient in two splits.
    """
    table = read_table(path)
    names = _names(table, columns or Columns())
    folder = images or path.parent
    entries = tuple(_entries(table, names, folder))
    known = "1 where it is present, 0 where not, empty where nobody knows"
    truth = table.numbers(list(names.labels.values()), presence, known)
    soft = "a probability from 0 to 1, or empty"
    teacher = table.numbers(list(names.teacher.values()), probability, soft)
    _check(table, entries)
    _demand_files(table, names.facts["file"], entries, folder)
    table.stop()
    return Manifest(
        path=path,
        sha256=table.sha256,
        labels=tuple(names.labels),
        entries=entries,
        truth=truth,
        teacher=teacher if names.teacher else None,
    )


# --- its columns ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """The columns that are there, by what they are."""

    facts: Mapping[str, str]  #: file, patient, age ...; empty where there is none
    labels: Mapping[str, str]  #: label to column
    teacher: Mapping[str, str]


def _names(table: Table, columns: Columns) -> _Names:
    """Which column is what; those that are missing are mistakes."""
    facts = {"file": _fact(table, "image", columns.file)}
    facts |= {what: _fact(table, what, getattr(columns, what)) for what in _FACTS}
    if columns.independent:
        facts["patient"] = facts["file"]
    for what in ("file", "patient"):
        if not facts[what]:
            option, key = _ASKED[what]
            how = f"--{option} of `evaluate`, or data.{key} of a recipe"
            table.wrong(f"there is no column {what}; say what it is called with {how}", line=1)
    prefix = columns.teacher_prefix
    rest = [name for name in table.header if name not in facts.values()]
    own = [name for name in rest if not (prefix and name.startswith(prefix))]
    labels = {name: table.find(name) for name in columns.labels or _binary(table, own)}
    if not labels:
        table.wrong("no column holds only 0 and 1, as labels do", line=1)
    teacher = {name: table.find(prefix + labels[name]) for name in labels} if prefix else {}
    table.stop()
    return _Names(facts=facts, labels=labels, teacher=teacher)


def _fact(table: Table, usual: str, named: str) -> str:
    """A column that was named, or that is usually called so; empty where there is none."""
    return table.find(named) if named else table.usual(usual)


def _binary(table: Table, columns: Sequence[str]) -> Iterator[str]:
    for column in columns:
        values = {row.cells[column] for row in table.rows}
        if values <= {"0", "1", ""} and values != {""}:
            yield column


# --- its lines ------------------------------------------------------------------------------


def _entries(table: Table, names: _Names, folder: Path) -> Iterator[Entry]:
    facts = names.facts
    told = {what: table.texts(column) for what, column in facts.items()}
    held = [facts["age"]] if facts["age"] else []
    ages = table.numbers(held, years, "an age in years")
    for index, row in enumerate(table.rows):
        for what in ("file", "patient"):
            if not told[what][index]:
                table.wrong("is empty", line=row.line, column=facts[what])
        name = told["file"][index]
        age = float(ages[index, 0]) if held else np.nan
        yield Entry(
            line=row.line,
            name=name,
            file=folder / name,
            patient=told["patient"][index],
            age=None if np.isnan(age) else age,
            sex=told["sex"][index].upper(),
            view=told["view"][index].upper(),
            scanner=told["scanner"][index],
            split=told["split"][index].lower(),
        )


def _demand_files(table: Table, column: str, entries: Sequence[Entry], folder: Path) -> None:
    """Where not one is there, their folder is another: that is one mistake, not one a line."""
    there = _listing()
    named = [entry for entry in entries if entry.name]
    absent = [entry for entry in named if not there(entry.file)]
    if len(absent) == len(named) > 1 and not all(Path(entry.name).is_absolute() for entry in named):
        problem = f"not one of its {len(named)} files is in {folder}; say where they are with "
        table.wrong(problem + "--images, or data.images of a recipe", column=column)
        return
    for entry in absent:
        table.wrong("there is no such file", line=entry.line, column=column)


def _listing() -> Callable[[Path], bool]:
    """Whether a file is there; a folder is listed once, not asked for each of its files."""
    folders: dict[Path, frozenset[str]] = {}

    def there(file: Path) -> bool:
        parent = file.parent
        if parent not in folders:
            found = parent.iterdir() if parent.is_dir() else ()
            folders[parent] = frozenset(path.name for path in found)
        return file.name in folders[parent]

    return there


def _check(table: Table, entries: Sequence[Entry]) -> None:
    """No image counts twice, and no patient is both learnt from and measured on."""
    files: dict[Path, int] = {}
    splits: dict[str, tuple[str, int]] = {}
    for entry in entries:
        if (first := files.setdefault(entry.file, entry.line)) != entry.line:
            table.wrong(f"has the same file as line {first}", line=entry.line)
        split, first = splits.setdefault(entry.patient, (entry.split, entry.line))
        if split != entry.split:
            problem = f"has the patient of line {first} in another split"
            table.wrong(problem, line=entry.line)

"""Tables (CSV, also gzipped) that people bring: read whole, every mistake told with its line.

A cell is never shown in a message: it may be of a patient.
"""

import csv
import gzip
import hashlib
import io
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicomnode.config.fields import did_you_mean
from dicomnode.errors import ConfigError, Mistake

__all__ = [
    "EMPTY",
    "USUAL",
    "Row",
    "Table",
    "plain_name",
    "presence",
    "probability",
    "read_table",
    "years",
]

#: What a column is usually called.
USUAL: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "file", "path", "filename", "image_id"),
    "patient": ("patient", "patient_id", "subject", "subject_id"),
    "age": ("age", "age_years", "patient_age"),
    "sex": ("sex", "gender", "patient_sex"),
    "view": ("view", "view_position"),
    "scanner": ("scanner", "manufacturer", "manufacturer_model_name", "device", "station_name"),
    "split": ("split",),
}
_TOLD = 20  #: mistakes that are listed; a table that is wrong is often wrong on every line
_UNKNOWN = frozenset({"", "nan", "na", "n/a", "none", "null"})
EMPTY = frozenset({""})  #: what alone says that nothing is known, where NaN would be a mistake


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table."""

    line: int  #: of the file, from 1
    cells: Mapping[str, str]  #: by column


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A file that was read, and what was found to be wrong in it."""

    path: Path
    sha256: str  #: of the file as it is on disk
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, problem: str, *, line: int | None = None, column: str = "") -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(file=self.path, line=line, key=column, problem=problem))

    def stop(self) -> None:
        """Raise what was noted, if anything was."""
        if not self.mistakes:
            return
        told = sorted(self.mistakes, key=lambda mistake: mistake.line or 0)[:_TOLD]
        if more := len(self.mistakes) - len(told):
            told.append(Mistake(file=self.path, problem=f"holds {more} more mistake(s)"))
        raise ConfigError(*told)

    def find(self, name: str) -> str:
        """The column that a person named; where there is none that is noted, and `name` is given.

        Capitals, hyphens and underscores make no difference.
        """
        there = {plain_name(column): column for column in reversed(self.header)}
        if (found := there.get(plain_name(name))) is None:
            guess = did_you_mean(name, list(self.header))
            self.wrong(f"is no column{guess}", line=1, column=name)
        return found or name

    def named(self, name: str) -> str:
        """The column that a person named; ConfigError if there is none."""
        found = self.find(name)
        self.stop()
        return found

    def usual(self, what: str) -> str:
        """The column that is usually called so; empty where there is none."""
        there = {plain_name(column): column for column in reversed(self.header)}
        return next((there[plain_name(n)] for n in USUAL[what] if plain_name(n) in there), "")

    def texts(self, column: str) -> tuple[str, ...]:
        """The cells of a column; what says that nothing is known is empty. No column: all are."""
        if not column:
            return ("",) * len(self.rows)
        cells = (row.cells[column] for row in self.rows)
        return tuple("" if cell.lower() in _UNKNOWN else cell for cell in cells)

    def numbers(
        self,
        columns: Sequence[str],
        number: Callable[[str], float | None],
        wanted: str,
        *,
        unknown: frozenset[str] = _UNKNOWN,
    ) -> NDArray[np.float64]:
        """(rows, columns) of numbers; NaN where a cell has one of the words for `unknown`.

        `number` gives None for a cell that is not `wanted`, which is noted as a mistake.
        """
        found = np.full((len(self.rows), len(columns)), np.nan)
        for index, row in enumerate(self.rows):
            for at, column in enumerate(columns):
                if (cell := row.cells[column]).lower() in unknown:
                    continue
                if (value := number(cell)) is None:
                    self.wrong(f"must be {wanted}", line=row.line, column=column)
                else:
                    found[index, at] = value
        return found


def read_table(path: Path) -> Table:
    """Read a table; its first line names the columns.

    Raises:
        ConfigError: it cannot be read, is no table, or holds nothing.
    """
    data, text = _read(path)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    digest = hashlib.sha256(data).hexdigest()
    table, rows = Table(path=path, sha256=digest, header=(), rows=()), []
    header: tuple[str, ...] = ()
    try:
        header = tuple(name.strip() for name in next(lines, []))
        for cells in lines:
            if len(cells) != len(header):
                if cells:
                    table.wrong("has not as many cells as the first line", line=lines.line_num)
            else:
                named = zip(header, (cell.strip() for cell in cells), strict=True)
                rows.append(Row(line=lines.line_num, cells=dict(named)))
    except csv.Error as error:
        table.wrong(f"is no table: {error}", line=lines.line_num)
    for twice in sorted({name for name in header if name and header.count(name) > 1}):
        table.wrong("is the name of two columns", line=1, column=twice)
    if not rows:
        table.wrong("holds no image")
    table.stop()
    return Table(path=path, sha256=digest, header=header, rows=tuple(rows))


def _read(path: Path) -> tuple[bytes, str]:
    try:
        data = path.read_bytes()
        plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        return data, plain.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or 'is no whole gzip file'}"
        raise ConfigError(Mistake(file=path, problem=problem)) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(Mistake(file=path, line=line, problem="is not UTF-8 text")) from error


def _delimiter(text: str) -> str:
    """Spreadsheets write semicolons in countries where the comma is in numbers."""
    head = text.partition("\n")[0]
    return max(",;\t", key=head.count)


def plain_name(name: str) -> str:
    """A name as it is compared: capitals, hyphens and underscores make no difference."""
    return name.strip().casefold().replace("_", " ").replace("-", " ")


def presence(text: str) -> float | None:
    """1 where it is present, 0 where not; None if the cell says neither."""
    return {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "true": 1.0, "false": 0.0}.get(text.lower())


def probability(text: str) -> float | None:
    """A number from 0 to 1; None if the cell holds none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def years(text: str) -> float | None:
    """An age, also as DICOM writes it: 060Y (PS3.5 section 6.2, AS); None if it is none."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in tuple("YMWD") else (text, "Y")
    try:
        age = float(number) / {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}[unit]
    except ValueError:
        return None
    return age if math.isfinite(age) and 0 <= age <= 150 else None

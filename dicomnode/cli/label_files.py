"""Files that a person writes about a model's labels, or about all of its card."""

import csv
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicomnode.errors import ModelError

__all__ = ["read_labels", "read_toml"]

_COLUMNS = ("name", "threshold", "code", "scheme", "meaning")


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file; ModelError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error


def read_labels(text: str) -> tuple[Mapping[str, Any], ...]:
    """Names with commas, or a file: TOML with [[labels]], or CSV with a column `name`.

    Raises:
        ModelError: the file cannot be read, or has other columns.
    """
    path = Path(text)
    if text.endswith(".toml"):
        return tuple(read_toml(path).get("labels", ()))
    if text.endswith(".csv"):
        return tuple(_rows(path))
    return tuple({"name": one.strip()} for one in text.split(",")) if text else ()


def _rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error
    if not rows or "name" not in rows[0] or set(rows[0]) - set(_COLUMNS):
        others = ", ".join(_COLUMNS[1:])
        raise ModelError(f"{path}: needs the column name, and may have {others}")
    return [_label(row, f"{path}: {row['name']}") for row in rows]


def _label(row: Mapping[str, str], where: str) -> Mapping[str, Any]:
    made: dict[str, Any] = {"name": row["name"]}
    if row.get("threshold"):
        try:
            made["threshold"] = float(row["threshold"])
        except ValueError as error:
            raise ModelError(f"{where}: the threshold is no number") from error
    if row.get("code"):
        meaning = row.get("meaning") or row["name"]
        made["code"] = {"value": row["code"], "scheme": row.get("scheme"), "meaning": meaning}
    return made

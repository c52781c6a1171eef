"""Where in a TOML file a mistake stands, and how to say it to the person who will mend it."""

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dicomnode.config.fields import did_you_mean
from dicomnode.errors import Mistake

__all__ = ["Key", "Source", "explain", "not_toml"]

Key = tuple[str | int, ...]  #: the way to a value: ("receive", "port"), ("destinations", 0)

_ABSENT = object()
_HIDDEN = ("pass", "pwd", "secret", "token", "key", "url")
_WORDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table of its own",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_type": "must be a whole number",
    "mapping_type": "must be a table of its own",
    "model_type": "must be a table of its own",
    "path_type": "must be a path in double quotes",
    "string_type": "must be text in double quotes",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list in square brackets",
}


#: What the parser of TOML says, and how a person would.
_NOT_TOML = (
    (
        r"Illegal character '\\n'|Expected \"'\"|Unterminated string",
        "a closing quote is missing",
    ),
    (r"Unescaped '\\'", "a \\ in a text is written twice, or the text stands in single quotes"),
    (
        r"Invalid value",
        "a value is missing, or is none of TOML's: texts stand in double quotes, true and false in "
        "small letters",
    ),
    (r"Cannot overwrite|Cannot declare|Cannot mutate", "it is said here for the second time"),
    (r"Expected '='|Invalid statement", "a line reads key = value"),
    (
        r"Expected newline",
        "more follows the value: one key = value a line, and a text in double quotes as a whole",
    ),
    (r"Unclosed array", "a list does not end: a ] or a comma is missing"),
    (r"Unclosed inline table", "a table does not end on its line: a } or a comma is missing"),
    (r"Expected '\]", "the name of a table stands in square brackets: a ] is missing"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file as it was read."""

    file: Path
    text: str
    table: dict[str, Any]

    def line_of(self, key: Key) -> int | None:
        """The line on which `key` stands, from 1; that of its table where it is missing.

        The shortest beginning of the file that is TOML and holds the key ends with it, so the
        TOML parser itself decides what is a key, a text or a comment.
        """
        lines = self.text.split("\n")
        begins = 1
        for count in range(1, len(lines) + 1):
            try:
                table = tomllib.loads("\n".join(lines[:count]))
            except tomllib.TOMLDecodeError:
                continue
            if _value(table, key) is not _ABSENT:
                return begins
            begins = count + 1
        return self.line_of(key[:-1]) if len(key) > 1 else None

    def mistake(self, key: Key, problem: str) -> Mistake:
        """A mistake at `key`, with its line and its value."""
        return Mistake(
            file=self.file,
            line=self.line_of(key) if key else None,
            key=_dotted(key),
            value=_shown(key, _value(self.table, key)),
            problem=problem,
        )


def explain(
    source: Source, model: type[BaseModel], error: ValidationError, at: Key = ()
) -> list[Mistake]:
    """Every mistake pydantic found, in our words; `at` is the way to a table checked by itself."""
    found = []
    for detail in error.errors():
        key = tuple(part for part in detail["loc"] if part != "[key]")
        found.append(source.mistake((*at, *key), _problem(model, key, detail)))
    return found


def not_toml(file: Path, text: str, error: tomllib.TOMLDecodeError) -> Mistake:
    """Where a text stops being TOML, and why, in our words; the parser's where we have none."""
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
    what = str(error)[: place.start()] if place else str(error)
    line = int(place[1]) if place and place[1] else len(text.rstrip("\n").split("\n"))
    words = next((ours for theirs, ours in _NOT_TOML if re.match(theirs, what)), what)
    return Mistake(file=file, line=line, problem=f"is not TOML: {words}")


def _problem(model: type[BaseModel], key: Key, detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown(_section(model, key[:-1]), str(key[-1]))
    if kind == "missing":
        field = _section(model, key[:-1]).model_fields[str(key[-1])]
        words = (field.description or "").rstrip(".")
        words = words[:1].lower() + words[1:] if words[1:2].islower() else words
        return f"is missing: {words}" if words else "is missing"
    text = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return _WORDS.get(kind, text)


def _unknown(section: type[BaseModel], word: str) -> str:
    """An unknown key: meant another one, or stands in the wrong table."""
    for name in section.model_fields:
        inner = _section(section, (name,))
        if inner is not section and word in inner.model_fields:
            return f"is not known here; it belongs under [{name}]"
    return f"is not known{did_you_mean(word, list(section.model_fields))}"


def _section(model: type[BaseModel], key: Key) -> type[BaseModel]:
    """The model of the table at `key`; the nearest one above it where that is no model."""
    for part in key:
        if isinstance(part, int):
            continue
        inner = _table(model.model_fields.get(part))
        if inner is None:
            break
        model = inner
    return model


def _table(field: FieldInfo | None) -> type[BaseModel] | None:
    """The model of a field, or of the tables in its list; None where it has none."""
    if field is None:
        return None
    kinds = (field.annotation, *get_args(field.annotation))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _value(table: object, key: Sequence[str | int]) -> object:
    for part in key:
        try:
            table = table[part]  # type: ignore[index]  # dict by name, list by number
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return table


def _dotted(key: Key) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def _shown(key: Key, value: object) -> str:
    """The value on one line, cut when long; nothing of what may be a secret."""
    name = str(key[-1]).lower() if key else ""
    if value is _ABSENT or isinstance(value, dict):
        return ""
    if any(word in name for word in _HIDDEN) and not name.endswith("_file"):
        return "(not shown)"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."

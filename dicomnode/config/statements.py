"""Statements of TOML: a text is cut into them, and values are written as parts of them."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any

import tomlkit

__all__ = ["LINES", "Statement", "Way", "key", "literal", "only", "statements"]

Way = tuple[str, ...]  #: to a value or a table: ("match", "modality")

LINES = re.compile(r"[^\n]*\n|[^\n]+")  #: of a text, each with its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is TOML by itself: a header, a value, a comment."""

    text: str  #: with its line's end
    table: Way  #: whose header stands before it
    says: Mapping[str, Any]  #: what it means by itself; nothing for a comment
    header: bool

    def holds(self, way: Way) -> bool:
        """Does it give `way` a value, or a part of its value?"""
        if self.header or way[: len(self.table)] != self.table or not self.says:
            return False
        held: object = self.says
        for part in way[len(self.table) :]:
            if not isinstance(held, Mapping) or part not in held:
                return False
            held = held[part]
        return True

    def comments_out(self, name: str) -> bool:
        """Is it `#name = ...`?"""
        pattern = rf"[ \t]*#[ \t]?{re.escape(name)}[ \t]*="
        return not self.says and re.match(pattern, self.text) is not None


def statements(text: str, table: Way = ()) -> Iterator[Statement]:
    """Cut a text; a statement ends with the first line with which it is TOML."""
    piece = ""
    for line in LINES.findall(text):
        piece += line
        try:
            says = tomllib.loads(piece)
        except tomllib.TOMLDecodeError:
            continue
        header = piece.lstrip(" \t").startswith("[")
        table = only(says) if header else table
        yield Statement(text=piece, table=table, says={} if header else says, header=header)
        piece = ""
    if piece:
        raise ValueError("the text is not TOML")


def only(says: Mapping[str, Any]) -> Way:
    """The way to the only value, or the only empty table, of a statement; as far as it is one."""
    way: Way = ()
    held: object = says
    while isinstance(held, Mapping) and len(held) == 1:
        ((name, held),) = held.items()
        way = (*way, name)
    return way


def literal(value: object) -> str:
    """A value as TOML, on one line.

    Raises:
        TypeError: TOML has no such value, such as null.
        UnicodeEncodeError: half a character.
    """
    if isinstance(value, Mapping):
        parts = [f"{key(name)} = {literal(item)}" for name, item in value.items()]
        return "{ " + ", ".join(parts) + " }" if parts else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    match value:
        case bool() | float() | date() | time():
            return tomlkit.item(value).as_string()
        case int():
            return f"{value:_}" if abs(value) >= 1_000_000 else str(value)
        case str():
            value.encode()
            return tomlkit.item(str(value)).as_string()
    raise TypeError(f"a {type(value).__name__} is no value in TOML")


def key(name: str) -> str:
    """A key as TOML writes it."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else literal(name)

"""Change values in the text of a TOML file; every other byte of it stays as it is.

The text is cut into statements, each of which is TOML by itself: a header, a value, a comment. Only
those that hold a changed value are written again. A value that was left out is written where the
file has it commented out, as files of `dicomnode init` have; else behind what the model names
before it. What comes out is read again and compared with what was wanted.
"""

import copy
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, Final

import tomlkit
from tomlkit.items import Array, InlineTable

from dicomnode.config.fields import Section, section_at
from dicomnode.config.statements import LINES, Statement, Way, key, literal, only, statements
from dicomnode.config.template import commented
from dicomnode.errors import ConfigError, Mistake

__all__ = ["UNSET", "Unset", "set_values"]


class Unset(Enum):
    """In the place of a value: the file does not say it."""

    UNSET = 0


UNSET: Final = Unset.UNSET
_MARK = "\ufeff"


def set_values(
    file: Path, text: str, model: type[Section], changes: Mapping[Way, object | Unset]
) -> str:
    """The text with these values; UNSET leaves one to its default.

    `text` must be TOML; `model` says in which order keys come, and what their defaults are.

    Raises:
        ConfigError: a value cannot be written in TOML, or the text says it in a way that can only
            be changed by hand.
    """
    mark = _MARK if text.startswith(_MARK) else ""
    text = text.removeprefix(_MARK)
    editor = _Editor(text, model)
    wanted = copy.deepcopy(_table(text))
    way: Way = ()
    try:
        for way, value in changes.items():
            editor.put(way, value)
            _put(wanted, way, value)
        changed = editor.text
        right = _pruned(_table(changed)) == _pruned(wanted)
    except (UnicodeEncodeError, TypeError) as error:
        problem = "holds what TOML has no value for"
        raise ConfigError(Mistake(file=file, key=".".join(way), problem=problem)) from error
    except (ValueError, LookupError, tomlkit.exceptions.TOMLKitError):
        right = False
    if not right:
        problem = "the file says this in a way that no form can change; change its text"
        raise ConfigError(Mistake(file=file, key=".".join(way), problem=problem))
    return mark + changed


class _Editor:
    """The statements of a text, while values are put."""

    def __init__(self, text: str, model: type[Section]) -> None:
        self._end = "\r\n" if "\r\n" in text else "\n"
        self._model = model
        self._statements = list(statements(text))

    @property
    def text(self) -> str:
        """The whole."""
        return "".join(statement.text for statement in self._statements)

    def put(self, way: Way, value: object | Unset) -> None:
        """Say a value, or leave it out."""
        holding = [i for i, each in enumerate(self._statements) if each.holds(way)]
        if self._spread(way, holding):
            self._put_each(way, {} if value is UNSET else value)
        elif holding:
            self._replace(holding[0], way, value)
        elif value is not UNSET:
            self._add(way, value)

    def _spread(self, way: Way, holding: Sequence[int]) -> bool:
        """Is the value a table with a header of its own, or one with dotted keys?"""
        if len(holding) > 1 or self._header(way) is not None:
            return True
        if not holding:
            return False
        held = _item(self._statements[holding[0]], way)
        return isinstance(held, Mapping) and not isinstance(held, InlineTable)

    def _put_each(self, way: Way, value: object) -> None:
        if not isinstance(value, Mapping):
            raise ValueError("a table cannot become something else")
        for name in [name for name in _at(_table(self.text), way) if name not in value]:
            self.put((*way, name), UNSET)
        for name, item in value.items():
            self.put((*way, name), item)

    def _replace(self, index: int, way: Way, value: object | Unset) -> None:
        """Write a statement again with another value, or comment it out."""
        statement = self._statements[index]
        rest = way[len(statement.table) :]
        alone = only(statement.says) == rest
        if value is UNSET and alone:
            text = self._left_out(statement, way)
        else:
            document = tomlkit.parse(statement.text)
            holder: Any = document
            for part in rest[:-1]:
                holder = holder[part]
            if not isinstance(holder, Mapping):
                raise ValueError("it is no table")
            _assign(holder, rest[-1], value)
            text = tomlkit.dumps(document)
        self._statements[index : index + 1] = self._said(text, statement.table)

    def _left_out(self, statement: Statement, way: Way) -> str:
        """The statement as a comment that tells the default; nothing where there is none."""
        section = section_at(self._model, way[:-1])
        field = section.model_fields.get(way[-1]) if section else None
        if field is None:
            return ""
        lines = LINES.findall(statement.text)
        if len(lines) > 1 or way[:-1] != statement.table:
            return "".join(f"#{line}" for line in lines)
        item: Any = tomlkit.parse(statement.text).item(way[-1])
        comment = item.trivia.comment
        return commented(way[-1], field) + (f"  {comment}" if comment else "") + self._end

    def _add(self, way: Way, value: object) -> None:
        """Say what was not said."""
        table, name = way[:-1], way[-1]
        if table and self._header(table) is None:
            self._add_to_table(way, value)
            return
        mine = [i for i, each in enumerate(self._statements) if each.table == table]
        line = f"{key(name)} = {literal(value)}{self._end}"
        for index in mine:
            if self._statements[index].comments_out(name):
                shown = self._uncommented(self._statements[index].text, name, value)
                self._insert(index if shown else index + 1, shown or line, table, bool(shown))
                return
        self._insert(self._behind(mine, way), line, table)

    def _uncommented(self, line: str, name: str, value: object) -> str:
        """The line without its #, with the value; empty where that is no TOML."""
        if re.search(r"=\s*$", line):
            return f"{key(name)} = {literal(value)}{self._end}"
        try:
            document = tomlkit.parse(re.sub(r"^([ \t]*)#[ \t]?", r"\1", line))
        except tomlkit.exceptions.TOMLKitError:
            return ""
        if list(document) != [name]:
            return ""
        document[name] = tomlkit.value(literal(value))
        return tomlkit.dumps(document)

    def _behind(self, mine: Sequence[int], way: Way) -> int:
        """Where a new value of a table goes: behind the keys that the model names before it."""
        section = section_at(self._model, way[:-1])
        names = list(section.model_fields) if section else []
        before = names[: names.index(way[-1])] if way[-1] in names else names
        found = -1
        for index in mine:
            each = self._statements[index]
            named = any(each.holds((*way[:-1], name)) or each.comments_out(name) for name in before)
            if named or (each.header and found < 0):
                found = index
        if found < 0:  # a file without a key before its first header
            return next((i for i in mine if self._statements[i].says), self._leading(mine))
        return found + 1

    def _leading(self, mine: Sequence[int]) -> int:
        """Behind the comment that opens a file."""
        for index in mine:
            if not self._statements[index].text.startswith("#"):
                return index
        return len(mine)

    def _add_to_table(self, way: Way, value: object) -> None:
        """Say a value of a table that has no header: in what says the table, or under a new one."""
        table = way[:-1]
        for index, statement in enumerate(self._statements):
            if statement.holds(table):
                self._replace(index, way, value)
                return
        line = f"{key(way[-1])} = {literal(value)}{self._end}"
        header = f"[{'.'.join(map(key, table))}]{self._end}{line}"
        empty = self._end if self._statements else ""
        self._insert(len(self._statements), empty + header, ())

    def _insert(self, index: int, text: str, table: Way, replaces: bool = False) -> None:
        if index and not self._statements[index - 1].text.endswith("\n"):
            last = self._statements[index - 1]
            self._statements[index - 1] = replace(last, text=last.text + self._end)
        self._statements[index : index + replaces] = self._said(text, table)

    def _said(self, text: str, table: Way) -> list[Statement]:
        return list(statements(text, table))

    def _header(self, way: Way) -> int | None:
        found = (i for i, each in enumerate(self._statements) if each.header and each.table == way)
        return next(found, None)


def _assign(holder: Any, name: str, value: object | Unset) -> None:
    """Put a value into what tomlkit read; a list over several lines keeps its comments."""
    if value is UNSET:
        del holder[name]
        return
    old = holder.get(name)
    if isinstance(old, Array) and isinstance(value, list | tuple) and "\n" in old.as_string():
        kept = [item for item in old.unwrap() if item in value]
        if list(value)[: len(kept)] == kept and len(set(map(str, kept))) == len(kept):
            for item in [item for item in old.unwrap() if item not in value]:
                old.remove(item)
            old.extend(list(value)[len(kept) :])
            return
    holder[name] = tomlkit.value(literal(value))


def _item(statement: Statement, way: Way) -> Any:
    """A value as tomlkit has it."""
    held: Any = tomlkit.parse(statement.text)
    for part in way[len(statement.table) :]:
        held = held[part]
    return held


def _table(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def _at(table: Mapping[str, Any], way: Way) -> Mapping[str, Any]:
    held: Any = table
    for part in way:
        held = held.get(part, {})
    return held if isinstance(held, Mapping) else {}


def _put(table: dict[str, Any], way: Way, value: object | Unset) -> None:
    for part in way[:-1]:
        table = table.setdefault(part, {})
    if value is UNSET:
        table.pop(way[-1], None)
    else:
        table[way[-1]] = tomllib.loads(f"value = {literal(value)}")["value"]


def _pruned(value: object) -> object:
    """Without tables that hold nothing, which say as much as none."""
    if isinstance(value, Mapping):
        parts = {name: _pruned(item) for name, item in value.items()}
        return {name: item for name, item in parts.items() if item != {}}
    return value

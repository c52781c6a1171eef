"""What the fields of a form show of a file, and what was changed where somebody filled them in.

What a field shows follows from the text alone, and one that still shows the same changes nothing
there, whatever stands there. An empty one leaves the value to its default.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dicomnode.config.edit import UNSET, Unset
from dicomnode.config.fields import Section
from dicomnode.config.forms import Field, Input, Known, groups
from dicomnode.config.statements import Way, literal

__all__ = ["Rows", "Shown", "changes", "default_of", "filled", "sent", "shown"]

Rows = tuple[tuple[str, tuple[str, ...]], ...]
#: A text or number, a tick, texts, or texts by name.
Shown = str | bool | tuple[str, ...] | Rows


def shown(one: Field, table: Mapping[str, Any]) -> Shown:
    """What a field shows of what a file says."""
    held: object = table
    for part in one.way:
        held = held.get(part, UNSET) if isinstance(held, Mapping) else UNSET
    said = held is not UNSET
    match one.input:
        case Input.TICK:
            return held if isinstance(held, bool) else one.default is True
        case Input.TICKS:
            return _in_order(one, _texts(held if said else one.default))
        case Input.LIST:
            return _texts(held) if said else ()
        case Input.ROWS:
            rows = held.items() if isinstance(held, Mapping) else ()
            return tuple(sorted((_line(name), _texts(item)) for name, item in rows))
        case Input.LITERAL:
            return _line(literal(held)) if said else ""
    return _text(held) if said else ""


def default_of(one: Field) -> str:
    """What an empty field means, in words; empty where there is nothing to say."""
    value = one.default
    if value is None or value in ("", (), {}) or one.input is Input.TICK:
        return ""
    return ", ".join(_texts(value)) if isinstance(value, list | tuple) else _text(value)


def filled(one: Field, form: Mapping[str, Sequence[str]]) -> Shown:
    """What somebody filled in; a form sends for each name the texts of its inputs."""
    given = form.get(one.name, ())
    match one.input:
        case Input.TICK:
            return any(given)
        case Input.TICKS:
            return _in_order(one, _texts(given))
        case Input.LIST:
            return _texts(_lines(given))
        case Input.ROWS:
            texts = (_texts(_lines([text])) for text in form.get(f"{one.name}=", ()))
            rows = zip(map(_line, given), texts, strict=False)
            return tuple(sorted({name: items for name, items in rows if name}.items()))
    return _line(given[0]) if given else ""


def sent(one: Field, shown: Shown) -> dict[str, list[str]]:
    """What a form sends of a field that shows this: `filled` the other way round."""
    match one.input:
        case Input.TICK:
            return {one.name: ["yes"] if shown else []}
        case Input.ROWS:
            rows = dict(shown)  # type: ignore[arg-type]  # rows are pairs
            return {one.name: [*rows], f"{one.name}=": ["\n".join(each) for each in rows.values()]}
    return {one.name: [*map(str, shown)] if isinstance(shown, tuple) else [str(shown)]}


def changes(
    model: type[Section], known: Known, table: Mapping[str, Any], form: Mapping[str, Sequence[str]]
) -> dict[Way, object | Unset]:
    """The values that were changed in a form that showed `table`, as TOML has them."""
    found: dict[Way, object | Unset] = {}
    for group in groups(model, known):
        for one in group.fields:
            before, after = shown(one, table), filled(one, form)
            if before != after:
                found[one.way] = _value(one, after)
    return found


def _value(one: Field, after: Shown) -> object | Unset:
    """What is filled in, as TOML has it."""
    if one.input is Input.ROWS:
        return dict(after) or UNSET  # type: ignore[arg-type]  # rows are pairs
    if isinstance(after, bool):
        return after
    if not after:
        return [] if one.input is Input.TICKS and one.default != () else UNSET
    if one.input is Input.LITERAL:
        return _meant(str(after))
    return _number(one, str(after)) if one.input is Input.NUMBER else after


def _meant(text: str) -> object:
    """The value of a piece of TOML; the text where it is none, so that the checks can say so."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _number(one: Field, text: str) -> object:
    """The number; the text where it is none, so that the checks can say so."""
    try:
        return int(text) if one.whole else float(text)
    except ValueError:
        return text


def _in_order(one: Field, texts: Iterable[str]) -> tuple[str, ...]:
    """Those that can be ticked in their order, then others that stand there."""
    given = dict.fromkeys(texts)
    offered = [choice for choice in one.choices if choice in given]
    return (*offered, *(text for text in given if text not in offered))


def _lines(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in text.split("\n")]


def _texts(value: object) -> tuple[str, ...]:
    many = value if isinstance(value, list | tuple) else [value]
    lines = (line for each in many for line in _text(each, whole=True).split("\n"))
    return tuple(text for line in lines if (text := _line(line)))


def _text(value: object, *, whole: bool = False) -> str:
    """A value as a person would write it."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if whole else _line(text)


def _line(text: str) -> str:
    """As an input of one line has it."""
    return text.replace("\r", "").replace("\n", "").strip()

"""A form shows a file, and a file says what a form says: there and back again."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.config.edit import set_values
from dicomnode.config.fields import Section
from dicomnode.config.filled import Shown, changes, default_of, filled, shown
from dicomnode.config.forms import Field, Input, Known, groups
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.config.template import new_file

KNOWN = Known(peers=("pacs", "archive"), senders=("XRAY1", "CT 2"), models=("demonstration", "m"))
MODELS: tuple[type[Section], ...] = (NodeSettings, PeerSettings, PipelineSettings)
FILE = Path("file.toml")

PIPELINE = """\
# Ours, by hand.
model = 'm'   # the new one
destinations = [
    "pacs",   # room 1
    "gone",   # moved out
]

#results = ["sr"]

[match]   # what comes in
# only these
modality = [ "DX", 'CR' ]
attributes.StationName = ["ROOM1"]   # upstairs
nonsense = 3

[complete]
quiet_s = 1_0.0
limit_s = "never"
"""
BASES = [(model, new_file(model)) for model in MODELS] + [
    (PeerSettings, ""),
    (PeerSettings, 'host = "a"\r\n# the port\r\nport = 104\r\n'),
    (PipelineSettings, ""),
    (PipelineSettings, PIPELINE),
]


def fields(model: type[Section]) -> list[Field]:
    return [one for group in groups(model, KNOWN) for one in group.fields]


def sent(form: Mapping[str, Shown], model: type[Section]) -> dict[str, Sequence[str]]:
    """What a browser sends of a form that shows these."""
    found: dict[str, Sequence[str]] = {}
    for one in fields(model):
        value = form[one.name]
        match one.input:
            case Input.TICK:
                found[one.name] = ["on"] if value else []
            case Input.ROWS:
                rows = dict(value)  # type: ignore[arg-type]  # rows are pairs
                found[one.name] = [*rows, ""]
                found[f"{one.name}="] = ["\r\n".join(texts) for texts in rows.values()] + [""]
            case Input.TICKS:
                assert isinstance(value, tuple)
                found[one.name] = [str(each) for each in value]
            case Input.LIST:
                assert isinstance(value, tuple)
                found[one.name] = ["\r\n".join(map(str, value))]
            case _:
                found[one.name] = [str(value)]
    return found


def show(model: type[Section], text: str) -> dict[str, Shown]:
    table = tomllib.loads(text.removeprefix("\ufeff"))
    return {one.name: shown(one, table) for one in fields(model)}


LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\ufeff"), max_size=12).map(
    str.strip
)
SOME = LINE.filter(bool)


def answers(one: Field) -> st.SearchStrategy[Shown]:
    match one.input:
        case Input.TICK:
            return st.booleans()
        case Input.NUMBER if one.whole:
            return st.one_of(st.just(""), st.integers().map(str), st.just("many"))
        case Input.NUMBER:
            return st.one_of(st.just(""), st.floats(allow_nan=False, allow_infinity=False).map(str))
        case Input.CHOICE:
            return st.sampled_from(("", *one.choices))
        case Input.TICKS:
            ticked = st.sets(st.sampled_from(one.choices))
            return ticked.map(lambda names: tuple(each for each in one.choices if each in names))
        case Input.LIST:
            return st.lists(SOME, max_size=3).map(tuple)
        case Input.ROWS:
            texts = st.lists(SOME, max_size=2).map(tuple)
            return st.dictionaries(SOME, texts, max_size=3).map(
                lambda rows: tuple(sorted(rows.items()))
            )
    return LINE


@st.composite
def edits(draw: st.DrawFn) -> tuple[type[Section], str, list[dict[str, Shown]]]:
    model, text = draw(st.sampled_from(BASES))
    some = st.lists(st.sampled_from(fields(model)), max_size=4, unique_by=lambda one: one.name)
    rounds = draw(st.lists(some, min_size=1, max_size=3))
    return model, text, [{one.name: draw(answers(one)) for one in each} for each in rounds]


def comments(text: str) -> list[str]:
    """What a person wrote: not keys that are commented out."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if re.match(r"#(?! ?[a-z_]+ *=)", line)]


@settings(max_examples=100, deadline=None)
@given(edits())
def test_form_to_toml_to_form_is_the_same_and_keeps_every_comment(
    edit: tuple[type[Section], str, list[dict[str, Shown]]],
) -> None:
    model, text, rounds = edit
    first = text
    for wanted in rounds:
        form = show(model, text) | wanted
        changed = changes(model, KNOWN, tomllib.loads(text), sent(form, model))
        assert {".".join(way) for way in changed} <= set(wanted)
        after = set_values(FILE, text, model, changed)
        assert show(model, after) == form
        kept(text, after, {way[-1] for way in changed})
        text = after
    assert comments(text) == comments(first)


def kept(before: str, after: str, names: set[str]) -> None:
    """Every line stays, in its order, but for those of keys that were changed."""
    lines = iter(after.split("\n"))
    for line in before.split("\n"):
        if not any(name in line for name in names) and line.strip(" \r"):
            in_array = names & {"destinations"} and line.startswith(("    ", "]"))
            assert in_array or any(line.strip() == each.strip() for each in lines), line


@pytest.mark.parametrize(("model", "text"), BASES)
def test_a_form_that_is_sent_as_it_came_changes_nothing(model: type[Section], text: str) -> None:
    table = tomllib.loads(text)
    assert changes(model, KNOWN, table, sent(show(model, text), model)) == {}


@pytest.mark.parametrize("model", MODELS)
def test_what_is_strange_is_shown_and_stays_untouched(model: type[Section]) -> None:
    odd: list[Any] = [3, -1.5, True, "a\nb ", [], ["x", 1, [2]], {"a": {"b": [1]}}, {"a": 1}]
    for one in fields(model):
        for value in odd:
            table: dict[str, Any] = {}
            inner = table
            for part in one.way[:-1]:
                inner = inner.setdefault(part, {})
            inner[one.way[-1]] = value
            form = {each.name: shown(each, table) for each in fields(model)}
            assert changes(model, KNOWN, table, sent(form, model)) == {}, (one.name, value)


def test_every_setting_has_a_field_with_words_and_what_it_is_by_itself() -> None:
    by_name = {one.name: one for model in MODELS for one in fields(model)}
    assert by_name["receive.port"].input is Input.NUMBER
    assert (by_name["receive.port"].least, by_name["receive.port"].most) == (0, 65535)
    assert by_name["port"].least == 1
    assert by_name["receive.conflict"].choices == ("refuse", "keep")
    assert by_name["results"].input is Input.TICKS
    assert default_of(by_name["results"]) == "sr, sc"
    assert by_name["destinations"].choices == KNOWN.peers
    assert by_name["destinations"].required
    assert by_name["match.calling_ae"].choices == KNOWN.senders
    assert by_name["model"].choices == KNOWN.models
    assert "CTImageStorage" in by_name["match.sop_class"].suggested
    assert by_name["results_for"].input is Input.ROWS
    assert by_name["receive.tls_key"].input is Input.TEXT
    assert by_name["timeout_s"].label == "Timeout, in seconds"
    assert by_name["ae_title"].label == "AE title"
    assert all(one.help for one in by_name.values())


def test_rows_without_a_name_are_left_out() -> None:
    rows = next(one for one in fields(PipelineSettings) if one.input is Input.ROWS)
    form = {rows.name: ["pacs", "", "b"], f"{rows.name}=": ["sr\r\nsc\r\n", "x", " "]}
    assert filled(rows, form) == (("b", ()), ("pacs", ("sr", "sc")))

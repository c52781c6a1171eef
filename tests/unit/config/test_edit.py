"""A value is changed in its place, and every other byte of the file stays."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from dicomnode.config.edit import UNSET, Unset, set_values
from dicomnode.config.fields import Section
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.config.statements import Way, literal
from dicomnode.config.template import new_file, write_commented
from dicomnode.errors import ConfigError

FILE = Path("file.toml")


def changed(
    text: str, model: type[Section], values: Mapping[Way, object | Unset]
) -> list[tuple[str, str]]:
    """The lines that differ, before and after, where none came or went."""
    before = text.splitlines()
    after = set_values(FILE, text, model, values).splitlines()
    assert len(before) == len(after)
    return [(old, new) for old, new in zip(before, after, strict=True) if old != new]


@pytest.fixture
def node(tmp_path: Path) -> str:
    write_commented(tmp_path)
    return (tmp_path / "node.toml").read_text()


def test_only_the_line_of_a_changed_value_changes(node: str) -> None:
    assert changed(node, NodeSettings, {("receive", "port"): 104}) == [
        ("port = 11112", "port = 104")
    ]


def test_what_is_commented_out_is_set_in_its_place(node: str) -> None:
    assert changed(node, NodeSettings, {("log", "level"): "DEBUG"}) == [
        ('#level = "INFO"', 'level = "DEBUG"')
    ]
    assert changed(node, NodeSettings, {("deliver", "first_retry_s"): 1.5}) == [
        ("#first_retry_s = 5.0", "first_retry_s = 1.5")
    ]


def test_what_is_unset_becomes_its_comment_again(node: str) -> None:
    way = ("worklist", "url")
    once = set_values(FILE, node, NodeSettings, {way: "postgresql://d@db/d"})
    assert set_values(FILE, once, NodeSettings, {way: UNSET}) == node


def test_a_new_file_is_filled_in() -> None:
    values: dict[Way, object] = {("ae_title",): "PACS", ("host",): "pacs.example", ("port",): 104}
    text = set_values(FILE, new_file(PeerSettings), PeerSettings, values)
    assert tomllib.loads(text) == {"ae_title": "PACS", "host": "pacs.example", "port": 104}
    assert len(text.splitlines()) == len(new_file(PeerSettings).splitlines())


def test_line_ends_byte_order_mark_and_comments_stay() -> None:
    text = '\ufeffport = 1  # ours\r\n\r\n# of the host\r\nhost="a"\r\nae_title = "X"'
    new = set_values(FILE, text, PeerSettings, {("port",): 2, ("may_send",): True})
    assert new == text.replace("port = 1", "port = 2") + "\r\nmay_send = true\r\n"


def test_a_comment_behind_a_value_stays_when_the_value_goes() -> None:
    new = set_values(FILE, "timeout_s = 5  # slow line\n", PeerSettings, {("timeout_s",): UNSET})
    assert new == "#timeout_s = 30.0  # slow line\n"


@pytest.mark.parametrize("value", ["true", "3", "'x'", "2026-01-02", "[1]", "{ a = 1 }"])
def test_whatever_a_value_is_it_can_be_left_out(value: str) -> None:
    new = set_values(FILE, f"may_send = {value}  # so\n", PeerSettings, {("may_send",): UNSET})
    assert new in ("#may_send = false  # so\n", "")


def test_a_list_over_several_lines_keeps_the_comments_of_what_stays() -> None:
    text = '[match]\nmodality = [\n  "DX",  # room 1\n  "CR",  # room 2\n  "RF",  # room 3\n]\n'
    way = ("match", "modality")
    new = set_values(FILE, text, PipelineSettings, {way: ["DX", "RF", "MG"]})
    assert tomllib.loads(new)["match"]["modality"] == ["DX", "RF", "MG"]
    assert "# room 1" in new
    assert "# room 3" in new
    assert "# room 2" not in new


TABLES = {
    "a header": '[match]\nattributes = { StationName = ["A"] }\n[complete]\nquiet_s = 1\n',
    "a header of its own": '[match.attributes]\nStationName = ["A"]  # ours\n[complete]\n',
    "dotted keys": 'match.attributes.StationName = ["A"]  # ours\nenabled = true\n',
    "one inline table": 'match = { attributes = { StationName = ["A"] } }\n',
    "a dotted key in a table": '[match]\nattributes.StationName = ["A"]\n',
    "nothing": "enabled = false\n",
    "no line": "",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_tables_are_changed_however_they_are_written(text: str) -> None:
    way = ("match", "attributes")
    for value in ({"StationName": ["A"], "KVP": ["1"]}, {"KVP": ["2"]}, {"a b": ["c"]}):
        new = set_values(FILE, text, PipelineSettings, {way: value})
        assert tomllib.loads(new)["match"]["attributes"] == value
        gone = tomllib.loads(set_values(FILE, new, PipelineSettings, {way: UNSET}))
        assert not gone.get("match", {}).get("attributes")


def test_a_value_goes_where_the_model_has_it() -> None:
    text = "# A peer.\n\nhost = 'h'\ntimeout_s = 3.0\n"
    new = set_values(FILE, text, PeerSettings, {("port",): 104, ("ae_title",): "X"})
    assert (
        new
        == "# A peer.\n\nae_title = \"X\"\nhost = 'h'\nport = 104\ntimeout_s = 3.0\n".replace(
            'ae_title = "X"\nhost', 'ae_title = "X"\nhost'
        )
    )


def test_a_table_that_is_not_there_comes_at_the_end(node: str) -> None:
    short = node[: node.index("[log]")]
    new = set_values(FILE, short, NodeSettings, {("log", "level"): "ERROR"})
    assert new == short + '\n[log]\nlevel = "ERROR"\n'


def test_texts_are_quoted_as_toml_wants_it() -> None:
    text = 'a"\\\n\x00\x7f\x1b é 😀'
    assert tomllib.loads(f"a = {literal(text)}")["a"] == text
    assert literal({"a b": [1, 2.0, True], "c": {}}) == '{ "a b" = [1, 2.0, true], c = {} }'


@pytest.mark.parametrize("value", [None, [None], "\ud800", {"a": None}])
def test_what_toml_has_no_value_for_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="no value for"):
        set_values(FILE, "", PeerSettings, {("host",): value})


def test_what_only_a_hand_can_change_is_refused_and_nothing_is_lost() -> None:
    with pytest.raises(ConfigError, match="no form can change"):
        set_values(FILE, "match = 5\n", PipelineSettings, {("match", "modality"): ["DX"]})

"""What the documents promise is there: commands, states, targets, version."""

import re
import tomllib
from pathlib import Path

import pytest

from dicomnode import __version__
from dicomnode.config.pipelines import PROFILES, Profile
from dicomnode.records import ResultKind, State
from tests.cli import call

ROOT = Path(__file__).parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def commands() -> list[str]:
    """The commands that `dicomnode --help` shows."""
    table = call("--help").stdout.partition("Commands")[2]
    return re.findall(r"^│ ([a-z]+) ", table, re.MULTILINE)


def test_help_shows_the_commands() -> None:
    assert {"init", "check", "serve", "worklist"} < set(commands())


@pytest.mark.parametrize("command", commands())
def test_the_readme_names_every_command(command: str) -> None:
    assert f"dicomnode {command}" in read("README.md")


@pytest.mark.parametrize("state", list(State))
def test_the_readme_names_every_state(state: State) -> None:
    assert f"| `{state}` |" in read("README.md")


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_readme_begins_with_targets_that_exist(target: str) -> None:
    assert f"make {target}" in read("README.md")
    assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE)


@pytest.mark.parametrize("target", re.findall(r"make ([a-z]+)", read("CONTRIBUTING.md")))
def test_contributing_names_targets_that_exist(target: str) -> None:
    assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "DECISIONS.md"])
def test_a_command_that_a_document_shows_exists(document: str) -> None:
    shown = set(re.findall(r"^(?:\$ )?dicomnode ([a-z]+)", read(document), re.MULTILINE))
    shown |= set(re.findall(r"`dicomnode ([a-z]+)", read(document)))

    assert shown <= set(commands())


def test_the_changelog_names_the_version() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]

    assert project["version"] == __version__
    assert re.search(rf"^## {re.escape(__version__)}\b", read("CHANGELOG.md"), re.MULTILINE)


def test_every_file_that_a_document_links_to_is_there() -> None:
    for document in ("README.md", "CONTRIBUTING.md", "DECISIONS.md"):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", read(document))
        assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_says_what_each_profile_holds() -> None:
    head, *rows = re.findall(r"^\| (?:kind|`[a-z0-9]+`) \|.*$", _results_table(), re.MULTILINE)
    profiles = [Profile(name) for name in re.findall(r"`([a-z]+)`", head)]
    told: dict[Profile, set[ResultKind]] = {profile: set() for profile in profiles}
    for row in rows:
        kind, _, *marks = (cell.strip() for cell in row.strip("|").split("|"))
        for profile, mark in zip(profiles, marks, strict=True):
            if mark:
                told[profile].add(ResultKind(kind.strip("`")))

    assert told == PROFILES
    assert len(rows) == len(ResultKind)


def _results_table() -> str:
    return read("README.md").partition("## What comes back")[2].partition("\n## ")[0]

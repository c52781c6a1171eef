"""What `dicomnode init` writes says everything, and loads."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dicomnode.config.fields import Section
from dicomnode.config.load import load
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.config.template import write_commented
from dicomnode.errors import ConfigError

MODELS: dict[str, type[Section]] = {
    "node.toml": NodeSettings,
    "peers/pacs.toml": PeerSettings,
    "pipelines/chest.toml": PipelineSettings,
}


def keys(model: type[Section], way: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            found |= keys(inner, f"{way}{name}.")
        else:
            found.add(way + name)
    return found


def flat(table: dict[str, Any], model: type[Section], way: str = "") -> set[str]:
    found = set()
    for name, value in table.items():
        inner = model.model_fields[name].annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            found |= flat(value, inner, f"{way}{name}.")
        else:
            found.add(way + name)
    return found


def test_what_is_written_loads(tmp_path: Path) -> None:
    write_commented(tmp_path)

    settings = load(tmp_path)

    assert list(settings.peers) == ["pacs"]
    assert settings.pipelines["chest"].match.modality == ("DX", "CR")


def test_only_what_must_be_decided_is_set(tmp_path: Path) -> None:
    """A default that changes with a new version then reaches those who never touched it."""
    write_commented(tmp_path)

    assert load(tmp_path).node == NodeSettings()


@pytest.mark.parametrize("name", MODELS)
def test_every_setting_is_shown_and_what_is_shown_is_right(tmp_path: Path, name: str) -> None:
    write_commented(tmp_path)

    text = re.sub(r"^#(?=\w)", "", (tmp_path / name).read_text(), flags=re.MULTILINE)
    table = tomllib.loads(text)

    assert flat(table, MODELS[name]) == keys(MODELS[name])
    MODELS[name].model_validate(table)


@pytest.mark.parametrize("name", MODELS)
def test_every_setting_has_words(tmp_path: Path, name: str) -> None:
    write_commented(tmp_path)

    lines = (tmp_path / name).read_text().splitlines()

    for before, line in pairwise(lines):
        if " = " in line and not line.startswith("# "):
            assert before.startswith("# "), line
    assert all(len(line) <= 100 for line in lines)


def test_the_storage_folder_can_be_another(tmp_path: Path) -> None:
    write_commented(tmp_path, storage_folder=tmp_path / "data")

    assert load(tmp_path).node.storage.folder == tmp_path / "data"


def test_no_file_is_written_over_another(tmp_path: Path) -> None:
    mine = tmp_path / "peers" / "pacs.toml"
    mine.parent.mkdir()
    mine.write_text("mine")

    with pytest.raises(ConfigError) as caught:
        write_commented(tmp_path)

    assert str(caught.value) == f"{mine}\n    exists already; nothing was written"
    assert mine.read_text() == "mine"
    assert not (tmp_path / "node.toml").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"node\.toml\n    cannot be written: "):
        write_commented(tmp_path / "file" / "ae_config")

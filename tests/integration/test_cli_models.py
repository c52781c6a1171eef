"""What an operator sees of the models."""

from pathlib import Path

import pytest

from tests.cli import call, configure, told
from tests.tiny_model import make_model


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node with a model of its own beside the one that ships."""
    make_model(tmp_path / "models" / "tiny")
    return configure(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "models"}"]\n')


def test_lists_the_shipped_models_without_a_configuration(tmp_path: Path) -> None:
    result = call("models", "list", "--config", tmp_path)

    assert result.exit_code == 0
    assert "demonstration" in result.stdout


def test_lists_the_models_of_the_configuration(config: Path) -> None:
    cards = told(call("models", "list", "--json", "--config", config))

    assert set(cards) == {"demonstration", "tiny"}
    assert cards["tiny"]["intended_use"] == "Tests only"


@pytest.mark.parametrize("columns", [80, 120])
def test_shows_a_card_within_the_screen(columns: int, config: Path) -> None:
    result = call("models", "show", "demonstration", "--config", config, columns=columns)

    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert "Demonstration, not for clinical use" in lines
    place = lines.index("folder") + 1  # a path is not broken
    assert max(len(line) for line in lines[:place] + lines[place + 1 :]) <= columns
    assert any(line.startswith("measured on") for line in lines)


def test_shows_what_was_never_measured(config: Path) -> None:
    result = call("models", "show", "tiny", "--config", config)

    assert "The card has no measurements." in result.stdout
    assert told(call("models", "show", "tiny", "--json", "-c", config))["evaluation"] is None


def test_a_model_that_does_not_exist_is_named_with_those_that_do(config: Path) -> None:
    result = call("models", "show", "tyni", "--config", config)

    assert result.exit_code == 1
    assert "there is no model tyni; here are: demonstration, tiny" in result.stderr


def test_a_model_folder_without_sense_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "tiny" / "model.toml").write_text("name = ")

    result = call("models", "list", "--config", config)

    assert result.exit_code == 1
    assert "tiny" in result.stderr

"""Where a node has not run yet, or its database is away, commands say so and make nothing."""

from pathlib import Path

import pytest

from tests.cli import call, configure
from tests.postgres import Postgres


@pytest.mark.parametrize("command", ["list", "show 1", "retry 1", "cancel 1"])
@pytest.mark.parametrize("folder", ["no folder", "empty folder"])
def test_says_that_the_node_has_not_run_yet_and_makes_nothing(
    folder: str, command: str, tmp_path: Path
) -> None:
    config = configure(tmp_path)
    if folder == "empty folder":
        (tmp_path / "node").mkdir()
    before = sorted(tmp_path.rglob("*"))

    result = call("worklist", *command.split(), "--config", config)

    assert result.exit_code == 1
    assert "the node has not run yet" in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_says_that_the_node_has_not_run_yet_on_an_empty_postgres(
    tmp_path: Path, postgres: Postgres
) -> None:
    name = postgres.empty()
    config = configure(tmp_path, node=f'[worklist]\nurl = "{postgres.url(name)}"\n')

    result = call("worklist", "list", "--config", config)

    assert result.exit_code == 1
    assert "the node has not run yet" in result.stderr
    postgres.drop(name)


def test_says_that_the_database_does_not_answer(tmp_path: Path) -> None:
    url = f"postgresql://dicomnode@/dicomnode?host={tmp_path}"
    config = configure(tmp_path, node=f'[worklist]\nurl = "{url}"\n')

    result = call("worklist", "list", "--config", config)

    assert result.exit_code == 1
    assert "does not answer" in result.stderr

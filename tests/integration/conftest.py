"""What many tests of whole nodes and commands begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.config.load import load
from dicomnode.storage.database import Database
from tests.cli import configure
from tests.node import worklist_of
from tests.pacs import FakePacs, pacs


@pytest.fixture
def archive() -> Iterator[FakePacs]:
    """A PACS that takes everything."""
    with pacs() as archive:
        yield archive


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The folder of a node's configuration; the node has not run."""
    return configure(tmp_path)


@pytest.fixture
def worklist(config: Path) -> Iterator[Database]:
    """The worklist of the node of `config`, which has run."""
    with worklist_of(load(config)) as worklist:
        yield worklist

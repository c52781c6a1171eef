"""Images that come a second time are kept for the whole time from then on; nothing else changes."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.config.settings import NodeSettings
from dicomnode.node.timers import Timers
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from tests.factories import STUDY_UID, uid
from tests.node import (
    all_jobs,
    in_force,
    inbox,
    make_pipeline,
    make_registrar,
    make_store,
    receive,
    study_history,
)

DAY = timedelta(days=1)
NAME = uid("instance", 1)


class Node:
    """A store, a worklist, and what fills and empties them; keeps for 30 days."""

    def __init__(self, folder: Path, database: Database, modality: str) -> None:
        self.folder = folder
        self.store: ObjectStore = make_store(folder)
        self.database = database
        pipeline = make_pipeline(match={"modality": (modality,)})
        self.registrar = make_registrar(self.store, database, one=pipeline)
        settings = NodeSettings.model_validate({"storage": {"keep_days": 30}})
        self.timers = Timers(in_force(node=settings), database, self.store, lambda _: "")

    def received(self, *, ago: timedelta) -> None:
        """Keep the image, as if so long ago."""
        receive(self.store)
        at = (datetime.now(UTC) - ago).timestamp()
        os.utime(self.folder / "inbox" / f"{NAME}.dcm", (at, at))


@pytest.fixture
def node(tmp_path: Path, database_url: str) -> Iterator[Node]:
    """A node that has no use for the image, so no job of its own holds its study."""
    database = Database(database_url)
    yield Node(tmp_path / "node", database, "DX")
    database.close()


def test_a_study_that_came_again_is_kept_for_the_whole_time_once_more(node: Node) -> None:
    node.received(ago=31 * DAY)
    node.registrar.enter_batch()
    image = node.store.path_of(STUDY_UID, NAME)

    node.received(ago=29 * DAY)
    assert node.registrar.enter_batch() == 1
    node.timers.remove_old()
    assert image.is_file()

    node.received(ago=31 * DAY)
    node.registrar.enter_batch()
    node.timers.remove_old()
    assert not image.exists()


def test_what_comes_again_at_the_moment_of_its_removal_is_kept(node: Node) -> None:
    node.received(ago=31 * DAY)
    node.registrar.enter_batch()

    receive(node.store)
    node.timers.remove_old()
    assert study_history(node.database)[-1].event == "removed"
    node.registrar.enter_batch()
    node.timers.remove_old()

    assert node.store.path_of(STUDY_UID, NAME).is_file()
    assert inbox(node.folder) == []


def test_the_same_object_twice_makes_no_job_and_no_history(
    tmp_path: Path, database: Database
) -> None:
    node = Node(tmp_path / "node", database, "CT")
    receive(node.store)
    node.registrar.enter_batch()
    before = all_jobs(database), study_history(database)

    receive(node.store)
    assert node.registrar.enter_batch() == 1

    assert (all_jobs(database), study_history(database)) == before
    assert inbox(node.folder) == []

"""What a node says of itself in the worklist."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from dicomnode import __version__
from dicomnode.config.current import Current
from dicomnode.config.load import load
from dicomnode.logbook import configurations, standing
from dicomnode.node.heartbeat import Heartbeat
from dicomnode.node.machine import Load, Machine
from dicomnode.node.takeover import Takeover
from dicomnode.storage.database import Database
from tests.cli import configure
from tests.fakes import LeavingDatabase
from tests.running import until
from tests.worklist import NOW, after

LOAD = Load(cpu=0.5, gpu=None, memory_bytes=10**9, disk_free_bytes=10**12)
HOLDER = "DICOMNODE@here"


class _Machine(Machine):
    """A machine that is always the same, and whose disk may be gone."""

    gone = False

    def look(self) -> Load:
        if self.gone:
            raise OSError(5, "Input/output error")
        return LOAD


class Alive:
    """A heart and what it beats for."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.config = configure(folder)
        self.takeover = Takeover(self.config, Current(load(self.config)))
        self.machine = _Machine(folder)
        self.database = database
        self.heart = Heartbeat(database, HOLDER, lambda: 104, self.takeover, self.machine)

    def edit(self, node: str) -> None:
        (self.config / "node.toml").write_text(node)
        self.takeover.look(threading.Event())

    def node(self) -> standing.Node:
        with self.database.reading() as tx:
            (node,) = standing.nodes_known(tx)
        return node

    def samples(self) -> int:
        with self.database.reading() as tx:
            return len(standing.samples_since(tx, NOW - timedelta(days=1), HOLDER))


def test_a_node_says_that_it_lives_and_by_what(database: Database, tmp_path: Path) -> None:
    alive = Alive(database, tmp_path)
    alive.heart.beat(after(10**9))

    node = alive.node()
    assert (node.holder, node.version, node.port) == (HOLDER, __version__, 104)
    assert node.digest == load(alive.config).digest
    assert node.seen_at == after(10**9)
    assert node.mistakes == node.restart == ()


def test_mistakes_and_what_needs_a_restart_are_said_until_they_are_gone(
    database: Database, tmp_path: Path
) -> None:
    alive = Alive(database, tmp_path)
    good = (alive.config / "node.toml").read_text()
    alive.edit(good.replace("port = 0", "port = 105"))
    alive.heart.beat(NOW)
    digest = alive.node().digest
    assert alive.node().restart == ("receive.port",)

    alive.edit("port")
    alive.heart.beat(NOW)
    assert alive.node().digest == digest  # of what is in force
    (mistake,) = alive.node().mistakes
    assert mistake.startswith("node.toml")

    alive.edit(good)
    alive.heart.beat(NOW)
    assert alive.node().mistakes == alive.node().restart == ()


def test_a_configuration_that_came_into_force_is_remembered_once(
    database: Database, tmp_path: Path
) -> None:
    alive = Alive(database, tmp_path)
    good = (alive.config / "node.toml").read_text()
    for text in (good, good, "wrong", good + "[log]\n"):
        alive.edit(text)
        alive.heart.beat(NOW)

    with database.reading() as tx:
        found = configurations.listed(tx)
    assert [each.files["node.toml"] for each in found] == [good + "[log]\n", good]
    assert {(each.user, each.note) for each in found} == {("", "")}


def test_one_that_the_page_wrote_stays_the_pages(database: Database, tmp_path: Path) -> None:
    alive = Alive(database, tmp_path)
    alive.heart.beat(NOW)
    files = dict(load(alive.config).files) | {"node.toml": "[log]\n"}
    with database.transaction() as tx:
        configurations.remember(tx, files, "ada", "less talk", now=NOW)
        alive.edit("[log]\n")
    alive.heart.beat(NOW)

    with database.reading() as tx:
        newest, _ = configurations.listed(tx)
    assert (newest.user, newest.note) == ("ada", "less talk")


def test_the_machine_is_looked_at_each_minute(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alive = Alive(database, tmp_path)
    begun = alive.heart._started_at
    for second in (0, 11, 20, 60, 72):
        alive.heart.beat(begun + timedelta(seconds=second))
    assert alive.samples() == 2

    alive.machine.gone = True
    alive.heart.beat(begun + timedelta(seconds=140))
    assert alive.samples() == 2
    assert caplog.messages == ["machine.unknown"]


def test_a_database_that_is_away_is_told_later(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = LeavingDatabase(sqlite_url)
    alive, stop = Alive(database, tmp_path), threading.Event()
    database.away = True
    thread = threading.Thread(target=alive.heart.run, args=(stop,))
    thread.start()
    until(lambda: "heartbeat.waiting" in caplog.messages)
    alive.heart.look()
    until(lambda: not alive.heart._wanted.is_set())
    database.away = False
    alive.heart.look()

    def said() -> bool:
        with database.reading() as tx:
            return bool(standing.nodes_known(tx) and configurations.listed(tx))

    until(said)
    stop.set()
    alive.heart.look()
    thread.join()
    assert caplog.messages == ["heartbeat.waiting"]
    database.close()

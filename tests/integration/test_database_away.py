"""The database is slow, locked, restarted or away for long: images are taken and kept meanwhile,
and all of them are in the worklist afterwards, exactly once.
"""

import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomnode.errors import DatabaseAway
from dicomnode.receive.intake import file_header
from dicomnode.storage.database import Connection, Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist.tables import history, instances, matches
from tests.factories import encode, make_dataset, make_request
from tests.fakes import LeavingDatabase
from tests.node import all_jobs, inbox, make_registrar, make_store, receive, registering
from tests.postgres import Postgres
from tests.running import until

_BACKLOG = 3000  #: objects that came while the database was away
_PLENTY_MB = 50  #: what a backlog of any length may cost in memory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "node"


@pytest.fixture
def store(folder: Path) -> ObjectStore:
    return make_store(folder)


def everything_is_there_once(database: Database, count: int) -> None:
    with database.reading() as tx:
        uids = tx.execute(sa.select(instances.c.sop_instance_uid)).scalars().all()
        matched = tx.execute(sa.select(sa.func.count()).select_from(matches)).scalar_one()
        told = tx.execute(sa.select(history.c.event)).scalars().all()
    assert len(uids) == len(set(uids)) == matched == count
    assert [job.received for job in all_jobs(database)] == [count]
    assert told == ["waiting"]


def fill(folder: Path, numbers: range) -> None:
    """Objects of one study in the inbox, as if each had been received."""
    ds = make_dataset(0, rows=1, columns=1)
    there = ds.SOPInstanceUID.encode()
    data = file_header(make_request(ds)) + encode(ds)
    for number in numbers:
        own = f"1.2.{number:0{len(there) - 4}}".encode()
        (folder / "inbox" / f"{own.decode()}.dcm").write_bytes(data.replace(there, own))


# --- locked, slow, killed -------------------------------------------------------------------


def test_sqlite_that_somebody_holds_locked_is_waited_for(
    store: ObjectStore, folder: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(f"{sqlite_url}?timeout=0.1")
    file = sqlite_url.removeprefix("sqlite:///")
    with registering(make_registrar(store, database)), closing(sqlite3.connect(file)) as somebody:
        receive(store, make_dataset(1))
        until(lambda: inbox(folder) == [])
        somebody.isolation_level = None
        somebody.execute("BEGIN EXCLUSIVE")
        receive(store, make_dataset(2), make_dataset(3))
        until(lambda: caplog.messages.count("registrar.waiting") >= 2)
        assert len(inbox(folder)) == 2
        somebody.execute("ROLLBACK")

        until(lambda: inbox(folder) == [])
    everything_is_there_once(database, 3)
    database.close()


class _SlowDatabase(Database):
    """Takes its time for each transaction."""

    transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        self.transactions += 1
        time.sleep(0.3)
        with super().transaction() as tx:
            yield tx


def test_a_slow_database_is_asked_less_often_about_more(
    store: ObjectStore, folder: Path, sqlite_url: str
) -> None:
    database = _SlowDatabase(sqlite_url)
    with registering(make_registrar(store, database)):
        for number in range(200):
            receive(store, make_dataset(number, rows=1, columns=1))

        until(lambda: inbox(folder) == [])
    assert database.transactions < 100
    everything_is_there_once(database, 200)
    database.close()


def test_postgres_that_is_killed_comes_back_to_everything(
    store: ObjectStore, folder: Path, postgres: Postgres, postgres_url: str
) -> None:
    database = Database(postgres_url)
    with registering(make_registrar(store, database)):
        for life in range(3):
            for number in range(10):
                receive(store, make_dataset(10 * life + number))
            postgres.kill()
            receive(store, make_dataset(100 + life))
            postgres.start()

        until(lambda: inbox(folder) == [])
    everything_is_there_once(database, 33)
    database.close()


# --- away for long --------------------------------------------------------------------------


class _CountingStore(ObjectStore):
    scans = 0

    def waiting(self, limit: int) -> list[Path]:
        self.scans += 1
        return super().waiting(limit)


def test_a_long_backlog_is_entered_in_time_and_memory_that_do_not_grow_with_it(
    store: ObjectStore, folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.registrar._SCAN", 1000)
    monkeypatch.setattr("dicomnode.node.registrar._BATCH", 100)
    database = LeavingDatabase(database_url)
    counting = _CountingStore(folder)
    fill(folder, range(_BACKLOG))
    registrar = make_registrar(counting, database)
    database.away = True
    for _ in range(50):
        with pytest.raises(DatabaseAway):
            registrar.enter_batch()
    assert counting.scans == 1
    assert len(inbox(folder)) == _BACKLOG

    database.away = False
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while registrar.enter_batch():
        pass

    assert inbox(folder) == []
    assert counting.scans == _BACKLOG // 1000 + 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _PLENTY_MB * 1024
    everything_is_there_once(database, _BACKLOG)
    database.close()


def test_what_comes_during_a_backlog_is_entered_after_it(
    store: ObjectStore, folder: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.registrar._SCAN", 20)
    monkeypatch.setattr("dicomnode.node.registrar._BATCH", 10)
    database = Database(sqlite_url)
    registrar = make_registrar(store, database)
    fill(folder, range(30))

    counts = [registrar.enter_batch()]
    fill(folder, range(30, 35))
    while counts[-1]:
        counts.append(registrar.enter_batch())

    assert counts == [10, 10, 10, 5, 0]
    everything_is_there_once(database, 35)
    database.close()

"""From the inbox into the worklist: in quiet times, without database or disk, after a crash."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from dicomnode.dicom.attributes import MANUFACTURER
from dicomnode.errors import DatabaseAway
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.part10 import dataset_sha256
from tests.factories import STUDY_UID, make_dataset, uid
from tests.fakes import LeavingDatabase
from tests.node import (
    all_jobs,
    inbox,
    make_pipeline,
    make_registrar,
    make_store,
    put,
    receive,
    registering,
    study_history,
)
from tests.postgres import Postgres
from tests.running import until


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return make_store(tmp_path / "node")


@pytest.fixture
def folder(store: ObjectStore, tmp_path: Path) -> Path:
    return tmp_path / "node"


@pytest.fixture
def leaving(database_url: str) -> Iterator[LeavingDatabase]:
    database = LeavingDatabase(database_url)
    yield database
    database.close()


# --- the way of an object -------------------------------------------------------------------


def test_enters_what_lies_in_the_inbox_and_moves_it_to_its_study(
    store: ObjectStore, folder: Path, database: Database
) -> None:
    receive(store, make_dataset(1), make_dataset(2))

    assert make_registrar(store, database).enter_batch() == 2

    (job,) = all_jobs(database)
    assert (job.study_uid, job.state, job.received) == (STUDY_UID, State.WAITING, 2)
    assert inbox(folder) == []
    assert store.path_of(STUDY_UID, uid("instance", 1)).is_file()
    assert store.path_of(STUDY_UID, uid("instance", 2)).is_file()


def test_wakes_up_when_it_is_told_that_something_came(
    store: ObjectStore, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.registrar._LOOK_S", 3600)
    database = Database(sqlite_url)
    registrar = make_registrar(store, database)
    with registering(registrar):
        until(lambda: registrar.horizon().year > 1)
        receive(store)
        registrar.wake()

        until(lambda: bool(all_jobs(database)))
    database.close()


def test_makes_one_job_for_each_pipeline_that_the_image_matches(
    store: ObjectStore, database: Database
) -> None:
    receive(store, make_dataset(1), calling_ae="MODALITY")
    registrar = make_registrar(
        store,
        database,
        ct=make_pipeline(match={"modality": ("CT",)}, priority=7),
        dx=make_pipeline(match={"modality": ("DX",)}),
        theirs=make_pipeline(match={"calling_ae": ("MODALITY",)}),
        others=make_pipeline(match={"calling_ae": ("OTHER",)}),
    )

    registrar.enter_batch()

    found = {job.pipeline: job.priority for job in all_jobs(database)}
    assert found == {"ct": 7, "theirs": 0}


def test_a_result_of_ours_that_comes_back_is_kept_and_matches_no_pipeline(
    store: ObjectStore, folder: Path, database: Database
) -> None:
    receive(store, make_dataset(1, Manufacturer=MANUFACTURER))

    make_registrar(store, database).enter_batch()

    assert all_jobs(database) == []
    assert store.path_of(STUDY_UID, uid("instance", 1)).is_file()


# --- conflicts ------------------------------------------------------------------------------


def test_other_bytes_under_a_uid_lie_beside_the_first_and_are_recorded(
    store: ObjectStore, folder: Path, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    registrar = make_registrar(store, database)
    receive(store, make_dataset(1))
    registrar.enter_batch()
    first = dataset_sha256(store.path_of(STUDY_UID, uid("instance", 1)))

    receive(store, make_dataset(1, PatientID="SYN-0002"))
    registrar.enter_batch()

    assert "conflict" in [event.event for event in study_history(database)]
    assert "instance.conflict" in caplog.messages
    assert dataset_sha256(store.path_of(STUDY_UID, uid("instance", 1))) == first
    assert len(list((folder / "studies" / STUDY_UID).iterdir())) == 2
    (job,) = all_jobs(database)
    assert job.received == 1


def test_a_refused_conflict_is_recorded_once_the_database_is_there(
    store: ObjectStore, leaving: LeavingDatabase
) -> None:
    receive(store)
    registrar = make_registrar(store, leaving)
    leaving.away = True
    with registering(registrar):
        registrar.note_conflict(STUDY_UID, uid("instance", 1))
        registrar.wake()
        leaving.away = False

        until(lambda: [e.event for e in study_history(leaving)] == ["waiting", "conflict"])


# --- database or disk is away, the node is killed -------------------------------------------


def test_leaves_everything_in_the_inbox_while_the_database_is_away(
    store: ObjectStore, folder: Path, leaving: LeavingDatabase
) -> None:
    receive(store, make_dataset(1), make_dataset(2))
    registrar = make_registrar(store, leaving)
    leaving.away = True

    with pytest.raises(DatabaseAway):
        registrar.enter_batch()
    assert len(inbox(folder)) == 2

    leaving.away = False
    assert registrar.enter_batch() == 2
    assert inbox(folder) == []


def test_goes_on_by_itself_when_postgres_is_back(
    store: ObjectStore,
    folder: Path,
    postgres: Postgres,
    postgres_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = Database(postgres_url)
    try:
        with registering(make_registrar(store, database)):
            receive(store, make_dataset(1))
            until(lambda: inbox(folder) == [])
            postgres.stop()
            try:
                receive(store, make_dataset(2))
                until(lambda: "registrar.waiting" in caplog.messages)
                assert inbox(folder) == [uid("instance", 2)]
            finally:
                postgres.start()
            until(lambda: inbox(folder) == [])
        (job,) = all_jobs(database)
        assert job.received == 2
    finally:
        database.close()


class _DyingStore(ObjectStore):
    """The process is killed just when an object is to move to its study."""

    def settle(self, path: Path, study_uid: str) -> NoReturn:
        raise SystemExit


def test_a_crash_between_commit_and_move_repeats_harmlessly(
    store: ObjectStore, folder: Path, database: Database
) -> None:
    receive(store, make_dataset(1), make_dataset(2))
    with pytest.raises(SystemExit):
        make_registrar(_DyingStore(folder), database).enter_batch()
    before = all_jobs(database), study_history(database)
    assert len(inbox(folder)) == 2

    make_registrar(store, database).enter_batch()

    assert (all_jobs(database), study_history(database)) == before
    assert inbox(folder) == []


def test_a_crash_after_the_move_of_one_of_two_repeats_harmlessly(
    store: ObjectStore, folder: Path, database: Database
) -> None:
    receive(store, make_dataset(1), make_dataset(2))
    with pytest.raises(SystemExit):
        make_registrar(_DyingStore(folder), database).enter_batch()
    (one, _) = store.waiting(2)
    store.settle(one, STUDY_UID)

    make_registrar(store, database).enter_batch()

    (job,) = all_jobs(database)
    assert job.received == 2
    assert inbox(folder) == []


def test_the_loop_goes_on_when_the_disk_is_back(
    store: ObjectStore, folder: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(sqlite_url)
    receive(store)
    (folder / "inbox").rename(folder / "gone")
    with registering(make_registrar(store, database)):
        until(lambda: "registrar.waiting" in caplog.messages)
        (folder / "gone").rename(folder / "inbox")

        until(lambda: inbox(folder) == [])
    database.close()


# --- how soon a study is looked at ------------------------------------------------------------


def test_looks_for_complete_studies_when_the_inbox_is_empty(
    store: ObjectStore, folder: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.registrar._BATCH", 1)
    database = Database(sqlite_url)
    seen: list[int] = []

    def look() -> float:
        seen.append(len(inbox(folder)))
        return float("inf")

    registrar = make_registrar(store, database)
    with registering(registrar, look):
        until(lambda: seen == [0])
        receive(store, *[make_dataset(number) for number in range(5)])
        registrar.wake()
        until(lambda: len(seen) > 1)

    assert set(seen) == {0}
    database.close()


def test_looks_when_an_association_ends_and_at_the_time_that_was_named(
    store: ObjectStore, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.registrar._LOOK_S", 3600)
    database = Database(sqlite_url)
    looks: list[float] = []

    def look() -> float:
        looks.append(time.monotonic())
        return 0.2 if len(looks) == 1 else 3600.0

    registrar = make_registrar(store, database)
    with registering(registrar, look):
        until(lambda: len(looks) == 2)
        registrar.wake()
        until(lambda: len(looks) == 3)

    assert looks[1] - looks[0] >= 0.2
    database.close()


# --- how far the worklist knows -------------------------------------------------------------


def test_the_horizon_is_the_last_object_entered_while_more_wait(
    store: ObjectStore, folder: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.registrar._BATCH", 2)
    database = Database(sqlite_url)
    registrar = make_registrar(store, database)
    receive(store, make_dataset(1), make_dataset(2), make_dataset(3))
    second = folder / "inbox" / f"{uid('instance', 2)}.dcm"
    received_at = datetime.fromtimestamp(second.stat().st_mtime, UTC)

    registrar.enter_batch()
    assert registrar.horizon() == received_at
    begun = datetime.now(UTC)
    assert [registrar.enter_batch() for _ in range(2)] == [1, 0]
    assert registrar.horizon() >= begun
    database.close()


def test_the_horizon_does_not_pass_a_backlog_that_begins_with_rubbish(
    store: ObjectStore, folder: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.registrar._BATCH", 2)
    database = Database(sqlite_url)
    registrar = make_registrar(store, database)
    begun = datetime.now(UTC)
    put(folder, make_dataset(1), b"rubbish")
    put(folder, make_dataset(2), b"rubbish")
    receive(store, make_dataset(3))

    registrar.enter_batch()
    assert registrar.horizon() < begun
    assert [registrar.enter_batch() for _ in range(2)] == [1, 0]
    assert registrar.horizon() >= begun
    assert len(all_jobs(database)) == 1
    database.close()


def test_the_horizon_stays_while_the_database_is_away(store: ObjectStore, sqlite_url: str) -> None:
    database = LeavingDatabase(sqlite_url)
    registrar = make_registrar(store, database)
    registrar.enter_batch()
    before = registrar.horizon()
    receive(store)
    database.away = True

    with pytest.raises(DatabaseAway):
        registrar.enter_batch()

    assert registrar.horizon() == before
    database.close()

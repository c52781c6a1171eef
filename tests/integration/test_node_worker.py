"""One job after the other: results first, then their rows; and what interrupts it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.errors import DatabaseAway, NotAnalysable, StoreError, StoreFull
from dicomnode.records import Job, State
from dicomnode.storage.database import Database
from dicomnode.worklist import by_hand, queue, studies
from tests.fakes import LeavingDatabase
from tests.node import study_history
from tests.running import looping, until
from tests.workers import AT_ONCE, SETTINGS, Bench, crash, give_back, raising, working
from tests.worklist import BOTH, delivered_job, enter, make_ref, waiting_job

SHORT_LEASE = SETTINGS.model_copy(update={"lease_s": 0.15})  # below what may be configured


@pytest.fixture
def bench(sqlite_url: str, tmp_path: Path) -> Iterator[Bench]:
    with working(Database(sqlite_url), tmp_path / "node") as bench:
        yield bench


# --- the good way ---------------------------------------------------------------------------


def test_results_are_on_disk_before_the_worklist_names_them(
    database: Database, tmp_path: Path
) -> None:
    bench = Bench(database, tmp_path / "node")
    job = bench.ready()
    seen: list[bool] = []

    def look(job: Job) -> None:
        seen.append(bench.result_uids(job) == [])
        seen.extend(bench.on_disk(job, kind).is_file() for kind in BOTH)

    bench.analysis.before_recording = look

    assert bench.worker().work_once()

    assert seen == [True, True, True]
    assert bench.job(job).state is State.REPORTED
    assert len(bench.result_uids(job)) == 2
    assert bench.owed() == {"pacs"}


def test_there_is_nothing_to_do_in_an_empty_queue(bench: Bench) -> None:
    assert not bench.worker().work_once()


def test_a_revision_is_shown_every_image_and_the_report_it_supersedes(bench: Bench) -> None:
    with bench.database.transaction() as tx:
        first = delivered_job(tx)
        second = waiting_job(tx, images=2)
        assert studies.close(tx, second, State.READY, now=datetime.now(UTC))

    bench.worker().work_once()

    (case,) = bench.analysis.seen
    assert [image.sop_instance_uid for image in case.images] == [
        make_ref("image", number).sop_instance_uid for number in (1, 2)
    ]
    assert [report.sop_instance_uid for report in case.supersedes] == bench.result_uids(first)[1:]


def test_what_is_kept_of_the_study_for_others_is_shown_and_results_of_ours_are_not(
    bench: Bench,
) -> None:
    with bench.database.transaction() as tx:
        waiting_job(tx)
        enter(tx, 2, pipelines={})
        enter(tx, 3, own=True)
        assert studies.close(tx, waiting_job(tx), State.READY, now=datetime.now(UTC))

    bench.worker().work_once()

    (case,) = bench.analysis.seen
    assert [image.sop_instance_uid for image in case.images] == [
        make_ref("image", 1).sop_instance_uid
    ]
    assert [image.sop_instance_uid for image in case.study] == [
        make_ref("image", number).sop_instance_uid for number in (1, 2)
    ]


# --- the disk refuses -----------------------------------------------------------------------


def test_the_disks_trouble_fails_no_job_however_long_it_lasts(bench: Bench) -> None:
    job = bench.ready()
    bench.analysis.while_working = raising(StoreFull("no room"))
    worker = bench.worker(AT_ONCE)

    for _ in range(3 * AT_ONCE.attempts):
        assert worker.work_once()
    assert (bench.job(job).state, bench.job(job).reason) == (State.READY, "no room")

    bench.analysis.while_working = lambda job: None
    worker.work_once()
    assert bench.job(job).state is State.REPORTED


def test_a_failed_attempt_is_left_alone_for_its_waiting_time(bench: Bench) -> None:
    job = bench.ready()
    bench.analysis.while_working = raising(StoreError("the disk answered: no"))
    worker = bench.worker()

    assert worker.work_once()

    assert not worker.work_once()
    assert bench.job(job).not_before > datetime.now(UTC) + timedelta(seconds=25)


def test_a_result_that_cannot_be_kept_is_not_named(bench: Bench, tmp_path: Path) -> None:
    job = bench.ready()
    (tmp_path / "node" / "results").rmdir()
    (tmp_path / "node" / "results").touch()  # where the folder was: the disk refuses

    bench.worker().work_once()

    assert bench.job(job).state is State.READY
    assert bench.result_uids(job) == []


# --- the job is taken away ------------------------------------------------------------------


def test_a_lost_lease_records_nothing_and_owes_nothing(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(database, tmp_path / "node")
    job = bench.ready()

    def expire(_: Job) -> None:
        with database.transaction() as tx:
            assert queue.expire(tx, attempts=5, now=datetime.now(UTC) + timedelta(hours=1))

    bench.analysis.while_working = expire

    assert bench.worker().work_once()

    assert "job.lost" in caplog.messages
    assert bench.job(job).state is State.READY
    assert (bench.result_uids(job), bench.owed()) == ([], set())


def test_a_job_cancelled_while_it_runs_stays_cancelled(bench: Bench) -> None:
    job = bench.ready()

    def cancel(_: Job) -> None:
        with bench.database.transaction() as tx:
            by_hand.cancel(tx, job.id, now=datetime.now(UTC))

    bench.analysis.while_working = cancel

    bench.worker().work_once()

    assert bench.job(job).state is State.CANCELLED
    assert (bench.result_uids(job), bench.owed()) == ([], set())


def test_an_error_of_a_cancelled_job_changes_nothing(bench: Bench) -> None:
    job = bench.ready()

    def cancel_and_fail(_: Job) -> None:
        with bench.database.transaction() as tx:
            by_hand.cancel(tx, job.id, now=datetime.now(UTC))
        raise NotAnalysable("no frame is an image")

    bench.analysis.while_working = cancel_and_fail

    bench.worker().work_once()

    assert bench.job(job).reason == "cancelled by hand"


def test_the_heartbeat_keeps_a_job_that_takes_longer_than_its_lease(bench: Bench) -> None:
    job = bench.ready()

    def work_long(_: Job) -> None:
        later = datetime.now(UTC) + timedelta(seconds=0.5)
        until(lambda: bench.lease_until(job) > later)
        with bench.database.transaction() as tx:
            assert queue.expire(tx, attempts=5, now=later) == []

    bench.analysis.while_working = work_long

    bench.worker(SHORT_LEASE).work_once()

    assert bench.job(job).state is State.REPORTED


# --- twice, and without a database ----------------------------------------------------------


def test_a_job_that_runs_twice_keeps_the_bytes_of_the_first_time(
    database_url: str, tmp_path: Path
) -> None:
    database = LeavingDatabase(database_url)
    bench = Bench(database, tmp_path / "node")
    job = bench.ready()
    bench.analysis.while_working = lambda job: setattr(database, "away", True)
    with pytest.raises(DatabaseAway):
        bench.worker().work_once()
    first = [bench.on_disk(job, kind).read_bytes() for kind in BOTH]
    database.away = False
    give_back(database)
    bench.analysis.while_working = lambda job: None
    bench.analysis.before_recording = crash
    with pytest.raises(SystemExit):
        bench.worker().work_once()
    give_back(database)
    bench.analysis.before_recording = lambda job: None
    bench.worker().work_once()

    assert bench.job(job).state is State.REPORTED
    assert first == [b"run 1", b"run 1"]
    assert len(bench.analysis.seen) == 3
    assert [bench.on_disk(job, kind).read_bytes() for kind in BOTH] == first
    database.close()


def test_goes_on_by_itself_when_the_database_is_back(
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("dicomnode.node.worker._DATABASE_WAIT_S", 0.01)
    database = LeavingDatabase(sqlite_url)
    bench = Bench(database, tmp_path / "node")
    job = bench.ready()
    database.away = True
    with looping(bench.worker().run):
        until(lambda: "worker.waiting" in caplog.messages)
        database.away = False
        until(lambda: bench.job(job).state is State.REPORTED)
    database.close()


def test_an_outage_in_the_middle_of_a_job_is_outlived_by_the_heartbeat(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = LeavingDatabase(sqlite_url)
    bench = Bench(database, tmp_path / "node")
    job = bench.ready()

    def outage(_: Job) -> None:
        database.away = True
        until(lambda: "worker.waiting" in caplog.messages)
        database.away = False

    bench.analysis.while_working = outage

    bench.worker(SHORT_LEASE).work_once()

    assert bench.job(job).state is State.REPORTED
    assert [event.event for event in study_history(database)].count("running") == 1
    database.close()

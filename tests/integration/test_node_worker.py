"""One job after the other: results first, then their rows; and an end for every job."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.config.settings import WorklistSettings
from dicomnode.errors import (
    Cause,
    DatabaseAway,
    DicomnodeError,
    ModelError,
    NotAnalysable,
    NotFound,
    PatientsDiffer,
    PeerAway,
    ReportError,
    StoreError,
    StoreFull,
)
from dicomnode.node.worker import Worker
from dicomnode.records import Job, ResultKind, State, Verdict, WithdrawalReason
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import jobs, outbox, queue, recall, results, studies
from tests.factories import STUDY_UID
from tests.fakes import FakeAnalysis, LeavingDatabase
from tests.node import make_store, study_history
from tests.running import until
from tests.worklist import (
    BOTH,
    MODEL,
    delivered_job,
    enter,
    make_ref,
    ready_job,
    refused_job,
    say,
    waiting_job,
)

SETTINGS = WorklistSettings(attempts=3, first_retry_s=60.0, longest_retry_s=60.0)
AT_ONCE = WorklistSettings(attempts=3, first_retry_s=1e-6, longest_retry_s=1e-6)
SHORT_LEASE = SETTINGS.model_copy(update={"lease_s": 0.15})  # below what may be configured


class Bench:
    """A worker with everything around it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.store: ObjectStore = make_store(folder)
        self.analysis = FakeAnalysis()

    def worker(self, settings: WorklistSettings = SETTINGS) -> Worker:
        return Worker("node/1", self.database, self.store, self.analysis, settings)

    def ready(self) -> Job:
        with self.database.transaction() as tx:
            return ready_job(tx)

    def job(self, job: Job) -> Job:
        with self.database.reading() as tx:
            return jobs.get(tx, job.id)

    def result_uids(self, job: Job) -> list[str]:
        with self.database.reading() as tx:
            return [ref.sop_instance_uid for ref, _ in results.of_job(tx, job.id)]

    def owed(self) -> set[str]:
        with self.database.reading() as tx:
            return outbox.peers_owed(tx)

    def deliver(self) -> None:
        """The PACS takes all that it is owed."""
        with self.database.transaction() as tx:
            for item in outbox.owed_to(tx, "pacs"):
                say(tx, item, Verdict.STORED)

    def on_disk(self, job: Job, kind: ResultKind) -> Path:
        parts = (job.study_uid, job.pipeline, job.revision, kind)
        return self.store.path_of_result(STUDY_UID, make_ref(*parts).sop_instance_uid)


@pytest.fixture
def bench(sqlite_url: str, tmp_path: Path) -> Iterator[Bench]:
    database = Database(sqlite_url)
    yield Bench(database, tmp_path / "node")
    database.close()


def raising(error: Exception) -> Callable[[Job], None]:
    """A job that ends like this."""

    def end(_: Job) -> None:
        raise error

    return end


def crash(_: Job) -> None:
    """The process is killed just when the results are to be recorded."""
    raise SystemExit


def give_back(database: Database, *, attempts: int = 5) -> None:
    """The lease of whoever crashed runs out."""
    with database.transaction() as tx:
        assert queue.expire(tx, attempts=attempts, now=datetime.now(UTC) + timedelta(hours=1))


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


# --- failures -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (NotAnalysable("no frame is an image", Cause.NO_IMAGE), Cause.NO_IMAGE),
        (ModelError("the weights were altered"), Cause.MODEL_FAILED),
        (NotFound("there is no model chest"), Cause.MODEL_FAILED),
    ],
)
def test_what_cannot_help_itself_is_told_at_once_in_the_place_of_the_results(
    error: DicomnodeError, cause: Cause, database: Database, tmp_path: Path
) -> None:
    bench = Bench(database, tmp_path / "node")
    job = bench.ready()
    bench.analysis.while_working = raising(error)

    bench.worker().work_once()

    told = bench.job(job)
    assert (told.state, told.reason, told.refused) == (State.REPORTED, str(error), cause)
    assert bench.analysis.refused == [(cause, str(error))]
    assert bench.owed() == {"pacs"}
    assert bench.on_disk(job, ResultKind.SR).read_bytes() == b"notice"
    bench.deliver()
    assert (bench.job(job).state, bench.job(job).reason) == (State.NOT_ANALYSED, str(error))


def test_where_nobody_wants_notices_the_job_fails_with_its_reason(bench: Bench) -> None:
    job = bench.ready()
    bench.analysis.while_working = raising(NotAnalysable("no frame is an image"))
    bench.analysis.notices = {}

    bench.worker().work_once()

    assert (bench.job(job).state, bench.job(job).reason) == (State.FAILED, "no frame is an image")
    assert (bench.owed(), bench.analysis.refused) == (set(), [])


def test_a_result_that_may_not_leave_fails_the_job_and_no_notice_speaks_of_it(
    bench: Bench,
) -> None:
    job = bench.ready()
    bench.analysis.while_working = raising(ReportError("PatientName has no room"))

    bench.worker().work_once()

    assert (bench.job(job).state, bench.job(job).reason) == (
        State.FAILED,
        "PatientName has no room",
    )
    assert bench.analysis.refused == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ReportError("no header can be read"), "no header can be read"),
        (IndexError("PATIENT^NAME"), "IndexError"),
    ],
)
def test_where_no_notice_can_be_made_the_job_fails_with_both_reasons(
    error: Exception, words: str, bench: Bench
) -> None:
    job = bench.ready()
    bench.analysis.while_working = raising(NotAnalysable("no frame is an image"))
    bench.analysis.while_refusing = raising(error)

    bench.worker().work_once()

    assert bench.job(job).state is State.FAILED
    assert bench.job(job).reason == f"no frame is an image; no notice could be made: {words}"
    assert bench.owed() == set()


def test_a_notice_that_the_disk_does_not_take_waits_and_is_not_forgotten(bench: Bench) -> None:
    job = bench.ready()
    bench.analysis.while_working = raising(NotAnalysable("no frame is an image"))
    bench.analysis.while_refusing = raising(StoreFull("no room"))
    worker = bench.worker(AT_ONCE)
    worker.work_once()
    assert (bench.job(job).state, bench.job(job).reason) == (State.READY, "no room")

    bench.analysis.while_refusing = lambda job: None
    worker.work_once()

    assert bench.job(job).reason == "no frame is an image"
    assert bench.job(job).refused is Cause.PIXELS


@pytest.mark.parametrize("step", ["while_working", "while_refusing"])
def test_images_of_two_patients_are_held_and_nothing_leaves(step: str, bench: Bench) -> None:
    job = bench.ready()
    bench.analysis.while_working = raising(NotAnalysable("no frame is an image"))
    setattr(bench.analysis, step, raising(PatientsDiffer("PatientID, 2 values")))

    bench.worker().work_once()

    assert (bench.job(job).state, bench.job(job).reason) == (State.HELD, "PatientID, 2 values")
    assert (bench.owed(), bench.result_uids(job)) == (set(), [])
    assert not bench.worker().work_once()


def test_a_study_that_was_refused_before_it_came_here_is_not_analysed(bench: Bench) -> None:
    with bench.database.transaction() as tx:
        job = refused_job(tx)

    bench.worker().work_once()

    assert bench.analysis.seen == []
    assert bench.analysis.refused == [(Cause.INCOMPLETE, "1 of 2 images came")]
    assert (bench.job(job).state, bench.job(job).reason) == (
        State.REPORTED,
        "1 of 2 images came",
    )


def test_a_job_that_kills_its_workers_is_told_of_by_one_that_only_makes_the_notice(
    bench: Bench,
) -> None:
    job = bench.ready()
    bench.analysis.before_recording = crash
    worker = bench.worker(AT_ONCE)
    for _ in range(AT_ONCE.attempts):
        with pytest.raises(SystemExit):
            worker.work_once()
        give_back(bench.database, attempts=AT_ONCE.attempts)

    worker.work_once()

    assert bench.job(job).state is State.REPORTED
    assert bench.job(job).reason == "a worker was lost with this job; attempts: 3"
    assert len(bench.analysis.seen) == AT_ONCE.attempts


def test_a_job_whose_notice_kills_the_workers_too_has_failed(bench: Bench) -> None:
    job = bench.ready()
    bench.analysis.before_recording = bench.analysis.while_refusing = crash
    worker = bench.worker(AT_ONCE)
    for _ in range(2 * AT_ONCE.attempts):
        with pytest.raises(SystemExit):
            worker.work_once()
        give_back(bench.database, attempts=AT_ONCE.attempts)

    assert bench.job(job).state is State.FAILED
    assert bench.job(job).reason == "a worker was lost with this job; attempts: 3"
    assert not worker.work_once()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PeerAway("no answer"), "no answer"),
        (IndexError("PATIENT^NAME"), "unexpected IndexError; see the log"),
        (MemoryError(), "unexpected MemoryError; see the log"),
    ],
)
def test_what_may_help_itself_is_tried_later_and_told_in_the_end(
    error: Exception, reason: str, bench: Bench
) -> None:
    job = bench.ready()
    bench.analysis.while_working = raising(error)
    worker = bench.worker(AT_ONCE)

    for attempt in (1, 2):
        worker.work_once()
        tried = bench.job(job)
        assert (tried.state, tried.reason, tried.attempts) == (State.READY, reason, attempt)
    worker.work_once()

    assert (bench.job(job).state, bench.job(job).reason) == (State.REPORTED, reason)
    assert bench.analysis.refused == [(Cause.MODEL_FAILED, reason)]
    assert not worker.work_once()


def test_what_breaks_while_results_are_recorded_has_an_end_too(bench: Bench) -> None:
    job = bench.ready()

    def fail(job: Job) -> None:
        raise LookupError("PATIENT^NAME")

    bench.analysis.before_recording = fail
    worker = bench.worker(AT_ONCE)

    for _ in range(AT_ONCE.attempts):
        assert worker.work_once()

    assert bench.job(job).reason == "unexpected LookupError; see the log"
    assert bench.job(job).refused is Cause.MODEL_FAILED
    assert bench.on_disk(job, ResultKind.SR).read_bytes() == b"run 1"


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
            queue.cancel(tx, job.id, now=datetime.now(UTC))

    bench.analysis.while_working = cancel

    bench.worker().work_once()

    assert bench.job(job).state is State.CANCELLED
    assert (bench.result_uids(job), bench.owed()) == ([], set())


def test_an_error_of_a_cancelled_job_changes_nothing(bench: Bench) -> None:
    job = bench.ready()

    def cancel_and_fail(_: Job) -> None:
        with bench.database.transaction() as tx:
            queue.cancel(tx, job.id, now=datetime.now(UTC))
        raise NotAnalysable("no frame is an image")

    bench.analysis.while_working = cancel_and_fail

    bench.worker().work_once()

    assert bench.job(job).reason == "cancelled by hand"


def test_the_heartbeat_keeps_a_job_that_takes_longer_than_its_lease(bench: Bench) -> None:
    job = bench.ready()

    def work_long(_: Job) -> None:
        begun = datetime.now(UTC)
        until(lambda: datetime.now(UTC) > begun + timedelta(seconds=0.5), timeout_s=10)
        with bench.database.transaction() as tx:
            assert queue.expire(tx, attempts=5, now=datetime.now(UTC)) == []

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
    stop = threading.Event()
    thread = threading.Thread(target=bench.worker().run, args=(stop,))
    thread.start()
    try:
        until(lambda: "worker.waiting" in caplog.messages, timeout_s=10)
        database.away = False
        until(lambda: bench.job(job).state is State.REPORTED, timeout_s=10)
    finally:
        stop.set()
        thread.join()
    database.close()


def test_an_outage_in_the_middle_of_a_job_is_outlived_by_the_heartbeat(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = LeavingDatabase(sqlite_url)
    bench = Bench(database, tmp_path / "node")
    job = bench.ready()

    def outage(_: Job) -> None:
        database.away = True
        until(lambda: "worker.waiting" in caplog.messages, timeout_s=10)
        database.away = False

    bench.analysis.while_working = outage

    bench.worker(SHORT_LEASE).work_once()

    assert bench.job(job).state is State.REPORTED
    assert [event.event for event in study_history(database)].count("running") == 1
    database.close()


# --- a model that was recalled --------------------------------------------------------------


def stop(database: Database) -> None:
    with database.transaction() as tx:
        recall.stop(tx, MODEL, WithdrawalReason.SAFETY, now=datetime.now(UTC))


def test_nothing_is_analysed_by_a_recalled_model_until_it_is_reinstated(
    database: Database, tmp_path: Path
) -> None:
    bench = Bench(database, tmp_path / "node")
    job = bench.ready()
    stop(database)

    assert bench.worker().work_once()

    assert bench.analysis.seen == []
    assert bench.analysis.refused == [(Cause.RECALLED, f"{MODEL} was recalled: safety")]
    bench.deliver()
    assert (bench.job(job).state, bench.job(job).refused) == (State.NOT_ANALYSED, Cause.RECALLED)
    with database.transaction() as tx:
        assert recall.reinstate(tx, MODEL)
        assert not recall.reinstate(tx, MODEL)
        again = queue.retry(tx, job.id, now=datetime.now(UTC))
    assert bench.worker().work_once()
    assert (bench.job(again).refused, len(bench.analysis.seen)) == (None, 1)


@pytest.mark.parametrize("moment", ["while_working", "before_recording"])
def test_a_model_that_is_recalled_while_it_works_gives_no_result(
    moment: str, database: Database, tmp_path: Path
) -> None:
    bench = Bench(database, tmp_path / "node")
    job = bench.ready()
    setattr(bench.analysis, moment, lambda _: stop(database))

    assert bench.worker().work_once()

    assert len(bench.analysis.seen) == 1
    assert [cause for cause, _ in bench.analysis.refused] == [Cause.RECALLED]
    bench.deliver()
    assert (bench.job(job).state, bench.job(job).refused) == (State.NOT_ANALYSED, Cause.RECALLED)


def test_another_model_goes_on(bench: Bench) -> None:
    with bench.database.transaction() as tx:
        recall.stop(tx, f"{MODEL}.1", WithdrawalReason.SAFETY, now=datetime.now(UTC))
    bench.ready()

    bench.worker().work_once()

    assert bench.analysis.refused == []

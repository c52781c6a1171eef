"""What cannot be analysed: told, tried again or held; and an end for every job."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.errors import (
    Cause,
    DicomnodeError,
    ModelError,
    NotAnalysable,
    NotFound,
    PatientsDiffer,
    PeerAway,
    ReportError,
    StoreFull,
)
from dicomnode.records import Job, ResultKind, State, WithdrawalReason
from dicomnode.storage.database import Database
from dicomnode.worklist import by_hand, recall
from tests.workers import AT_ONCE, Bench, crash, give_back, raising, working
from tests.worklist import MODEL, refused_job


@pytest.fixture
def bench(sqlite_url: str, tmp_path: Path) -> Iterator[Bench]:
    with working(Database(sqlite_url), tmp_path / "node") as bench:
        yield bench


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
        again = by_hand.retry(tx, job.id, now=datetime.now(UTC))
    assert bench.worker().work_once()
    assert (bench.job(again).refused, len(bench.analysis.seen)) == (None, 1)


def test_nothing_is_analysed_by_several_models_of_which_one_is_recalled(bench: Bench) -> None:
    bench.analysis.members = ("one@1", "other@1")
    with bench.database.transaction() as tx:
        recall.stop(tx, "other@1", WithdrawalReason.SAFETY, now=datetime.now(UTC))
    bench.ready()

    assert bench.worker().work_once()

    assert bench.analysis.seen == []
    assert bench.analysis.refused == [(Cause.RECALLED, "other@1 was recalled: safety")]


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

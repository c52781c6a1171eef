from collections.abc import Callable

import pytest

from dicomnode.errors import Cause, WrongStep
from dicomnode.records import DeliveryState, Job, State, Verdict
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import by_hand, history, jobs, outbox, queue, results, retention, studies
from tests.factories import STUDY_UID
from tests.worklist import (
    NOW,
    after,
    claim,
    delivered_job,
    enter,
    failed_job,
    held_job,
    make_results,
    not_analysed_job,
    owed,
    ready_job,
    refused_job,
    reported_job,
    running_job,
    say,
    undelivered_job,
    waiting_job,
    wanted,
)


def incomplete_job(tx: Connection) -> Job:
    job = waiting_job(tx)
    studies.close(tx, job, State.INCOMPLETE, now=NOW, reason="1 of 2 images came")
    return jobs.get(tx, job.id)


@pytest.mark.parametrize("make", [waiting_job, ready_job, running_job, reported_job, delivered_job])
def test_what_has_not_ended_badly_cannot_be_retried(
    database: Database, make: Callable[[Connection], Job]
) -> None:
    with database.transaction() as tx:
        job = make(tx)
        with pytest.raises(WrongStep):
            by_hand.retry(tx, job.id, now=NOW)
        assert jobs.get(tx, job.id) == job


def test_a_failed_job_is_done_again_from_the_beginning(database: Database) -> None:
    with database.transaction() as tx:
        job = failed_job(tx)
        again = by_hand.retry(tx, job.id, now=after(5))
        assert (again.state, again.attempts, again.reason) == (State.READY, 0, "")
        taken = claim(tx, now=after(5))
        assert taken is not None
        assert len(jobs.images(tx, taken)) == 1
        assert history.of_study(tx, STUDY_UID)[-2].detail == "retried by hand"


def test_an_incomplete_job_that_is_retried_is_marked_partial(database: Database) -> None:
    with database.transaction() as tx:
        again = by_hand.retry(tx, incomplete_job(tx).id, now=NOW)
        assert (again.state, again.partial) == (State.READY, True)
        assert len(jobs.images(tx, again)) == 1


def test_what_was_not_analysed_is_done_again_as_a_revision_that_supersedes_the_notice(
    database: Database,
) -> None:
    with database.transaction() as tx:
        told = not_analysed_job(tx, images=2)
        again = by_hand.retry(tx, told.id, now=after(5))
        assert (again.state, again.revision, again.ready_at) == (State.READY, 2, after(5))
        assert (again.refused, again.reason, again.partial) == (None, "", False)
        assert jobs.images(tx, again) == jobs.images(tx, told)
        assert results.reports_before(tx, again) == [make_results(told)[1].ref]
        assert jobs.get(tx, told.id) == told
        with pytest.raises(WrongStep, match=f"superseded by job {again.id}"):
            by_hand.retry(tx, told.id, now=after(6))


def test_a_short_study_that_was_not_analysed_is_done_by_hand_and_marked_partial(
    database: Database,
) -> None:
    with database.transaction() as tx:
        refused_job(tx)
        job = claim(tx)
        assert job is not None
        assert (job.refused, job.because) == (Cause.INCOMPLETE, "1 of 2 images came")
        finish_refused(tx, job, Cause.INCOMPLETE, Verdict.STORED)
        assert jobs.get(tx, job.id).state is State.NOT_ANALYSED
        assert by_hand.retry(tx, job.id, now=NOW).partial


def test_a_study_without_a_view_that_the_model_needs_is_whole_when_it_is_tried_again(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = running_job(tx)
        finish_refused(tx, job, Cause.INCOMPLETE, Verdict.STORED)
        assert not by_hand.retry(tx, job.id, now=NOW).partial


def test_a_notice_that_was_refused_is_sent_again_and_keeps_its_reason(database: Database) -> None:
    with database.transaction() as tx:
        job = running_job(tx)
        finish_refused(tx, job, Cause.VIEW, Verdict.NEVER)
        assert jobs.get(tx, job.id).reason == "pacs: never"
        again = by_hand.retry(tx, job.id, now=NOW)
        assert (again.state, again.reason) == (State.REPORTED, "not frontal")
        for item in owed(tx):
            say(tx, item, Verdict.STORED)
        ended = jobs.get(tx, job.id)
        assert (ended.state, ended.reason) == (State.NOT_ANALYSED, "not frontal")


def finish_refused(tx: Connection, job: Job, cause: Cause, verdict: Verdict) -> None:
    """A worker makes notices, and the peer says this of them."""
    made, to = make_results(job), wanted("pacs")
    queue.finish(tx, job, made, to, now=NOW, refused=cause, because="not frontal")
    for item in owed(tx):
        say(tx, item, verdict)


def test_a_held_job_is_looked_at_again_with_all_images_that_came(database: Database) -> None:
    with database.transaction() as tx:
        job = held_job(tx)
        enter(tx, 2)
        assert jobs.get(tx, job.id).state is State.HELD
        assert claim(tx, now=after(1000)) is None
        again = by_hand.retry(tx, job.id, now=NOW)
        assert (again.id, again.state, again.reason) == (job.id, State.READY, "")
        assert len(jobs.images(tx, again)) == 2


def test_a_refused_job_that_is_retried_is_analysed(database: Database) -> None:
    with database.transaction() as tx:
        job = by_hand.cancel(tx, refused_job(tx).id, now=NOW)
        again = by_hand.retry(tx, job.id, now=NOW)
        assert (again.refused, again.because, again.partial) == (None, "", True)


def test_a_cancelled_job_that_is_retried_takes_the_images_that_came_meanwhile(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = by_hand.cancel(tx, waiting_job(tx).id, now=NOW)
        enter(tx, 2)
        again = by_hand.retry(tx, job.id, now=NOW)
        assert (again.state, again.ready_at) == (State.READY, NOW)
        assert len(jobs.images(tx, again)) == 2


def test_an_undelivered_job_that_is_retried_sends_again_only_what_was_refused(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = undelivered_job(tx)
        again = by_hand.retry(tx, job.id, now=after(7200))
        assert (again.state, again.reason) == (State.REPORTED, "")
        (report,) = owed(tx, now=after(7200))
        say(tx, report, Verdict.LATER, now=after(7201))
        assert jobs.get(tx, job.id).state is State.REPORTED, "the time to give up starts anew"
        (report,) = owed(tx, now=after(7300))
        say(tx, report, Verdict.STORED, now=after(7300))
        assert jobs.get(tx, job.id).state is State.DELIVERED


def test_a_job_cancelled_after_its_results_were_made_sends_those_when_retried(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        owed(tx)
        by_hand.cancel(tx, job.id, now=NOW)
        again = by_hand.retry(tx, job.id, now=after(1))
        assert again.state is State.REPORTED
        assert len(owed(tx, holder="another node", now=after(1))) == 2


def test_a_job_that_a_later_revision_supersedes_is_not_retried(database: Database) -> None:
    with database.transaction() as tx:
        job = failed_job(tx)
        enter(tx, 2)
        with pytest.raises(WrongStep, match=f"superseded by job {job.id + 1}"):
            by_hand.retry(tx, job.id, now=NOW)


def test_a_job_whose_images_are_gone_is_not_retried(database: Database) -> None:
    with database.transaction() as tx:
        job = incomplete_job(tx)
        retention.forget(tx, STUDY_UID, now=NOW)
        with pytest.raises(WrongStep, match="were removed"):
            by_hand.retry(tx, job.id, now=NOW)


@pytest.mark.parametrize(
    "make",
    [
        waiting_job,
        ready_job,
        running_job,
        reported_job,
        failed_job,
        held_job,
        undelivered_job,
        incomplete_job,
    ],
)
def test_what_is_not_over_can_be_cancelled(
    database: Database, make: Callable[[Connection], Job]
) -> None:
    with database.transaction() as tx:
        job = by_hand.cancel(tx, make(tx).id, now=after(1))
        assert (job.state, job.reason) == (State.CANCELLED, "cancelled by hand")
        assert claim(tx, now=after(1000)) is None
        assert owed(tx, now=after(1000)) == []
        states = {item.state for item in outbox.of_job(tx, job.id)}
        assert DeliveryState.OWED not in states


def test_what_is_over_cannot_be_cancelled(database: Database) -> None:
    with database.transaction() as tx:
        delivered = delivered_job(tx)
        cancelled = by_hand.cancel(tx, failed_job(tx, study_uid="1.2.3").id, now=NOW)
        told = not_analysed_job(tx, study_uid="1.2.4")
        for job in (delivered, cancelled, told):
            with pytest.raises(WrongStep):
                by_hand.cancel(tx, job.id, now=NOW)

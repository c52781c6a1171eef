from collections.abc import Callable

import pytest

from dicomnode.records import Job, State
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import by_hand, history, jobs, results, retention, studies
from dicomnode.worklist.arrivals import Entry
from tests.factories import STUDY_UID, uid
from tests.worklist import (
    NOW,
    PIPELINE,
    after,
    delivered_job,
    enter,
    failed_job,
    held_job,
    not_analysed_job,
    ready_job,
    reported_job,
    running_job,
    undelivered_job,
    waiting_job,
)


def cancelled_job(tx: Connection) -> Job:
    return by_hand.cancel(tx, waiting_job(tx).id, now=NOW)


def incomplete_job(tx: Connection) -> Job:
    job = waiting_job(tx)
    studies.close(tx, job, State.INCOMPLETE, now=NOW, reason="1 of 2 images came")
    return jobs.get(tx, job.id)


@pytest.mark.parametrize("make", [delivered_job, cancelled_job, incomplete_job, not_analysed_job])
def test_what_is_over_goes_when_its_time_is_over(
    database: Database, make: Callable[[Connection], Job]
) -> None:
    with database.transaction() as tx:
        make(tx)

        assert retention.to_remove(tx, before=NOW) == []
        assert retention.to_remove(tx, before=after(0.001)) == [STUDY_UID]


@pytest.mark.parametrize(
    "make",
    [waiting_job, ready_job, running_job, reported_job, failed_job, held_job, undelivered_job],
)
def test_what_is_open_or_needs_a_person_stays(
    database: Database, make: Callable[[Connection], Job]
) -> None:
    with database.transaction() as tx:
        make(tx)

        assert retention.to_remove(tx, before=after(10**6)) == []


def test_a_study_that_no_pipeline_wanted_goes_too(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, pipelines={})

        assert retention.to_remove(tx, before=after(1)) == [STUDY_UID]


def test_one_open_job_keeps_the_whole_study(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx)
        enter(tx, 2)

        assert retention.to_remove(tx, before=after(10**6)) == []


def test_a_delivery_yesterday_keeps_an_old_study(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, now=NOW)
        delivered_job(tx, now=after(1000))

        assert retention.to_remove(tx, before=after(500)) == []


def test_the_oldest_go_first_and_no_more_than_the_limit(database: Database) -> None:
    with database.transaction() as tx:
        for day in (3, 1, 2):
            delivered_job(tx, study_uid=uid(day), now=after(day))

        assert retention.to_remove(tx, before=after(9), limit=2) == [uid(1), uid(2)]


def test_a_forgotten_study_keeps_its_jobs_results_and_history(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        retention.forget(tx, STUDY_UID, now=after(100))

        assert retention.to_remove(tx, before=after(10**6)) == []
        assert jobs.images(tx, job) == []
        assert jobs.get(tx, job.id).state is State.DELIVERED
        assert len(results.of_job(tx, job.id)) == 2
        assert history.of_study(tx, STUDY_UID)[-1].event == "removed"


def test_a_study_that_comes_again_after_its_removal_makes_a_new_revision(
    database: Database,
) -> None:
    with database.transaction() as tx:
        first = delivered_job(tx, images=2)
        studies.expect(tx, STUDY_UID, 2)
        retention.forget(tx, STUDY_UID, now=after(100))
        assert enter(tx, 1, now=after(200)) is Entry.NEW
        again = jobs.latest(tx, STUDY_UID, PIPELINE)
        assert again is not None
        assert (again.revision, again.received, again.expected) == (2, 1, None)
        assert studies.close(tx, again, State.READY, now=after(210))
        assert len(jobs.images(tx, again)) == 1
        assert results.reports_before(tx, again) == [results.of_job(tx, first.id)[1][0]]
        assert retention.to_remove(tx, before=after(10**6)) == []

"""What candidates said: which jobs they are still to be asked about, and what is kept."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from dicomnode.answers import Presence, Score
from dicomnode.errors import Cause
from dicomnode.records import Job
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import retention, shadows
from dicomnode.worklist.shadows import Answer
from tests.factories import uid
from tests.worklist import (
    MODEL,
    NOW,
    PIPELINE,
    after,
    delivered_job,
    events,
    failed_job,
    not_analysed_job,
    ready_job,
    refused_job,
    reported_job,
    running_job,
    undelivered_job,
    waiting_job,
)

CANDIDATE = "candidate@2.0"
SAID = Answer(
    model=CANDIDATE, summary={"nodule": Score(probability=0.5, presence=Presence.UNDETERMINED)}
)


def without(
    tx: Connection, *, since: float = -1.0, now: float = 0.0, model: str = CANDIDATE
) -> int:
    return shadows.without(tx, PIPELINE, model, since=after(since), now=after(now))


def kept(tx: Connection, job: Job, said: Answer = SAID) -> None:
    assert shadows.begin(tx, job.id, said.model, now=NOW)
    shadows.keep(tx, job.id, said, seconds=1.5)


@pytest.mark.parametrize("make", [reported_job, delivered_job, undelivered_job, not_analysed_job])
def test_a_candidate_is_asked_about_what_the_model_has_answered(
    database: Database, make: Callable[..., Job]
) -> None:
    with database.transaction() as tx:
        job = make(tx)
        assert without(tx) == job.id
        kept(tx, job)
        assert without(tx) == 0
        assert without(tx, model="another@1.0") == job.id


@pytest.mark.parametrize("make", [waiting_job, ready_job, running_job, failed_job, refused_job])
def test_no_candidate_is_asked_before_the_model_or_where_images_are_missing(
    database: Database, make: Callable[..., Job]
) -> None:
    with database.transaction() as tx:
        make(tx)
        assert without(tx) == 0


def test_the_oldest_goes_first_and_what_is_too_old_is_left_alone(database: Database) -> None:
    with database.transaction() as tx:
        made = [reported_job(tx, study_uid=uid(at), now=after(at)).id for at in (0, 10, 20)]
        assert without(tx, since=0) == made[0]
        assert without(tx, since=5) == made[1]
        assert without(tx, since=25) == 0


def test_images_that_were_removed_are_not_asked_about(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        retention.forget(tx, job.study_uid, now=NOW)
        assert without(tx) == 0


def test_two_workers_do_not_ask_the_same(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        assert shadows.begin(tx, job.id, CANDIDATE, now=NOW) == job
        assert shadows.begin(tx, job.id, CANDIDATE, now=NOW) is None
        assert without(tx) == 0


def test_a_candidate_that_kills_its_worker_is_asked_three_times(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        for attempt in range(3):
            at = 1000.0 * attempt
            assert without(tx, now=at) == job.id
            assert shadows.begin(tx, job.id, CANDIDATE, now=after(at)) is not None
            assert without(tx, now=at + 60) == 0
        assert without(tx, now=10_000) == 0
        assert shadows.pairs(tx, PIPELINE) == []


def test_what_is_kept_stands_beside_what_was_sent_and_changes_nothing(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        before = events(tx)
        kept(tx, job)
        (pair,) = shadows.pairs(tx, PIPELINE)
        assert events(tx) == before

    assert pair.primary == Answer(
        model=MODEL, summary={"nodule": Score(probability=0.75, presence=Presence.PRESENT)}
    )
    assert (pair.job_id, pair.candidate, pair.seconds) == (job.id, SAID, 1.5)


def test_a_refusal_of_either_is_told_with_its_reason(database: Database) -> None:
    no_view = Answer(model=CANDIDATE, summary={}, refused=Cause.VIEW, because="no frontal view")
    with database.transaction() as tx:
        kept(tx, reported_job(tx), no_view)
        (pair,) = shadows.pairs(tx, PIPELINE)

    assert pair.candidate == no_view


def test_pairs_are_of_one_pipeline(database: Database) -> None:
    with database.transaction() as tx:
        kept(tx, reported_job(tx))
        kept(tx, reported_job(tx, study_uid=uid("b"), pipelines={"other": 0}))
        assert len(shadows.pairs(tx, PIPELINE)) == 1


def test_what_was_kept_outlives_the_images_as_its_job_does(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        kept(tx, job)
        (old,) = retention.to_remove(tx, before=NOW + timedelta(days=1))
        retention.forget(tx, old, now=NOW)
        assert len(shadows.pairs(tx, PIPELINE)) == 1

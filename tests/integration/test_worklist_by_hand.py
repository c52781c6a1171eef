from collections.abc import Callable

import pytest

from dicomnode.errors import Cause, NotFound, WrongStep
from dicomnode.records import DeliveryState, Job, ResultKind, State, Verdict
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import by_hand, history, jobs, outbox, queue, recall, results, retention
from tests.factories import STUDY_UID
from tests.worklist import (
    NOW,
    PIPELINE,
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
    reported_job,
    running_job,
    say,
    undelivered_job,
    waiting_job,
    wanted,
)


def last_words(tx: Connection) -> str:
    return history.of_study(tx, STUDY_UID)[-1].detail


# --- sooner ---------------------------------------------------------------------------------


def test_a_hurried_job_is_taken_before_all_others(database: Database) -> None:
    with database.transaction() as tx:
        ready_job(tx, pipelines={PIPELINE: 7}, study_uid="1.2.3")
        job = ready_job(tx)
        hurried = by_hand.hurry(tx, job.id, by_hand.next_place(tx), now=after(1), by="ada")
        assert (hurried.priority, hurried.state) == (8, State.READY)
        assert last_words(tx) == "priority 8 instead of 0, by ada"
        taken = claim(tx, now=after(2))
        assert taken is not None
        assert taken.id == job.id


@pytest.mark.parametrize("make", [running_job, reported_job, delivered_job, failed_job])
def test_what_does_not_wait_cannot_be_hurried(
    database: Database, make: Callable[[Connection], Job]
) -> None:
    with database.transaction() as tx:
        job = make(tx)
        with pytest.raises(WrongStep, match=f"job {job.id} is {job.state}; only"):
            by_hand.hurry(tx, job.id, 5, now=NOW)


# --- sent again -----------------------------------------------------------------------------


def test_what_was_delivered_is_sent_again_in_its_order_and_delivered_again(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        again = by_hand.resend(tx, job.id, wanted("pacs"), now=after(5), by="ada")
        assert again.state is State.REPORTED
        assert last_words(tx) == "sent again to pacs by ada"
        items = owed(tx, now=after(5))
        assert [item.kind for item in items] == [ResultKind.SC, ResultKind.SR]
        for item in items:
            say(tx, item, Verdict.STORED, now=after(6))
        assert jobs.get(tx, job.id).state is State.DELIVERED


def test_only_the_peers_that_are_named_are_sent_again(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx, peers=("pacs", "archive"))
        for item in outbox.of_job(tx, job.id):
            say(tx, item, Verdict.STORED)
        by_hand.resend(tx, job.id, wanted("archive"), now=after(5))
        assert {item.peer: item.state for item in outbox.of_job(tx, job.id)} == {
            "pacs": DeliveryState.SENT,
            "archive": DeliveryState.OWED,
        }


def test_a_peer_that_is_new_gets_what_it_wants_of_what_was_made(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        by_hand.resend(tx, job.id, {"new": {ResultKind.SR, ResultKind.PDF}}, now=after(5))
        (item,) = owed(tx, "new", now=after(5))
        assert item.kind is ResultKind.SR


def test_what_a_peer_refused_is_still_said_when_another_has_it_all(database: Database) -> None:
    with database.transaction() as tx:
        job = undelivered_job(tx)
        by_hand.resend(tx, job.id, wanted("new"), now=after(5))
        for item in owed(tx, "new", now=after(5)):
            say(tx, item, Verdict.STORED, now=after(5))
        found = jobs.get(tx, job.id)
        assert (found.state, found.reason) == (State.UNDELIVERED, "pacs: 0xA900: no SR here")


def test_what_waits_for_its_next_attempt_is_sent_at_once(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        for item in owed(tx):
            say(tx, item, Verdict.LATER, retry_s=3600)
        assert owed(tx, now=after(5)) == []
        assert by_hand.resend(tx, job.id, wanted("pacs"), now=after(5)).state is State.REPORTED
        assert len(owed(tx, now=after(5))) == 2
        assert history.of_study(tx, STUDY_UID)[-1].event == "resent"


def test_a_notice_is_sent_again_and_the_job_stays_not_analysed(database: Database) -> None:
    with database.transaction() as tx:
        job = not_analysed_job(tx)
        by_hand.resend(tx, job.id, wanted("pacs"), now=after(5))
        for item in owed(tx, now=after(5)):
            say(tx, item, Verdict.STORED, now=after(5))
        ended = jobs.get(tx, job.id)
        assert (ended.state, ended.reason) == (State.NOT_ANALYSED, job.reason)


def test_a_recall_knows_that_a_peer_has_what_is_being_sent_again(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        again = by_hand.resend(tx, job.id, wanted("pacs"), now=after(5))
        assert len(recall.standing(tx, again)) == 2


def test_what_was_recalled_is_not_sent_again_but_what_says_so(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        job = jobs.get(tx, job.id, lock=True)
        says_so = make_results(failed_job(tx, study_uid="1.2.3"))[1:]
        recall.withdraw(tx, job, says_so, wanted("pacs"), "recalled", now=NOW)
        for item in owed(tx):
            say(tx, item, Verdict.STORED)
        again = by_hand.resend(tx, job.id, wanted("pacs"), now=after(5))
        assert again.state is State.REPORTED
        (item,) = owed(tx, now=after(5))
        assert item.sop_instance_uid == says_so[0].ref.sop_instance_uid
        say(tx, item, Verdict.STORED, now=after(6))
        assert jobs.get(tx, job.id).state is State.WITHDRAWN


@pytest.mark.parametrize("make", [waiting_job, ready_job, running_job, failed_job, held_job])
def test_a_job_without_results_cannot_be_sent_again(
    database: Database, make: Callable[[Connection], Job]
) -> None:
    with database.transaction() as tx:
        job = make(tx)
        with pytest.raises(WrongStep, match="has no results to send"):
            by_hand.resend(tx, job.id, wanted("pacs"), now=NOW)
        assert jobs.get(tx, job.id) == job


def test_results_that_are_superseded_gone_or_for_nobody_are_not_sent_again(
    database: Database,
) -> None:
    with database.transaction() as tx:
        first = delivered_job(tx)
        with pytest.raises(WrongStep, match="is for new"):
            by_hand.resend(tx, first.id, {"new": {ResultKind.PDF}}, now=NOW)
        again = by_hand.process(tx, STUDY_UID, PIPELINE, priority=0, now=NOW)
        by_hand.resend(tx, first.id, wanted("pacs"), now=NOW)  # the later one has none yet
        taken = claim(tx)
        assert taken is not None
        queue.finish(tx, taken, make_results(taken), wanted("pacs"), now=NOW)
        with pytest.raises(WrongStep, match=f"superseded by job {again.id}"):
            by_hand.resend(tx, first.id, wanted("pacs"), now=NOW)
        retention.forget(tx, STUDY_UID, now=NOW)
        with pytest.raises(WrongStep, match="were removed"):
            by_hand.resend(tx, again.id, wanted("pacs"), now=NOW)


# --- by another pipeline, or once more ------------------------------------------------------


def test_a_delivered_study_is_done_again_as_a_revision_that_supersedes(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx, images=2)
        again = by_hand.process(tx, STUDY_UID, PIPELINE, priority=0, now=after(5), by="ada")
        assert (again.revision, again.state) == (2, State.READY)
        assert last_words(tx) == f"given to {PIPELINE} by ada"
        assert len(jobs.images(tx, again)) == 2
        assert results.reports_before(tx, again) == [make_results(job)[1].ref]
        assert jobs.get(tx, job.id) == job


def test_a_study_is_given_to_a_pipeline_that_it_does_not_match_with_all_its_images(
    database: Database,
) -> None:
    with database.transaction() as tx:
        enter(tx, 1, pipelines={})
        enter(tx, 2)
        enter(tx, 3, own=True)
        job = by_hand.process(tx, STUDY_UID, "other", priority=3, now=after(5))
        assert (job.pipeline, job.priority, job.state) == ("other", 3, State.READY)
        assert len(jobs.images(tx, job)) == 2


def test_only_the_images_that_match_are_given_where_some_do(database: Database) -> None:
    with database.transaction() as tx:
        job = failed_job(tx)
        enter(tx, 2, pipelines={})
        again = by_hand.process(tx, STUDY_UID, PIPELINE, priority=0, now=after(5))
        assert len(jobs.images(tx, again)) == len(jobs.images(tx, job))


@pytest.mark.parametrize("make", [failed_job, held_job])
def test_a_job_without_results_is_done_itself(
    database: Database, make: Callable[[Connection], Job]
) -> None:
    with database.transaction() as tx:
        job = make(tx)
        again = by_hand.process(tx, STUDY_UID, PIPELINE, priority=0, now=after(5))
        assert (again.id, again.state, again.reason) == (job.id, State.READY, "")


def test_a_notice_is_superseded_by_what_a_person_asks_for(database: Database) -> None:
    with database.transaction() as tx:
        job = not_analysed_job(tx)
        again = by_hand.process(tx, STUDY_UID, PIPELINE, priority=0, now=after(5))
        assert (job.refused, again.refused, again.revision) == (Cause.VIEW, None, 2)


@pytest.mark.parametrize("make", [waiting_job, ready_job, running_job])
def test_what_a_pipeline_has_in_its_hands_is_left_to_it(
    database: Database, make: Callable[[Connection], Job]
) -> None:
    with database.transaction() as tx:
        job = make(tx)
        with pytest.raises(WrongStep, match=f"job {job.id} of {PIPELINE} is {job.state}"):
            by_hand.process(tx, STUDY_UID, PIPELINE, priority=0, now=NOW)


def test_what_is_not_here_cannot_be_given_to_a_pipeline(database: Database) -> None:
    with database.transaction() as tx:
        with pytest.raises(NotFound, match="no study 9\\.9"):
            by_hand.process(tx, "9.9", PIPELINE, priority=0, now=NOW)
        delivered_job(tx)
        retention.forget(tx, STUDY_UID, now=NOW)
        with pytest.raises(WrongStep, match="were removed"):
            by_hand.process(tx, STUDY_UID, PIPELINE, priority=0, now=NOW)


def test_another_model_answers_once_and_what_comes_later_is_the_pipelines_own_again(
    database: Database,
) -> None:
    with database.transaction() as tx:
        delivered_job(tx)
        again = by_hand.process(tx, STUDY_UID, PIPELINE, priority=0, now=NOW, model="other")
        assert again.model == "other"
        assert last_words(tx) == f"given to {PIPELINE} with other by hand"
        taken = claim(tx)
        assert taken is not None
        queue.fail(tx, taken, "no pixels", now=NOW)
        assert by_hand.retry(tx, again.id, now=NOW).model == "other"
        claim(tx)
        enter(tx, 2)
        late = jobs.latest(tx, STUDY_UID, PIPELINE)
        assert late is not None
        assert (late.revision, late.model) == (3, "")

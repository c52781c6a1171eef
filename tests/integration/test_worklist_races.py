"""Two transactions at once, on both databases: the second runs into what the first has not yet
committed, and must then see it. Without the locks most of these tests fail on Postgres.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TypeVar

import pytest

from dicomnode.errors import LeaseLost, NotAnalysable, WrongStep
from dicomnode.records import Job, ResultKind, State, Verdict, WithdrawalReason
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import arrivals, by_hand, jobs, queue, recall, results, retention, studies
from dicomnode.worklist.arrivals import Entry
from tests.factories import STUDY_UID, uid
from tests.worklist import (
    MODEL,
    NOW,
    PIPELINE,
    after,
    claim,
    delivered_job,
    enter,
    failed_job,
    make_arrival,
    make_results,
    owed,
    ready_job,
    reported_job,
    running_job,
    say,
    waiting_job,
    wanted,
)

First = TypeVar("First")
Second = TypeVar("Second")

_HEAD_START_S = 0.15  #: enough to run into a lock; less would only let a wrong step pass


def race(
    database: Database,
    first: Callable[[Connection], First],
    second: Callable[[Connection], Second],
) -> tuple[First, Second]:
    """Take the first step; begin the second before the first is committed."""

    def take_second() -> Second:
        with database.transaction() as tx:
            return second(tx)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as tx:
            done = first(tx)
            other = pool.submit(take_second)
            wait([other], timeout=_HEAD_START_S)
        return done, other.result(timeout=60)


# --- images and those who take jobs ---------------------------------------------------------


def test_two_first_images_of_one_study_make_one_study_and_one_job(database: Database) -> None:
    both = race(database, lambda tx: enter(tx, 1), lambda tx: enter(tx, 2))

    with database.reading() as tx:
        (job,) = jobs.listed(tx)
    assert both == (Entry.NEW, Entry.NEW)
    assert job.received == 2


def test_the_same_image_twice_at_once_is_new_once(database: Database) -> None:
    assert race(database, enter, enter) == (Entry.NEW, Entry.KNOWN)


def test_one_uid_in_two_studies_at_once_is_a_conflict(database: Database) -> None:
    first = make_arrival()
    stray = make_arrival(ref=replace(first.ref, study_uid=uid("another study")), sha256="f" * 64)

    both = race(
        database,
        lambda tx: arrivals.enter(tx, [first], now=NOW),
        lambda tx: arrivals.enter(tx, [stray], now=NOW),
    )

    assert both == ([Entry.NEW], [Entry.CONFLICT])


def test_an_image_that_comes_while_a_worker_takes_the_job_makes_a_revision(
    database: Database,
) -> None:
    with database.transaction() as tx:
        ready_job(tx)

    taken, _ = race(database, claim, lambda tx: enter(tx, 2))

    with database.reading() as tx:
        late, first = jobs.listed(tx)
        assert taken == first
        assert (first.state, late.state, late.revision) == (State.RUNNING, State.WAITING, 2)


def test_a_worker_does_not_take_a_job_for_which_an_image_is_coming(database: Database) -> None:
    with database.transaction() as tx:
        ready_job(tx)

    _, taken = race(database, lambda tx: enter(tx, 2), claim)

    assert taken is None


def test_a_study_is_not_closed_over_an_image_that_is_coming(database: Database) -> None:
    with database.transaction() as tx:
        job = waiting_job(tx)

    _, closed = race(
        database,
        lambda tx: enter(tx, 2),
        lambda tx: studies.close(tx, job, State.READY, now=NOW),
    )

    assert not closed


def test_an_image_that_comes_while_its_study_is_closed_is_in_the_job_that_runs(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = waiting_job(tx)

    race(
        database,
        lambda tx: studies.close(tx, job, State.READY, now=NOW),
        lambda tx: enter(tx, 2),
    )

    with database.transaction() as tx:
        again = jobs.get(tx, job.id)
        assert again.state is State.WAITING
        assert studies.close(tx, again, State.READY, now=NOW)
        assert len(jobs.images(tx, again)) == 2


def test_an_image_that_comes_while_a_job_is_cancelled_leaves_it_cancelled(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = ready_job(tx)

    race(database, lambda tx: by_hand.cancel(tx, job.id, now=NOW), lambda tx: enter(tx, 2))

    with database.reading() as tx:
        (only,) = jobs.listed(tx)
        assert only.state is State.CANCELLED


def test_a_job_is_not_retried_while_an_image_makes_the_next_revision(database: Database) -> None:
    with database.transaction() as tx:
        job = failed_job(tx)

    with pytest.raises(WrongStep, match="superseded"):
        race(database, lambda tx: enter(tx, 2), lambda tx: by_hand.retry(tx, job.id, now=NOW))


def test_an_image_that_comes_while_a_job_is_retried_is_in_that_job(database: Database) -> None:
    with database.transaction() as tx:
        job = failed_job(tx)

    race(database, lambda tx: by_hand.retry(tx, job.id, now=NOW), lambda tx: enter(tx, 2))

    with database.reading() as tx:
        (only,) = jobs.listed(tx)
        assert (only.state, only.received) == (State.WAITING, 2)


# --- a person and the machine ---------------------------------------------------------------


def test_who_cancels_a_job_that_was_just_delivered_is_told_so(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        capture, report = owed(tx)
        say(tx, capture, Verdict.STORED)

    with pytest.raises(WrongStep, match="is delivered; there is nothing to cancel"):
        race(
            database,
            lambda tx: say(tx, report, Verdict.STORED),
            lambda tx: by_hand.cancel(tx, job.id, now=NOW),
        )


def test_the_last_answer_and_the_cancelling_do_not_block_each_other(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        capture, report = owed(tx)
        say(tx, capture, Verdict.STORED)

    race(
        database,
        lambda tx: by_hand.cancel(tx, job.id, now=NOW),
        lambda tx: say(tx, report, Verdict.STORED),
    )

    with database.reading() as tx:
        assert jobs.get(tx, job.id).state is State.CANCELLED


def test_results_are_not_owed_for_a_job_that_is_being_cancelled(database: Database) -> None:
    with database.transaction() as tx:
        job = running_job(tx)

    with pytest.raises(LeaseLost):
        race(
            database,
            lambda tx: by_hand.cancel(tx, job.id, now=NOW),
            lambda tx: queue.finish(tx, job, make_results(job), wanted("pacs"), now=NOW),
        )

    with database.reading() as tx:
        assert not results.exist_for(tx, job)


def test_a_model_that_is_recalled_while_a_job_ends_finds_its_results_or_stops_it(
    database: Database,
) -> None:
    with database.transaction() as tx:
        first, second = running_job(tx), running_job(tx, study_uid=uid("another"))

    def finish(job: Job) -> Callable[[Connection], None]:
        return lambda tx: queue.finish(tx, job, make_results(job), wanted("pacs"), now=NOW)

    def stop(tx: Connection) -> list[int]:
        recall.stop(tx, MODEL, WithdrawalReason.SAFETY, now=NOW)
        return recall.jobs_of(tx, MODEL)

    _, found = race(database, finish(first), stop)
    assert found == [first.id]
    with database.transaction() as tx:
        assert recall.reinstate(tx, MODEL)

    with pytest.raises(NotAnalysable, match=f"{MODEL} was recalled: safety"):
        race(database, stop, finish(second))

    several = [
        replace(result, model="both@1", members=(MODEL, "other@1"))
        for result in make_results(second)
    ]
    with pytest.raises(NotAnalysable, match=f"{MODEL} was recalled"), database.transaction() as tx:
        queue.finish(tx, second, several, wanted("pacs"), now=NOW)

    with database.reading() as tx:
        assert not results.exist_for(tx, second)
        assert jobs.get(tx, second.id).state is State.RUNNING


# --- deliveries -----------------------------------------------------------------------------


def test_the_last_results_of_two_peers_at_once_end_the_job(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx, peers=("pacs", "archive"))
        for peer in ("pacs", "archive"):
            say(tx, owed(tx, peer)[0], Verdict.STORED)
        left = [owed(tx, peer, now=after(61))[0] for peer in ("pacs", "archive")]

    race(
        database,
        lambda tx: say(tx, left[0], Verdict.STORED),
        lambda tx: say(tx, left[1], Verdict.STORED),
    )

    with database.reading() as tx:
        assert jobs.get(tx, job.id).state is State.DELIVERED


def test_a_second_sender_does_not_overtake_the_first(database: Database) -> None:
    with database.transaction() as tx:
        reported_job(tx)

    first, second = race(
        database,
        lambda tx: owed(tx, holder="one", limit=1),
        lambda tx: owed(tx, holder="two", limit=1),
    )

    assert [item.kind for item in first] == [ResultKind.SC]
    assert second == []


def recall_now(tx: Connection, job: Job) -> list[ResultKind]:
    """Recall a job's results; what peers may have of them."""
    now = jobs.get(tx, job.id, lock=True)
    recall.hold_back(tx, now)
    found = recall.standing(tx, now)
    recall.withdraw(tx, now, [], {}, "recalled", now=NOW)
    return [one.kind for one in found]


def test_what_is_being_taken_to_a_peer_while_it_is_recalled_counts_as_there(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)

    taken, there = race(database, lambda tx: owed(tx, limit=1), lambda tx: recall_now(tx, job))

    assert [item.kind for item in taken] == there == [ResultKind.SC]


def test_what_is_recalled_is_not_taken_to_a_peer(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)

    there, taken = race(database, lambda tx: recall_now(tx, job), owed)

    assert (there, taken) == ([], [])


def test_the_last_answer_of_a_peer_while_its_results_are_recalled_ends_the_job_once(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        capture, report = owed(tx)
        say(tx, capture, Verdict.STORED)

    _, there = race(
        database,
        lambda tx: say(tx, report, Verdict.STORED),
        lambda tx: recall_now(tx, job),
    )

    assert there == [ResultKind.SC, ResultKind.SR]
    with database.reading() as tx:
        assert jobs.get(tx, job.id).state is State.WITHDRAWN


def test_senders_to_different_peers_do_not_wait_for_each_other(database: Database) -> None:
    with database.transaction() as tx:
        reported_job(tx, peers=("pacs", "archive"))

    pacs, archive = race(database, lambda tx: owed(tx, "pacs"), lambda tx: owed(tx, "archive"))

    assert len(pacs) == len(archive) == 2


# --- retention ------------------------------------------------------------------------------


def remove_old(tx: Connection) -> list[str]:
    old = retention.to_remove(tx, before=after(100))
    for study_uid in old:
        retention.forget(tx, study_uid, now=after(200))
    return old


def test_a_study_is_not_removed_while_an_image_is_coming(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx)

    _, removed = race(database, lambda tx: enter(tx, 2, now=after(150)), remove_old)

    assert removed == []


def test_an_image_that_comes_while_its_study_is_removed_stays(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx)

    removed, entry = race(database, remove_old, lambda tx: enter(tx, 1, now=after(150)))

    assert (removed, entry) == ([STUDY_UID], Entry.NEW)
    with database.reading() as tx:
        late = jobs.latest(tx, STUDY_UID, PIPELINE)
        assert late is not None
        assert (late.revision, late.received) == (2, 1)


def test_a_study_is_not_removed_while_its_job_is_retried(database: Database) -> None:
    with database.transaction() as tx:
        job = by_hand.cancel(tx, waiting_job(tx).id, now=NOW)

    _, removed = race(database, lambda tx: by_hand.retry(tx, job.id, now=NOW), remove_old)

    assert removed == []


def test_a_job_is_not_retried_while_its_images_are_removed(database: Database) -> None:
    with database.transaction() as tx:
        job = by_hand.cancel(tx, waiting_job(tx).id, now=NOW)

    with pytest.raises(WrongStep, match="were removed"):
        race(database, remove_old, lambda tx: by_hand.retry(tx, job.id, now=NOW))

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomnode.answers import Presence, Score
from dicomnode.errors import Cause, LeaseLost, NotFound, WrongStep
from dicomnode.records import Job, ResultKind, State
from dicomnode.storage.database import Database
from dicomnode.worklist import by_hand, history, jobs, outbox, queue, results, studies
from tests.factories import STUDY_UID, uid
from tests.worklist import (
    NOW,
    PIPELINE,
    after,
    claim,
    enter,
    events,
    make_results,
    ready_job,
    reported_job,
    running_job,
    waiting_job,
    wanted,
)

# --- claim ----------------------------------------------------------------------------------


def test_a_claimed_job_is_held_by_its_worker(database: Database) -> None:
    with database.transaction() as tx:
        ready = ready_job(tx)
        job = claim(tx, "node/7", now=after(5))
        assert claim(tx, "node/8", now=after(5)) is None

    assert job is not None
    assert (job.id, job.state, job.lease, job.attempts) == (ready.id, State.RUNNING, "node/7", 1)
    assert job.updated_at == after(5)


def test_there_is_nothing_to_claim_while_images_are_awaited(database: Database) -> None:
    with database.transaction() as tx:
        waiting_job(tx)
        assert claim(tx) is None


def test_the_most_urgent_job_goes_first_then_the_one_that_was_ready_first(
    database: Database,
) -> None:
    with database.transaction() as tx:
        for name, priority, at in (("b", 0, 2), ("a", 0, 1), ("c", 5, 3), ("d", -1, 0)):
            ready_job(tx, study_uid=uid(name), pipelines={PIPELINE: priority}, now=after(at))
        taken = [claim(tx, f"node/{n}", now=after(10)) for n in range(5)]

    assert [job and job.study_uid for job in taken] == [*map(uid, ("c", "a", "b", "d")), None]


def test_a_job_is_left_alone_until_its_time(database: Database) -> None:
    with database.transaction() as tx:
        job = running_job(tx)
        queue.later(tx, job, "GPU busy", wait_s=30, now=NOW)
        assert claim(tx, now=after(29.9)) is None
        again = claim(tx, now=after(30))

    assert again is not None
    assert (again.attempts, again.reason) == (2, "GPU busy")


def test_a_revision_waits_until_the_earlier_one_is_out_of_the_workers_hands(
    database: Database,
) -> None:
    with database.transaction() as tx:
        first = running_job(tx)
        enter(tx, 2)
        late = ready_job(tx, images=2)
        assert late.revision == 2
        assert claim(tx) is None
        queue.later(tx, first, "again", wait_s=100, now=NOW)
        assert claim(tx) is None
        again = claim(tx, now=after(100))
        assert again is not None
        assert again.id == first.id
        queue.fail(tx, again, "no pixels", now=after(101))
        second = claim(tx, now=after(101))
        assert second is not None
        assert second.id == late.id


def test_another_pipeline_of_the_study_does_not_wait(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, pipelines={"chest": 1, "fracture": 0})
        for job in jobs.listed(tx):
            studies.close(tx, job, State.READY, now=NOW)
        taken = [claim(tx, f"node/{n}") for n in range(2)]

    assert [job and job.pipeline for job in taken] == ["chest", "fracture"]


def test_claimers_in_parallel_never_get_the_same_job(database: Database) -> None:
    with database.transaction() as tx:
        made = {ready_job(tx, study_uid=uid(number)).id for number in range(24)}

    def work(name: str) -> list[Job]:
        taken: list[Job] = []
        while True:
            with database.transaction() as tx:
                job = claim(tx, name)
            if job is None:
                return taken
            taken.append(job)

    with ThreadPoolExecutor(4) as pool:
        lots = list(pool.map(work, [f"node/{n}" for n in range(4)]))
    taken = [job.id for lot in lots for job in lot]

    assert len(taken) == len(made)
    assert set(taken) == made


# --- leases ---------------------------------------------------------------------------------


def test_a_lease_that_runs_out_gives_the_job_to_the_next_worker(database: Database) -> None:
    with database.transaction() as tx:
        job = running_job(tx, worker="node/1")
        assert queue.expire(tx, attempts=3, now=after(60)) == []
        assert queue.expire(tx, attempts=3, now=after(60.1)) == [job]
        again = claim(tx, "node/2", now=after(61))
        lines = history.of_study(tx, STUDY_UID)

    assert again is not None
    assert (again.id, again.lease, again.attempts) == (job.id, "node/2", 2)
    assert lines[-2].detail == "worker node/1 was lost"


def test_a_renewed_lease_lasts_longer(database: Database) -> None:
    with database.transaction() as tx:
        job = running_job(tx)
        queue.renew(tx, job, lease_s=60, now=after(50))
        assert queue.expire(tx, attempts=3, now=after(100)) == []
        assert queue.expire(tx, attempts=3, now=after(111)) == [job]


def test_a_dead_node_gives_back_what_its_workers_held_at_once(database: Database) -> None:
    with database.transaction() as tx:
        held = {
            worker: running_job(tx, worker=worker, study_uid=uid(worker)).id
            for worker in ("one/1", "one/2", "two/1", "one", "onemore/1", "o_e/1")
        }
        lost = queue.expire(tx, attempts=3, now=NOW, worker="one")
        assert {job.id for job in lost} == {held["one/1"], held["one/2"], held["one"]}
        lost = queue.expire(tx, attempts=3, now=NOW, worker="o_e")
        assert {job.id for job in lost} == {held["o_e/1"]}


def test_a_worker_that_comes_back_late_finds_its_lease_lost(database: Database) -> None:
    with database.transaction() as tx:
        job = running_job(tx, worker="node/1")
        queue.expire(tx, attempts=3, now=after(61))
        with pytest.raises(LeaseLost):
            queue.renew(tx, job, lease_s=60, now=after(62))
        again = claim(tx, "node/2", now=after(62))
        steps: list[Callable[[], object]] = [
            lambda: queue.renew(tx, job, lease_s=60, now=after(63)),
            lambda: queue.finish(tx, job, make_results(job), wanted("pacs"), now=after(63)),
            lambda: queue.later(tx, job, "x", wait_s=1, now=after(63)),
            lambda: queue.fail(tx, job, "x", now=after(63)),
        ]
        for step in steps:
            with pytest.raises(LeaseLost):
                step()
        assert jobs.get(tx, job.id) == again
        assert not results.exist_for(tx, job)


def test_a_job_that_keeps_losing_its_worker_is_refused_and_in_the_end_failed(
    database: Database,
) -> None:
    states = []
    with database.transaction() as tx:
        ready_job(tx)
        for attempt in range(6):
            assert claim(tx, now=after(100 * attempt)) is not None
            (lost,) = queue.expire(tx, attempts=3, now=after(100 * attempt + 61))
            job = jobs.get(tx, lost.id)
            states.append((job.state, job.refused))
        assert claim(tx, now=after(1000)) is None

    assert states[:2] == [(State.READY, None)] * 2
    assert states[2:5] == [(State.READY, Cause.MODEL_FAILED)] * 3
    assert job.state is State.FAILED
    assert job.reason == "a worker was lost with this job; attempts: 3"


def test_a_worker_that_is_asked_to_stop_loses_no_attempt(database: Database) -> None:
    with database.transaction() as tx:
        running_job(tx, worker="node/1")
        queue.release(tx, "node/2", now=NOW)
        assert claim(tx) is None
        queue.release(tx, "node/1", now=NOW)
        again = claim(tx)

    assert again is not None
    assert again.attempts == 1


# --- the end of a step ----------------------------------------------------------------------


def test_finish_owes_each_result_to_each_peer_captures_first(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx, peers=("pacs", "archive"))
        owed = [(item.kind, item.peer) for item in outbox.of_job(tx, job.id)]
        (capture, scores), (report, _) = results.of_job(tx, job.id)

    assert (job.state, job.lease, job.attempts) == (State.REPORTED, None, 0)
    assert owed == [
        (ResultKind.SC, "pacs"),
        (ResultKind.SC, "archive"),
        (ResultKind.SR, "pacs"),
        (ResultKind.SR, "archive"),
    ]
    assert [capture, report] == [result.ref for result in make_results(job)]
    assert scores == {"nodule": Score(probability=0.75, presence=Presence.PRESENT)}


def test_finish_is_all_or_nothing(database: Database) -> None:
    with database.transaction() as tx:
        job = running_job(tx)

    def finish_and_die() -> None:
        with database.transaction() as tx:
            queue.finish(tx, job, make_results(job), wanted("pacs"), now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        finish_and_die()

    with database.reading() as tx:
        assert jobs.get(tx, job.id) == job
        assert not results.exist_for(tx, job)
        assert outbox.of_job(tx, job.id) == []
        assert events(tx)[-1] == "running"


def test_a_failed_job_keeps_its_reason_and_is_not_claimed(database: Database) -> None:
    with database.transaction() as tx:
        job = running_job(tx)
        queue.fail(tx, job, "no pixels", now=NOW)
        failed = jobs.get(tx, job.id)
        assert claim(tx, now=after(10**6)) is None

    assert (failed.state, failed.reason, failed.lease) == (State.FAILED, "no pixels", None)


# --- looking --------------------------------------------------------------------------------


def test_jobs_are_listed_newest_first_by_state_and_study(database: Database) -> None:
    with database.transaction() as tx:
        first = ready_job(tx, study_uid=uid("a"))
        second = waiting_job(tx, study_uid=uid("b"))

        assert jobs.listed(tx) == [second, first]
        assert jobs.listed(tx, states=[State.READY]) == [first]
        assert jobs.listed(tx, study_uid=uid("b")) == [second]
        assert jobs.listed(tx, limit=1) == [second]
        assert jobs.count(tx) == {State.READY: 1, State.WAITING: 1}


def test_an_unknown_number_is_not_found(database: Database) -> None:
    with database.transaction() as tx:
        looks: list[Callable[[], Job]] = [
            lambda: jobs.get(tx, 99),
            lambda: jobs.get(tx, 99, lock=True),
            lambda: by_hand.retry(tx, 99, now=NOW),
            lambda: by_hand.cancel(tx, 99, now=NOW),
        ]
        for look in looks:
            with pytest.raises(NotFound, match="no job 99"):
                look()


def test_a_step_that_the_table_does_not_have_changes_nothing(database: Database) -> None:
    with database.transaction() as tx:
        job = ready_job(tx)
        with pytest.raises(WrongStep):
            jobs.move(tx, job, State.DELIVERED, now=NOW)
        assert jobs.get(tx, job.id) == job
        assert events(tx) == ["waiting", "ready"]

"""The queue: claim a job with a lease, keep the lease, say what became of it.

Every function is one step inside the caller's transaction. A lease that runs out gives the job
to the next worker; a worker that comes back late finds `LeaseLost`.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from dicomnode.errors import Cause, LeaseLost, WrongStep
from dicomnode.records import Job, Result, ResultKind, State
from dicomnode.storage.database import Connection
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist import outbox, recall, results
from dicomnode.worklist.jobs import move
from dicomnode.worklist.states import OPEN
from dicomnode.worklist.tables import instances, jobs, studies

__all__ = [
    "backoff_s",
    "cancel",
    "claim",
    "expire",
    "fail",
    "finish",
    "hold",
    "later",
    "release",
    "renew",
    "retry",
]


def backoff_s(attempt: int, *, first_s: float, longest_s: float) -> float:
    """Seconds to wait after the given attempt (from 1): doubling, capped, with full jitter above
    half, so that jobs that failed together do not come back together.
    """
    wait = min(longest_s, first_s * 2.0 ** min(attempt - 1, 60))
    return wait * random.uniform(0.5, 1.0)  # noqa: S311  spreading load, not keeping a secret


def claim(tx: Connection, worker: str, *, lease_s: float, now: datetime) -> Job | None:
    """Take the most urgent job that may be started, or None.

    A revision waits until the earlier ones of its study are out of the workers' hands, so that it
    can name the result it supersedes.
    """
    earlier = jobs.alias()
    busy = sa.exists().where(
        earlier.c.study_uid == jobs.c.study_uid,
        earlier.c.pipeline == jobs.c.pipeline,
        earlier.c.revision < jobs.c.revision,
        earlier.c.state.in_([State.READY, State.RUNNING]),
    )
    candidate = (
        sa.select(jobs.c.id)
        .where(jobs.c.state == State.READY, jobs.c.not_before <= now, ~busy)
        .order_by(jobs.c.priority.desc(), jobs.c.ready_at, jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)  # SQLite has one writer anyway
    )
    job_id = tx.execute(candidate).scalar_one_or_none()
    if job_id is None:
        return None
    job = _jobs.get(tx, job_id)
    taken = {
        "lease": worker,
        "lease_until": now + timedelta(seconds=lease_s),
        "attempts": job.attempts + 1,
    }
    move(tx, job, State.RUNNING, now=now, values=taken)
    return _jobs.get(tx, job_id)


def renew(tx: Connection, job: Job, *, lease_s: float, now: datetime) -> None:
    """Say that the worker is alive.

    Raises:
        LeaseLost: the job is no longer this worker's.
    """
    mine = (jobs.c.id == job.id) & (jobs.c.state == State.RUNNING) & (jobs.c.lease == job.lease)
    until = now + timedelta(seconds=lease_s)
    if tx.execute(sa.update(jobs).where(mine).values(lease_until=until)).rowcount != 1:
        raise LeaseLost(f"job {job.id} was taken or changed by another")


def finish(
    tx: Connection,
    job: Job,
    made: Sequence[Result],
    wanted: Mapping[str, Collection[ResultKind]],
    *,
    now: datetime,
    refused: Cause | None = None,
    because: str = "",
) -> None:
    """Record the results, owe each peer what it wants, and move the job on: all or nothing.

    `refused` and `because` where the results are notices, which say that there are none and why.
    Where nobody is owed anything, the job ends with that.

    Raises:
        LeaseLost: the job is no longer this worker's.
        NotAnalysable: the results are of a model that was recalled meanwhile.
    """
    if refused is None:
        recall.demand_standing(tx, (result.model for result in made), until_end=True)
    said = {"refused": refused, "because": because, "reason": because, "attempts": 0}
    move(tx, job, State.REPORTED, now=now, detail=because, values=said)
    outbox.owe(tx, job, made, wanted, now=now)
    outbox.settle(tx, job.id, now=now)


def later(tx: Connection, job: Job, reason: str, *, wait_s: float, now: datetime) -> None:
    """Give the job back; it may be claimed again after `wait_s` seconds."""
    values = {"reason": reason, "not_before": now + timedelta(seconds=wait_s)}
    move(tx, job, State.READY, now=now, detail=reason, values=values)


def release(tx: Connection, worker: str, *, now: datetime) -> None:
    """Give back what a worker held that was asked to stop, as if it had never claimed it."""
    for job in _running(tx, _held_by(worker)):
        values = {"attempts": max(0, job.attempts - 1)}
        move(tx, job, State.READY, now=now, detail="the worker was asked to stop", values=values)


def fail(tx: Connection, job: Job, reason: str, *, now: datetime) -> None:
    """End the job; it stays visible with its reason until someone acts."""
    move(tx, job, State.FAILED, now=now, detail=reason, values={"reason": reason})


def hold(tx: Connection, job: Job, reason: str, *, now: datetime) -> None:
    """Nothing is made of these images before a person has looked at them."""
    move(tx, job, State.HELD, now=now, detail=reason, values={"reason": reason})


def expire(tx: Connection, *, attempts: int, now: datetime, worker: str | None = None) -> list[Job]:
    """Take back jobs whose lease ran out, or all that a dead `worker` held (`NODE/...` of a NODE).

    A job that was started `attempts` times and never finished may be what kills the worker: it is
    refused, and the next claim only makes the notice. Where that ends like this, it is failed.
    """
    lost = _running(tx, jobs.c.lease_until < now if worker is None else _held_by(worker))
    for job in lost:
        words = f"a worker was lost with this job; attempts: {job.attempts}"
        if job.attempts < attempts:
            move(tx, job, State.READY, now=now, detail=f"worker {job.lease} was lost")
        elif job.refused is None:
            given_up = {"refused": Cause.MODEL_FAILED, "because": words, "reason": words}
            values = {"attempts": 0} | given_up
            move(tx, job, State.READY, now=now, detail=words, values=values)
        else:
            fail(tx, job, job.because, now=now)
    return lost


def _held_by(worker: str) -> sa.ColumnElement[bool]:
    """Under this worker's lease, or under that of any worker of this node."""
    return (jobs.c.lease == worker) | jobs.c.lease.startswith(f"{worker}/", autoescape=True)


def _running(tx: Connection, which: sa.ColumnElement[bool]) -> list[Job]:
    rows = tx.execute(
        sa.select(jobs.c.id)
        .where(jobs.c.state == State.RUNNING, which)
        .with_for_update(skip_locked=True, key_share=True)
    )
    return [_jobs.get(tx, job_id) for job_id in rows.scalars().all()]


def retry(tx: Connection, job_id: int, *, now: datetime) -> Job:
    """A person asks for a job again: what failed is done again, what was refused is sent again.

    What was not analysed, or was withdrawn, is done again as a new revision, which supersedes what
    the peers have.

    Raises:
        NotFound: there is no such job.
        WrongStep: it has not ended badly, its images are gone, or there is a later revision.
    """
    _jobs.lock_study(tx, _jobs.get(tx, job_id).study_uid)
    job = _jobs.get(tx, job_id, lock=True)
    if job.state in OPEN or job.state is State.DELIVERED:
        raise WrongStep(f"job {job.id} is {job.state}; there is nothing to retry")
    if _is_removed(tx, job):
        raise WrongStep(f"the images of job {job.id} were removed; send the study again")
    newest = _jobs.latest(tx, job.study_uid, job.pipeline)
    if newest is not None and newest.revision > job.revision:
        raise WrongStep(f"job {job.id} is superseded by job {newest.id}; retry that one")
    if job.state in (State.NOT_ANALYSED, State.WITHDRAWN):
        return _analyse_again(tx, _revise(tx, job, now=now), job, now=now)
    if job.state is State.UNDELIVERED or results.exist_for(tx, job):
        fresh = {"attempts": 0, "reason": job.because, "not_before": now}
        move(tx, job, State.REPORTED, now=now, detail=_BY_HAND, values=fresh)
        outbox.owe_again(tx, job, now=now)
        return _jobs.get(tx, job_id)
    return _analyse_again(tx, job, job, now=now)


_BY_HAND = "retried by hand"


def _revise(tx: Connection, job: Job, *, now: datetime) -> Job:
    """The next revision of an ended job, still waiting."""
    words = f"job {job.id} was retried by hand: revision {job.revision + 1}"
    made = {(job.study_uid, job.pipeline): job.priority}
    (job_id,) = _jobs.make(tx, made, now=now, revision=job.revision + 1, detail=words)
    return _jobs.get(tx, job_id)


def _analyse_again(tx: Connection, job: Job, before: Job, *, now: datetime) -> Job:
    """Let a worker take the job, with all images that are here; `before` tells how it ended."""
    was_short = before.state is State.INCOMPLETE or before.refused is Cause.INCOMPLETE
    values = {
        "attempts": 0,
        "reason": "",
        "refused": None,
        "because": "",
        "not_before": now,
        "last_instance_id": _last_instance_id(job),
        "expected": before.expected,
        "partial": before.partial or was_short,
        "ready_at": job.ready_at or now,
    }
    move(tx, job, State.READY, now=now, detail=_BY_HAND, values=values)
    return _jobs.get(tx, job.id)


def cancel(tx: Connection, job_id: int, *, now: datetime) -> Job:
    """A person says no: nothing more is done or sent for this job.

    Raises:
        NotFound: there is no such job.
        WrongStep: it has already ended.
    """
    job = _jobs.get(tx, job_id, lock=True)
    words = "cancelled by hand"
    move(tx, job, State.CANCELLED, now=now, detail=words, values={"reason": words})
    outbox.cancel(tx, job, now=now)
    return _jobs.get(tx, job_id)


def _is_removed(tx: Connection, job: Job) -> bool:
    gone = sa.select(studies.c.removed_at).where(studies.c.study_uid == job.study_uid)
    return tx.execute(gone).scalar_one() is not None


def _last_instance_id(job: Job) -> sa.ScalarSelect[int]:
    newest = sa.func.coalesce(sa.func.max(instances.c.id), 0)
    return sa.select(newest).where(instances.c.study_uid == job.study_uid).scalar_subquery()

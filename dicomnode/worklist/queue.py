"""The queue: claim a job with a lease, keep the lease, say what became of it.

Every function is one step inside the caller's transaction. A lease that runs out gives the job
to the next worker; a worker that comes back late finds `LeaseLost`.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from dicomnode.answers import Result
from dicomnode.errors import Cause, LeaseLost
from dicomnode.records import Job, ResultKind, State
from dicomnode.storage.database import Connection
from dicomnode.worklist import findings, outbox, owing, recall
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist.jobs import move
from dicomnode.worklist.tables import jobs

__all__ = [
    "backoff_s",
    "claim",
    "expire",
    "fail",
    "finish",
    "hold",
    "later",
    "release",
    "renew",
]


_ALONE_AT = 2  #: the attempt from which on a job is run alone


def backoff_s(attempt: int, *, first_s: float, longest_s: float) -> float:
    """Seconds to wait after the given attempt (from 1): doubling, capped, with full jitter above
    half, so that jobs that failed together do not come back together.
    """
    wait = min(longest_s, first_s * 2.0 ** min(attempt - 1, 60))
    return wait * random.uniform(0.5, 1.0)  # noqa: S311  spreading load, not keeping a secret


def claim(
    tx: Connection, worker: str, *, lease_s: float, now: datetime, beside: bool = False
) -> Job | None:
    """Take the most urgent job that may be started, or None.

    A revision waits until the earlier ones of its study are out of the workers' hands, so that it
    can name the result it supersedes. `beside` others that this worker has in its hands no job is
    taken that was started before and never ended, nor one behind it: it may kill the worker.
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
    if beside and job.attempts > 0:
        return None
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
        NotAnalysable: the results are of a model that was recalled meanwhile, or of several, one
            of which was.
    """
    if refused is None:
        spoke = (model for result in made for model in (result.model, *result.members))
        recall.demand_standing(tx, spoke, until_end=True)
    said = {"refused": refused, "because": because, "reason": because, "attempts": 0}
    move(tx, job, State.REPORTED, now=now, detail=because, values=said)
    findings.record(tx, job, made if refused is None else ())
    owing.owe(tx, job, made, wanted, now=now)
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
    refused, and the next claim only makes the notice. Where that ends like this, it is failed. The
    first time it may have been beside what did, so there is always a second one, alone.
    """
    lost = _running(tx, jobs.c.lease_until < now if worker is None else _held_by(worker))
    for job in lost:
        words = f"a worker was lost with this job; attempts: {job.attempts}"
        if job.attempts < max(attempts, _ALONE_AT):
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

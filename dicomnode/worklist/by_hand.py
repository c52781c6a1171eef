"""What a person may do with jobs: again, no more, sooner, send again, by another pipeline.

Every function is one step inside the caller's transaction; `by` is who asks, for the history.
Workers and couriers look every half second, and take up by themselves what is decided here.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa

from dicomnode.errors import Cause, NotFound, WrongStep
from dicomnode.records import Job, ResultKind, State
from dicomnode.storage.database import Connection
from dicomnode.worklist import history, owing, results
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist.jobs import move
from dicomnode.worklist.states import MOVES, OPEN
from dicomnode.worklist.tables import instances, jobs, matches, studies

__all__ = ["cancel", "hurry", "next_place", "process", "resend", "retry"]

_WAITING = (State.WAITING, State.READY)


def retry(tx: Connection, job_id: int, *, now: datetime, by: str = "hand") -> Job:
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
    if _is_removed(tx, job.study_uid):
        raise WrongStep(f"the images of job {job.id} were removed; send the study again")
    newest = _jobs.latest(tx, job.study_uid, job.pipeline)
    if newest is not None and newest.revision > job.revision:
        raise WrongStep(f"job {job.id} is superseded by job {newest.id}; retry that one")
    words = f"retried by {by}"
    if job.state in (State.NOT_ANALYSED, State.WITHDRAWN):
        return _analyse_again(tx, _revise(tx, job, words, now=now), job, words, now=now)
    if job.state is State.UNDELIVERED or results.exist_for(tx, job):
        _report_again(tx, job, words, now=now)
        owing.owe_again(tx, job, now=now)
        return _jobs.get(tx, job_id)
    return _analyse_again(tx, job, job, words, now=now)


def cancel(tx: Connection, job_id: int, *, now: datetime, by: str = "hand") -> Job:
    """A person says no: nothing more is done or sent for this job.

    Raises:
        NotFound: there is no such job.
        WrongStep: it has already ended.
    """
    job = _jobs.get(tx, job_id, lock=True)
    if State.CANCELLED not in MOVES[job.state]:
        raise WrongStep(f"job {job.id} is {job.state}; there is nothing to cancel")
    words = f"cancelled by {by}"
    move(tx, job, State.CANCELLED, now=now, detail=words, values={"reason": words})
    owing.cancel(tx, job, now=now)
    return _jobs.get(tx, job_id)


def next_place(tx: Connection) -> int:
    """The least priority that comes before every job that waits now."""
    highest = (
        tx.scalar(
            sa.select(jobs.c.priority)
            .where(jobs.c.state == state)
            .order_by(jobs.c.priority.desc())
            .limit(1)
        )
        for state in _WAITING
    )
    return max((found for found in highest if found is not None), default=0) + 1


def hurry(tx: Connection, job_id: int, priority: int, *, now: datetime, by: str = "hand") -> Job:
    """Give a job that waits another priority; the highest is taken first.

    Raises:
        NotFound: there is no such job.
        WrongStep: it waits no longer.
    """
    job = _jobs.get(tx, job_id, lock=True)
    if job.state not in _WAITING:
        raise WrongStep(f"job {job.id} is {job.state}; only a job that waits can be hurried")
    values = {"priority": priority, "updated_at": now}
    tx.execute(sa.update(jobs).where(jobs.c.id == job.id).values(values))
    words = f"priority {priority} instead of {job.priority}, by {by}"
    history.note(tx, job.study_uid, "priority", now=now, job_id=job.id, detail=words)
    return _jobs.get(tx, job_id)


def resend(
    tx: Connection,
    job_id: int,
    wanted: Mapping[str, Collection[ResultKind]],
    *,
    now: datetime,
    by: str = "hand",
) -> Job:
    """Owe a job's results again to these peers, each of which gets its kinds, and all it had.

    Peers get the same objects once more, under the same UIDs. What was recalled is not sent again,
    but what says so.

    Raises:
        NotFound: there is no such job.
        WrongStep: it has no results, they are gone, there are later ones, or nothing of them is
            for these peers.
    """
    _jobs.lock_study(tx, _jobs.get(tx, job_id).study_uid)
    job = _jobs.get(tx, job_id, lock=True)
    if not results.exist_for(tx, job):
        raise WrongStep(f"job {job.id} is {job.state} and has no results to send")
    if _is_removed(tx, job.study_uid):
        raise WrongStep(f"the results of job {job.id} were removed; send the study again")
    if (newer := _newer_results(tx, job)) is not None:
        raise WrongStep(f"job {job.id} is superseded by job {newer}; send that one again")
    count = owing.owe_once_more(tx, job, wanted, now=now)
    if not count:
        raise WrongStep(f"no result of job {job.id} is for {', '.join(wanted) or 'any peer'}")
    words = f"sent again to {', '.join(wanted)} by {by}"
    if job.state is State.REPORTED:
        history.note(tx, job.study_uid, "resent", now=now, job_id=job.id, detail=words)
    else:
        _report_again(tx, job, words, now=now)
    return _jobs.get(tx, job_id)


def process(
    tx: Connection,
    study_uid: str,
    pipeline: str,
    *,
    priority: int,
    now: datetime,
    by: str = "hand",
    model: str = "",
) -> Job:
    """Have a study done by a pipeline, whatever its rules: from its beginning, with all images.

    `model` is the name of one that answers in place of the pipeline's, this once: images that come
    later make a revision by the pipeline's own. Where the study has results of that pipeline, there
    will be a new revision, which supersedes them. Where the rules match none of its images, all of
    them are given to the model, which takes those that it is for.

    Raises:
        NotFound: there is no such study.
        WrongStep: its images are gone, or the pipeline has it in its hands already.
    """
    _jobs.lock_study(tx, study_uid)
    if _is_removed(tx, study_uid):
        raise WrongStep("the images of this study were removed; send it again")
    _demand_images(tx, study_uid, pipeline)
    words = f"given to {pipeline}{f' with {model}' if model else ''} by {by}"
    newest = _jobs.newest(tx, study_uid, pipeline)
    if newest is None:
        (job_id,) = _jobs.make(tx, {(study_uid, pipeline): priority}, now=now, detail=words)
        job = _jobs.get(tx, job_id)
        return _analyse_again(tx, job, job, words, now=now, model=model)
    job = _jobs.get(tx, newest[0], lock=True)
    if job.state in OPEN - {State.REPORTED}:
        raise WrongStep(f"job {job.id} of {pipeline} is {job.state}; it goes on by itself")
    again = _revise(tx, job, words, now=now) if results.exist_for(tx, job) else job
    return _analyse_again(tx, again, job, words, now=now, model=model)


# --- what these have in common --------------------------------------------------------------


def _report_again(tx: Connection, job: Job, words: str, *, now: datetime) -> None:
    values = {"attempts": 0, "reason": job.because, "not_before": now}
    move(tx, job, State.REPORTED, now=now, detail=words, values=values)


def _revise(tx: Connection, job: Job, words: str, *, now: datetime) -> Job:
    """The next revision of a job, still waiting."""
    words = f"job {job.id} was {words}: revision {job.revision + 1}"
    made = {(job.study_uid, job.pipeline): job.priority}
    (job_id,) = _jobs.make(tx, made, now=now, revision=job.revision + 1, detail=words)
    return _jobs.get(tx, job_id)


def _analyse_again(
    tx: Connection,
    job: Job,
    before: Job,
    words: str,
    *,
    now: datetime,
    model: str | None = None,
) -> Job:
    """Let a worker take the job, with all images that are here; `before` tells how it ended."""
    was_short = before.state is State.INCOMPLETE or (
        # a model also says this, of a view or a slice that nobody counted
        before.refused is Cause.INCOMPLETE and before.received < (before.expected or 0)
    )
    values = {
        "attempts": 0,
        "reason": "",
        "refused": None,
        "because": "",
        "model": before.model if model is None else model,
        "not_before": now,
        "last_instance_id": _last_instance_id(job),
        "expected": before.expected,
        "partial": before.partial or was_short,
        "ready_at": job.ready_at or now,
    }
    move(tx, job, State.READY, now=now, detail=words, values=values)
    return _jobs.get(tx, job.id)


def _is_removed(tx: Connection, study_uid: str) -> bool:
    gone = sa.select(studies.c.removed_at).where(studies.c.study_uid == study_uid)
    found = tx.execute(gone).one_or_none()
    if found is None:
        raise NotFound(f"there is no study {study_uid} in the worklist")
    return found.removed_at is not None


def _newer_results(tx: Connection, job: Job) -> int | None:
    """The job of a later revision that has results."""
    later = (
        sa.select(sa.func.max(jobs.c.id))
        .where(jobs.c.study_uid == job.study_uid, jobs.c.pipeline == job.pipeline)
        .where(jobs.c.revision > job.revision)
        .where(results.has_any(jobs.c.id))
    )
    found: int | None = tx.scalar(later)
    return found


def _demand_images(tx: Connection, study_uid: str, pipeline: str) -> None:
    """Where none of the study's images is of the pipeline, all of them are from now on."""
    mine = sa.select(instances.c.id).where(
        instances.c.study_uid == study_uid, instances.c.own.is_(False)
    )
    here = list(tx.execute(mine).scalars())
    if not here:
        raise WrongStep("no image of this study is here")
    its = sa.exists().where(matches.c.instance_id == instances.c.id, matches.c.pipeline == pipeline)
    if tx.execute(mine.where(its).limit(1)).first() is None:
        rows = [{"instance_id": number, "pipeline": pipeline} for number in here]
        tx.execute(sa.insert(matches), rows)


def _last_instance_id(job: Job) -> sa.ScalarSelect[int]:
    newest = sa.func.coalesce(sa.func.max(instances.c.id), 0)
    return sa.select(newest).where(instances.c.study_uid == job.study_uid).scalar_subquery()

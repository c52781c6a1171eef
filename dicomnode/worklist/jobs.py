"""Reading jobs, and the one statement that moves a job from state to state."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomnode.errors import Cause, LeaseLost, NotFound
from dicomnode.records import InstanceRef, Job, State
from dicomnode.storage.database import Connection
from dicomnode.worklist import history
from dicomnode.worklist.states import step
from dicomnode.worklist.tables import instances, jobs, matches, studies

__all__ = [
    "as_job",
    "count",
    "get",
    "images",
    "latest",
    "listed",
    "lock_study",
    "make",
    "move",
    "newest",
    "newest_in",
    "select_jobs",
    "study_images",
]

_HERE = (
    sa.select(sa.func.count())
    .select_from(instances)
    .where(
        instances.c.study_uid == jobs.c.study_uid,
        instances.c.own.is_(False),
        jobs.c.last_instance_id.is_(None) | (instances.c.id <= jobs.c.last_instance_id),
    )
    .correlate(jobs)
    .scalar_subquery()
    .label("received")
)

#: What the sender had when the job was closed; while it waits, what it has now.
_EXPECTED = sa.case(
    (jobs.c.last_instance_id.is_not(None), jobs.c.expected), else_=studies.c.expected
).label("expected")

_COLUMNS = (
    *(jobs.c[name] for name in ("id", "study_uid", "pipeline", "revision", "state", "priority")),
    *(jobs.c[name] for name in ("attempts", "lease", "partial", "reason", "ready_at")),
    *(jobs.c[name] for name in ("not_before", "updated_at", "refused", "because", "model")),
    _EXPECTED,
    _HERE,
)


def select_jobs(*more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """All that a `Job` needs, and `more` columns of jobs and studies."""
    return sa.select(*_COLUMNS, *more).select_from(jobs.join(studies))


def as_job(row: sa.RowMapping) -> Job:
    """A row of `select_jobs`."""
    found = {column.name: row[column.name] for column in _COLUMNS}
    refused = row["refused"] and Cause(row["refused"])
    return Job(**found | {"state": State(row["state"]), "refused": refused})


def get(tx: Connection, job_id: int, *, lock: bool = False) -> Job:
    """The job with this number; with `lock`, nobody changes it before the transaction ends.

    Who locks several rows locks a study before its jobs, and a job before its deliveries.

    Raises:
        NotFound: there is none.
    """
    if lock:  # a statement of its own: the next one sees what was committed while it waited
        tx.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id).with_for_update(key_share=True))
    row = tx.execute(select_jobs().where(jobs.c.id == job_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no job {job_id}; `dicomnode worklist list` shows them")
    return as_job(row)


def lock_study(tx: Connection, study_uid: str) -> None:
    """Let nothing be entered into a study, and no job of it be retried, by anyone else."""
    mine = sa.select(studies.c.study_uid).where(studies.c.study_uid == study_uid)
    tx.execute(mine.with_for_update(key_share=True))


def latest(tx: Connection, study_uid: str, pipeline: str) -> Job | None:
    """The newest revision of a study's job in a pipeline."""
    mine = (jobs.c.study_uid == study_uid) & (jobs.c.pipeline == pipeline)
    newest = select_jobs().where(mine).order_by(jobs.c.revision.desc()).limit(1)
    row = tx.execute(newest).mappings().one_or_none()
    return None if row is None else as_job(row)


def newest(tx: Connection, study_uid: str, pipeline: str) -> tuple[int, State] | None:
    """Number and state of that job, without counting its images: asked for each batch of them."""
    mine = (jobs.c.study_uid == study_uid) & (jobs.c.pipeline == pipeline)
    wanted = sa.select(jobs.c.id, jobs.c.state).where(mine).order_by(jobs.c.revision.desc())
    row = tx.execute(wanted.limit(1)).one_or_none()
    return None if row is None else (row.id, State(row.state))


def listed(
    tx: Connection, *, states: Iterable[State] = (), study_uid: str = "", limit: int = 100
) -> list[Job]:
    """Jobs, the newest first; in any state where `states` is empty."""
    wanted = select_jobs().order_by(jobs.c.id.desc()).limit(limit)
    if chosen := [str(state) for state in states]:
        wanted = wanted.where(jobs.c.state.in_(chosen))
    if study_uid:
        wanted = wanted.where(jobs.c.study_uid == study_uid)
    return [as_job(row) for row in tx.execute(wanted).mappings()]


def newest_in(tx: Connection, states: Iterable[State]) -> list[int]:
    """Numbers of the jobs in some states that have no later revision, oldest first."""
    later = jobs.alias()
    superseded = sa.exists().where(
        later.c.study_uid == jobs.c.study_uid,
        later.c.pipeline == jobs.c.pipeline,
        later.c.revision > jobs.c.revision,
    )
    wanted = jobs.c.state.in_([str(state) for state in states])
    return list(
        tx.execute(sa.select(jobs.c.id).where(wanted, ~superseded).order_by(jobs.c.id)).scalars()
    )


def count(tx: Connection) -> dict[State, int]:
    """How many jobs stand in each state."""
    rows = tx.execute(sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state))
    return {State(state): number for state, number in rows}


def images(tx: Connection, job: Job) -> list[InstanceRef]:
    """The job's images, in order of arrival: those that matched its pipeline in time."""
    limit = sa.select(jobs.c.last_instance_id).where(jobs.c.id == job.id).scalar_subquery()
    mine = (matches.c.pipeline == job.pipeline) & (instances.c.id <= limit)
    return _images(tx, job.study_uid, sa.select(*_REF).join(matches).where(mine))


def study_images(tx: Connection, study_uid: str) -> list[InstanceRef]:
    """All that is kept of a study, of whatever pipeline, in order of arrival; nothing of ours."""
    return _images(tx, study_uid, sa.select(*_REF).where(instances.c.own.is_(False)))


_REF = (
    instances.c.sop_class_uid,
    instances.c.sop_instance_uid,
    instances.c.series_uid,
    instances.c.study_uid,
)


def _images(tx: Connection, study_uid: str, which: sa.Select[Any]) -> list[InstanceRef]:
    of_study = which.where(instances.c.study_uid == study_uid).order_by(instances.c.id)
    return [InstanceRef(**row) for row in tx.execute(of_study).mappings()]


def make(
    tx: Connection,
    wanted: Mapping[tuple[str, str], int],
    *,
    now: datetime,
    revision: int = 1,
    detail: str = "",
) -> list[int]:
    """Make a waiting job for each study and pipeline, with its priority; return their numbers."""
    rows = [
        {
            "study_uid": study_uid,
            "pipeline": pipeline,
            "revision": revision,
            "state": State.WAITING,
            "priority": priority,
            "attempts": 0,
            "partial": False,
            "reason": "",
            "not_before": now,
            "created_at": now,
            "updated_at": now,
        }
        for (study_uid, pipeline), priority in wanted.items()
    ]
    if not rows:
        return []
    made = tx.execute(sa.insert(jobs).returning(jobs.c.id, jobs.c.study_uid), rows).all()
    history.note_jobs(tx, made, State.WAITING, now=now, detail=detail)
    return [row.id for row in made]


def move(
    tx: Connection,
    job: Job,
    to: State,
    *,
    now: datetime,
    detail: str = "",
    values: Mapping[str, object] | None = None,
) -> None:
    """Change a job's state and write its history: both or neither.

    Raises:
        WrongStep: the table of moves has no such arrow.
        LeaseLost: the job is no longer as `job` says: another worker or a person was quicker.
    """
    lease = jobs.c.lease.is_(None) if job.lease is None else jobs.c.lease == job.lease
    held = (jobs.c.id == job.id) & (jobs.c.state == job.state) & lease
    changes = {"state": step(job.state, to), "updated_at": now, "lease": None, "lease_until": None}
    changed = tx.execute(sa.update(jobs).where(held).values(changes | dict(values or {})))
    if changed.rowcount != 1:
        raise LeaseLost(f"job {job.id} was taken or changed by another")
    history.note(tx, job.study_uid, to, now=now, job_id=job.id, detail=detail)

"""What happened to a study and its jobs, and when. Written in the transaction of the change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.storage.database import Connection
from dicomnode.worklist.tables import history, jobs

__all__ = ["Event", "first_at", "note", "note_jobs", "of_study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a study's history."""

    at: datetime  #: aware, UTC
    job_id: int | None  #: None where it concerns the study
    event: str
    detail: str


def note(
    tx: Connection,
    study_uid: str,
    event: str,
    *,
    now: datetime,
    job_id: int | None = None,
    detail: str = "",
) -> None:
    """Write one line of history."""
    row = {"study_uid": study_uid, "job_id": job_id, "at": now, "event": event, "detail": detail}
    tx.execute(sa.insert(history).values(row))


def note_jobs(
    tx: Connection,
    made: Sequence[sa.Row[tuple[int, str]]],
    event: str,
    *,
    now: datetime,
    detail: str = "",
) -> None:
    """Write the same line for several jobs, each with the UID of its study."""
    line = {"at": now, "event": event, "detail": detail}
    rows = [{"job_id": job_id, "study_uid": uid} | line for job_id, uid in map(tuple, made)]
    tx.execute(sa.insert(history), rows)


def first_at(event: str) -> sa.ColumnElement[datetime]:
    """When something happened first to a row of `jobs`; none where it never did."""
    mine = (history.c.study_uid == jobs.c.study_uid) & (history.c.job_id == jobs.c.id)
    first = sa.select(sa.func.min(history.c.at)).where(mine, history.c.event == event)
    return first.correlate(jobs).scalar_subquery()


def of_study(tx: Connection, study_uid: str) -> list[Event]:
    """Everything that happened to a study, oldest first."""
    rows = tx.execute(
        sa.select(history.c.at, history.c.job_id, history.c.event, history.c.detail)
        .where(history.c.study_uid == study_uid)
        .order_by(history.c.id)
    )
    return [Event(**row) for row in rows.mappings()]

"""What happened to a study and its jobs, and when. Written in the transaction of the change."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.storage.database import Connection
from dicomnode.worklist.tables import history

__all__ = ["Event", "note", "of_study"]


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


def of_study(tx: Connection, study_uid: str) -> list[Event]:
    """Everything that happened to a study, oldest first."""
    rows = tx.execute(
        sa.select(history.c.at, history.c.job_id, history.c.event, history.c.detail)
        .where(history.c.study_uid == study_uid)
        .order_by(history.c.id)
    )
    return [Event(**row) for row in rows.mappings()]

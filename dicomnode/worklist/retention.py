"""Which studies have been kept long enough, and what is forgotten of them."""

from datetime import datetime

import sqlalchemy as sa

from dicomnode.records import DeliveryState
from dicomnode.storage.database import Connection
from dicomnode.worklist import history
from dicomnode.worklist.states import ENDED
from dicomnode.worklist.tables import deliveries, instances, jobs, matches, studies

__all__ = ["forget", "to_remove"]


def to_remove(tx: Connection, *, before: datetime, limit: int = 100) -> list[str]:
    """Studies whose images may go: nothing came and nothing happened since `before`, no job is
    open, failed or undelivered, no result is owed (again), and nobody was promised that they are
    kept. None of them changes before the transaction ends.
    """
    alive = sa.exists().where(
        jobs.c.study_uid == studies.c.study_uid,
        jobs.c.state.not_in(sorted(ENDED)) | (jobs.c.updated_at >= before),
    )
    owed = sa.exists().where(
        jobs.c.study_uid == studies.c.study_uid,
        deliveries.c.job_id == jobs.c.id,
        deliveries.c.state == DeliveryState.OWED,
    )
    over = (
        sa.select(studies.c.study_uid)
        .where(studies.c.removed_at.is_(None), studies.c.last_received_at < before)
        .where(studies.c.promised_at.is_(None), ~alive, ~owed)
        .order_by(studies.c.last_received_at)
    )
    locked = over.limit(limit).with_for_update(skip_locked=True, key_share=True)
    found = list(tx.execute(locked).scalars())
    # A job may have been opened again before the lock was there: look once more.
    return list(tx.execute(over.where(studies.c.study_uid.in_(found))).scalars())


def forget(tx: Connection, study_uid: str, *, now: datetime) -> None:
    """Forget a study's images and whose they are; its jobs, results and history stay."""
    mine = sa.select(instances.c.id).where(instances.c.study_uid == study_uid)
    tx.execute(sa.delete(matches).where(matches.c.instance_id.in_(mine)))
    tx.execute(sa.delete(instances).where(instances.c.study_uid == study_uid))
    gone = sa.update(studies).where(studies.c.study_uid == study_uid)
    patient = dict.fromkeys(("patient_id", "accession_number", "study_date"), "")
    tx.execute(gone.values(removed_at=now, expected=None, **patient))
    history.note(
        tx, study_uid, "removed", now=now, detail="the time for keeping its images is over"
    )

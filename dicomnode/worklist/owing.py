"""What a job's results are owed to whom: at first, again, once more, and no more.

How it leaves is the affair of `outbox.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from dicomnode.answers import Result
from dicomnode.records import DeliveryState, Job, ResultKind
from dicomnode.storage.database import Connection
from dicomnode.worklist.outbox import OWED, not_recalled
from dicomnode.worklist.tables import deliveries, results

__all__ = ["cancel", "owe", "owe_again", "owe_once_more"]


def owe(
    tx: Connection,
    job: Job,
    new: Sequence[Result],
    wanted: Mapping[str, Collection[ResultKind]],
    *,
    now: datetime,
) -> None:
    """Record a job's results in the order in which they must leave; each peer is owed its kinds."""
    for result in new:
        row = {
            "job_id": job.id,
            "study_uid": job.study_uid,
            "sop_instance_uid": result.ref.sop_instance_uid,
            "sop_class_uid": result.ref.sop_class_uid,
            "series_uid": result.ref.series_uid,
            "kind": result.kind,
            "model": result.model,
            "summary": {label: asdict(score) for label, score in result.summary.items()},
            "created_at": now,
        }
        (result_id,) = tx.execute(sa.insert(results).values(row)).inserted_primary_key or (None,)
        for peer in (peer for peer, kinds in wanted.items() if result.kind in kinds):
            _insert(tx, job, result_id, peer, now=now)


def _insert(tx: Connection, job: Job, result_id: int | None, peer: str, *, now: datetime) -> None:
    owed = {
        "result_id": result_id,
        "job_id": job.id,
        "peer": peer,
        "state": DeliveryState.OWED,
        "attempts": 0,
        "not_before": now,
        "message": "",
        "created_at": now,
        "updated_at": now,
    }
    tx.execute(sa.insert(deliveries).values(owed))


def owe_again(tx: Connection, job: Job, *, now: datetime) -> None:
    """Send again what was refused or cancelled, and not recalled; a person asked for it."""
    again = {
        "state": DeliveryState.OWED,
        "attempts": 0,
        "not_before": now,
        "message": "",
        "created_at": now,
        "updated_at": now,
    }
    stopped = deliveries.c.state.in_([DeliveryState.REFUSED, DeliveryState.CANCELLED])
    mine = deliveries.c.result_id.in_(not_recalled(job.id))
    tx.execute(sa.update(deliveries).where(mine, stopped).values(again))


def owe_once_more(
    tx: Connection, job: Job, wanted: Mapping[str, Collection[ResultKind]], *, now: datetime
) -> int:
    """Owe these peers what they had of a job's results, and what they want of them; how many.

    What is recalled is left out. Attempts are counted on: a recall must know that a peer may have
    a result already.
    """
    its = results.c.id.in_(not_recalled(job.id))
    made = tx.execute(sa.select(results.c.id, results.c.kind).where(its).order_by(results.c.id))
    kinds = {result_id: ResultKind(kind) for result_id, kind in made}
    mine = deliveries.c.result_id.in_(kinds) & deliveries.c.peer.in_(list(wanted))
    had = {
        (result_id, peer)
        for result_id, peer in tx.execute(
            sa.select(deliveries.c.result_id, deliveries.c.peer).where(mine)
        )
    }
    fresh = {"not_before": now, "created_at": now, "updated_at": now}
    again = {
        "state": DeliveryState.OWED,
        "message": "",
        "commitment_id": None,
        "confirmed_at": None,
    }
    over = sa.update(deliveries).where(mine, deliveries.c.state != DeliveryState.OWED)
    tx.execute(over.values(fresh | again))
    tx.execute(sa.update(deliveries).where(mine, OWED).values(not_before=now))
    new = [
        (result_id, peer)
        for result_id, kind in kinds.items()
        for peer, theirs in wanted.items()
        if kind in theirs and (result_id, peer) not in had
    ]
    for result_id, peer in new:
        _insert(tx, job, result_id, peer, now=now)
    return len(had) + len(new)


def cancel(tx: Connection, job: Job, *, now: datetime) -> None:
    """Owe nothing more for this job; what a courier has taken counts as tried, as it may arrive."""
    taken = sa.case((deliveries.c.lease.is_not(None), 1), else_=0)
    free = {"lease": None, "lease_until": None, "attempts": deliveries.c.attempts + taken}
    stop = {"state": DeliveryState.CANCELLED, "updated_at": now} | free
    tx.execute(sa.update(deliveries).where(deliveries.c.job_id == job.id, OWED).values(stop))

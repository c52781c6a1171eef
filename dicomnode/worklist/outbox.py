"""What leaves for which peer, and what it said.

Deliveries leave in the order of their numbers: the captures of a job before its report, one
revision before the next. A delivery that has to wait holds back what belongs behind it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from dicomnode.records import (
    Delivery,
    DeliveryState,
    Outcome,
    ResultKind,
    State,
    Verdict,
)
from dicomnode.storage.database import Connection, distinct, one_at_a_time
from dicomnode.worklist import history
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist import results as made
from dicomnode.worklist.tables import deliveries, jobs, results

__all__ = [
    "OWED",
    "claim",
    "give_back",
    "not_recalled",
    "of_job",
    "owed_to",
    "peers_owed",
    "record",
    "settle",
]

#: Not a parameter, so that the index of what is owed can be used.
OWED = deliveries.c.state == sa.literal(DeliveryState.OWED, literal_execute=True)


def peers_owed(tx: Connection) -> set[str]:
    """Names of the peers to whom something is owed."""
    return set(distinct(tx, deliveries.c.peer, OWED))


def owed_to(tx: Connection, peer: str) -> list[Delivery]:
    """Everything that is owed to a peer, in order."""
    return _deliveries(tx, (deliveries.c.peer == peer) & OWED)


def claim(
    tx: Connection, peer: str, holder: str, *, limit: int, lease_s: float, now: datetime
) -> list[Delivery]:
    """Take what may leave for a peer now, in order; at most `limit`.

    `holder` names the node, not the process: what it held when it was killed it takes up again.
    """
    one_at_a_time(tx, f"claiming for {peer}")  # each must see what the other holds
    before, its_job = deliveries.alias(), jobs.alias()
    held_back = sa.exists().where(
        before.c.peer == deliveries.c.peer,
        before.c.id < deliveries.c.id,
        before.c.state == DeliveryState.OWED,
        (before.c.not_before > now) | ((before.c.lease_until >= now) & (before.c.lease != holder)),
        its_job.c.id == before.c.job_id,
        its_job.c.study_uid == jobs.c.study_uid,
        its_job.c.pipeline == jobs.c.pipeline,
    )
    mine = deliveries.c.lease == holder  # of an earlier life: one courier serves a peer
    free = deliveries.c.lease_until.is_(None) | (deliveries.c.lease_until < now) | mine
    due = (
        sa.select(deliveries.c.id)
        .join(jobs, jobs.c.id == deliveries.c.job_id)
        .where(deliveries.c.peer == peer, OWED, deliveries.c.not_before <= now, free, ~held_back)
        .order_by(deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True, of=deliveries)
    )
    taken = list(tx.execute(due).scalars())
    lease = {"lease": holder, "lease_until": now + timedelta(seconds=lease_s)}
    tx.execute(sa.update(deliveries).where(deliveries.c.id.in_(taken)).values(lease))
    return _deliveries(tx, deliveries.c.id.in_(taken))


def record(
    tx: Connection,
    delivery: Delivery,
    outcome: Outcome,
    *,
    retry_s: float,
    give_up_after_s: float,
    now: datetime,
) -> None:
    """Write down what a peer said of one result, and end the job with its last one.

    LATER is tried again after `retry_s`, unless the result is owed for `give_up_after_s` already.
    """
    _jobs.get(tx, delivery.job_id, lock=True)  # of two last results, one must see the other
    message, state = outcome.message, _STATES[outcome.verdict]
    owed_since = sa.select(deliveries.c.created_at).where(deliveries.c.id == delivery.id)
    if state is DeliveryState.OWED:
        age = now - tx.execute(owed_since).scalar_one()
        if age >= timedelta(seconds=give_up_after_s):
            state, message = DeliveryState.REFUSED, f"gave up after {age}; last: {message}"
    values = {
        "state": state,
        "message": message,
        "attempts": delivery.attempts + 1,
        "not_before": now + timedelta(seconds=retry_s if state is DeliveryState.OWED else 0),
        "lease": None,
        "lease_until": None,
        "updated_at": now,
    }
    mine = (deliveries.c.id == delivery.id) & OWED
    still_owed = tx.execute(sa.update(deliveries).where(mine).values(values)).rowcount == 1
    if not still_owed:  # cancelled or sent by another meanwhile; the peer may have it all the same
        message = f"{message} (no longer owed)"
    detail = f"{delivery.kind} to {delivery.peer}: {message}"
    history.note(tx, delivery.study_uid, state, now=now, job_id=delivery.job_id, detail=detail)
    if still_owed:
        settle(tx, delivery.job_id, now=now)


_STATES = {
    Verdict.STORED: DeliveryState.SENT,
    Verdict.LATER: DeliveryState.OWED,
    Verdict.NEVER: DeliveryState.REFUSED,
}


def settle(tx: Connection, job_id: int, *, now: datetime) -> None:
    """End a job when nothing of it is owed any more."""
    rows = tx.execute(
        sa.select(deliveries.c.state, deliveries.c.peer, deliveries.c.message)
        .where(deliveries.c.result_id.in_(not_recalled(job_id)))
        .order_by(deliveries.c.id)
    ).all()
    job = _jobs.get(tx, job_id)
    if job.state is not State.REPORTED or any(row.state == DeliveryState.OWED for row in rows):
        return
    refused = [f"{row.peer}: {row.message}" for row in rows if row.state == DeliveryState.REFUSED]
    if refused:
        to, reason = State.UNDELIVERED, "; ".join(dict.fromkeys(refused))
    elif made.are_recalled(tx, job):
        to, reason = State.WITHDRAWN, job.because
    elif job.refused is not None:
        to, reason = State.NOT_ANALYSED, job.because
    else:
        to, reason = State.DELIVERED, "" if rows else "there was nothing to send"
    _jobs.move(tx, job, to, now=now, detail=reason, values={"reason": reason})


def not_recalled(job_id: int) -> sa.Select[tuple[int]]:
    """Numbers of a job's results that are not recalled, as a question."""
    return sa.select(results.c.id).where(
        results.c.job_id == job_id, results.c.withdrawn_at.is_(None)
    )


def give_back(
    tx: Connection,
    taken: Sequence[Delivery],
    message: str,
    *,
    give_up_after_s: float,
    now: datetime,
) -> None:
    """Nothing was sent: drop the lease, note why, and give up what is owed for too long."""
    for job_id in sorted({delivery.job_id for delivery in taken}):
        _jobs.get(tx, job_id, lock=True)
    mine = deliveries.c.id.in_([delivery.id for delivery in taken]) & OWED
    free = {"lease": None, "lease_until": None, "message": message, "updated_at": now}
    tx.execute(sa.update(deliveries).where(mine).values(free))
    old = deliveries.c.created_at <= now - timedelta(seconds=give_up_after_s)
    for delivery in _deliveries(tx, mine & old):
        outcome = Outcome(
            sop_instance_uid=delivery.sop_instance_uid,
            verdict=Verdict.LATER,
            status=None,
            message=message,
        )
        record(tx, delivery, outcome, retry_s=0, give_up_after_s=give_up_after_s, now=now)


def of_job(tx: Connection, job_id: int) -> list[Delivery]:
    """Every delivery of a job, in order."""
    return _deliveries(tx, deliveries.c.job_id == job_id)


def _deliveries(tx: Connection, which: sa.ColumnElement[bool]) -> list[Delivery]:
    columns: tuple[sa.ColumnElement[Any], ...] = (
        *(deliveries.c[name] for name in ("id", "job_id", "peer", "state", "attempts")),
        *(deliveries.c[name] for name in ("not_before", "message")),
        results.c.study_uid,
        results.c.sop_instance_uid,
        results.c.kind,
        deliveries.c.commitment_id.is_not(None).label("asked"),
        deliveries.c.confirmed_at,
    )
    rows = tx.execute(
        sa.select(*columns)
        .select_from(deliveries.join(results))
        .where(which)
        .order_by(deliveries.c.id)
    )
    return [
        Delivery(**{**row, "state": DeliveryState(row["state"]), "kind": ResultKind(row["kind"])})
        for row in rows.mappings()
    ]

"""Storage Commitment: what peers confirmed to keep, and what we promised to keep (PS3.4 Annex J).

A result that was sent is confirmed by its peer, or asked about again, or sent again. The question
is written down before it leaves, so that no answer comes to a node that does not know it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

import sqlalchemy as sa

from dicomnode.records import DeliveryState, State
from dicomnode.storage.database import Connection, one_at_a_time
from dicomnode.worklist import history
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist.tables import commitments, deliveries, instances, jobs, results, studies

__all__ = [
    "Held",
    "Report",
    "Sent",
    "answer",
    "ask",
    "confirmed",
    "count_confirmed",
    "promise",
    "unask",
]

_AT_ONCE = 500  #: values in one statement; SQLite takes 32,766

#: Not a parameter, so that the index of what is not confirmed can be used.
_SENT = deliveries.c.state == sa.literal(DeliveryState.SENT, literal_execute=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A result that a peer has taken and not confirmed."""

    delivery_id: int
    sop_class_uid: str
    sop_instance_uid: str
    again: bool  #: it was asked about before, and nothing was heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An instance of the worklist, as it must be on disk."""

    study_uid: str
    sop_class_uid: str
    sha256: str  #: of the dataset as received


class Report(Enum):
    """What became of a report."""

    TAKEN = auto()
    UNKNOWN = auto()  #: of no transaction that this peer was asked in
    REPEATED = auto()  #: of one that was answered before; the first answer stands


# --- what a peer confirms -------------------------------------------------------------------


def ask(
    tx: Connection,
    peer: str,
    transaction_uid: str,
    *,
    owed_since: datetime,
    asked_before: datetime,
    limit: int,
    now: datetime,
) -> list[Sent]:
    """Open a transaction about what the peer was sent; empty where there is nothing to ask.

    A job's results are asked about once the peer has all of them, unless they were owed before
    `owed_since`; those of a question from before `asked_before` are asked about again.
    """
    one_at_a_time(tx, f"asking {peer}")
    rest = deliveries.alias()
    incomplete = sa.exists().where(
        rest.c.job_id == deliveries.c.job_id,
        rest.c.peer == deliveries.c.peer,
        rest.c.state == DeliveryState.OWED,
    )
    found = tx.execute(
        sa.select(
            deliveries.c.id.label("delivery_id"),
            results.c.sop_class_uid,
            results.c.sop_instance_uid,
            deliveries.c.commitment_id.is_not(None).label("again"),
        )
        .select_from(deliveries.join(results).outerjoin(commitments))
        .where(deliveries.c.peer == peer, deliveries.c.confirmed_at.is_(None), _SENT)
        .where(deliveries.c.created_at >= owed_since, ~incomplete, results.c.withdrawn_at.is_(None))
        .where(commitments.c.id.is_(None) | (commitments.c.asked_at <= asked_before))
        .order_by(deliveries.c.id)
        .limit(min(limit, _AT_ONCE))
    ).mappings()
    sent = [Sent(**row) for row in found]
    if sent:
        row = {"transaction_uid": transaction_uid, "peer": peer, "asked_at": now}
        key = tx.execute(sa.insert(commitments).values(row)).inserted_primary_key
        mine = deliveries.c.id.in_([item.delivery_id for item in sent])
        tx.execute(sa.update(deliveries).where(mine).values(commitment_id=key and key[0]))
    return sent


def unask(tx: Connection, transaction_uid: str) -> None:
    """The question may not have reached the peer: what it was about is asked again."""
    mine = sa.select(commitments.c.id).where(commitments.c.transaction_uid == transaction_uid)
    free = sa.update(deliveries).where(deliveries.c.commitment_id.in_(mine))
    tx.execute(free.values(commitment_id=None))


def answer(
    tx: Connection,
    peers: Collection[str],
    transaction_uid: str,
    kept: Collection[str],
    failed: Mapping[str, str],
    *,
    retry_s: Callable[[int], float],
    give_up_after_s: float,
    now: datetime,
) -> Report:
    """Write down a report of one of the `peers`, who share an AE title.

    `kept` and the keys of `failed` are SOP Instance UIDs; what failed, with its reason in words, is
    owed again `retry_s` after so many attempts, unless it is owed for `give_up_after_s` already.
    An answer may be late: it speaks of what had been sent when it was asked for.
    """
    mine = commitments.c.transaction_uid == transaction_uid
    asked = tx.execute(
        sa.select(commitments).where(mine, commitments.c.peer.in_(peers)).with_for_update()
    ).one_or_none()
    if asked is None:
        return Report.UNKNOWN
    if asked.answered_at is not None:
        return Report.REPEATED
    tx.execute(sa.update(commitments).where(mine).values(answered_at=now))
    spoken_of = [uid for uid in kept if uid not in failed]
    _confirm(tx, _open(tx, asked, spoken_of), asked.peer, now=now)
    for item in _open(tx, asked, list(failed)):
        too_old = now - item.created_at >= timedelta(seconds=give_up_after_s)
        words = f"{item.kind} is not kept by {asked.peer}: {failed[item.sop_instance_uid]}; "
        words += "not sent again, it was owed for too long" if too_old else "it is sent again"
        if not too_old:
            _owe_again(tx, item.id, words, now + timedelta(seconds=retry_s(item.attempts)), now=now)
        history.note(tx, item.study_uid, "unconfirmed", now=now, job_id=item.job_id, detail=words)
    return Report.TAKEN


def _owe_again(
    tx: Connection, delivery_id: int, words: str, not_before: datetime, *, now: datetime
) -> None:
    again = {
        "state": DeliveryState.OWED,
        "commitment_id": None,
        "not_before": not_before,
        "message": words,
        "updated_at": now,
    }
    tx.execute(sa.update(deliveries).where(deliveries.c.id == delivery_id).values(again))


def _open(
    tx: Connection, asked: sa.Row[tuple[object, ...]], uids: Sequence[str]
) -> list[sa.Row[tuple[object, ...]]]:
    """Of these results, those that the peer had when it was asked, and has not confirmed."""
    found = [
        row
        for at in range(0, len(uids), _AT_ONCE)
        for row in tx.execute(
            sa.select(deliveries, results.c.study_uid, results.c.kind, results.c.sop_instance_uid)
            .select_from(deliveries.join(results))
            .where(results.c.sop_instance_uid.in_(uids[at : at + _AT_ONCE]))
            .where(deliveries.c.peer == asked.peer, deliveries.c.confirmed_at.is_(None), _SENT)
            .where(deliveries.c.updated_at <= asked.asked_at, results.c.withdrawn_at.is_(None))
        )
    ]
    for job_id in sorted({row.job_id for row in found}):
        _jobs.get(tx, job_id, lock=True)
    return found


def _confirm(
    tx: Connection, found: Sequence[sa.Row[tuple[object, ...]]], peer: str, *, now: datetime
) -> None:
    for item in found:
        mine = deliveries.c.id == item.id
        tx.execute(sa.update(deliveries).where(mine).values(confirmed_at=now))
    for (study_uid, job_id), count in Counter((row.study_uid, row.job_id) for row in found).items():
        words = f"{peer} confirms that it keeps {count} result{'s' if count > 1 else ''}"
        history.note(tx, study_uid, "confirmed", now=now, job_id=job_id, detail=words)


def confirmed(tx: Connection, job_ids: Collection[int]) -> set[int]:
    """Which of the jobs have results that every peer that was asked confirms to keep."""
    return set(tx.execute(_confirmed().where(deliveries.c.job_id.in_(job_ids))).scalars())


def count_confirmed(tx: Connection) -> int:
    """How many jobs are delivered, and confirmed like this."""
    mine = jobs.c.id.in_(_confirmed()) & (jobs.c.state == State.DELIVERED)
    return int(tx.execute(sa.select(sa.func.count()).select_from(jobs).where(mine)).scalar_one())


def _confirmed() -> sa.Select[Any]:
    is_open = deliveries.c.confirmed_at.is_(None) & (
        deliveries.c.commitment_id.is_not(None) | (deliveries.c.state == DeliveryState.OWED)
    )
    return (
        sa.select(deliveries.c.job_id)
        .select_from(deliveries.join(results))
        .where(results.c.withdrawn_at.is_(None))
        .group_by(deliveries.c.job_id)
        .having(sa.func.count(deliveries.c.confirmed_at) > 0)
        .having(sa.func.sum(sa.case((is_open, 1), else_=0)) == 0)
    )


# --- what we promise ------------------------------------------------------------------------


def promise(tx: Connection, uids: Sequence[str], *, now: datetime) -> dict[str, Held]:
    """Which of the instances the worklist has, by UID; from now on retention leaves their studies.

    Whether they are on disk as they should be is for the caller to see.
    """
    held = {
        row.sop_instance_uid: Held(
            study_uid=row.study_uid, sop_class_uid=row.sop_class_uid, sha256=row.sha256
        )
        for at in range(0, len(uids), _AT_ONCE)
        for row in tx.execute(
            sa.select(instances).where(instances.c.sop_instance_uid.in_(uids[at : at + _AT_ONCE]))
        )
    }
    for study_uid in sorted({found.study_uid for found in held.values()}):
        first = (studies.c.study_uid == study_uid) & studies.c.promised_at.is_(None)
        if tx.execute(sa.update(studies).where(first).values(promised_at=now)).rowcount:
            words = "a peer relies on its images (Storage Commitment): retention leaves the study"
            history.note(tx, study_uid, "promised", now=now, detail=words)
    return held

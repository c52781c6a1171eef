"""Recall: what peers have of a model's results, and how these are withdrawn.

A job whose results are recalled is owed to its peers once more: not the results, but what says that
they no longer stand. Nothing is deleted, here or there. The model itself is stopped: from then on
no job ends with results of it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter

import sqlalchemy as sa

from dicomnode.answers import Result
from dicomnode.errors import Cause, NotAnalysable
from dicomnode.records import (
    DeliveryState,
    InstanceRef,
    Job,
    ResultKind,
    State,
    WithdrawalReason,
)
from dicomnode.storage.database import Connection, insert_new, one_at_a_time
from dicomnode.worklist import findings, history, outbox, owing
from dicomnode.worklist import jobs as _jobs
from dicomnode.worklist.results import ref_of
from dicomnode.worklist.tables import deliveries, jobs, recalls, results

__all__ = [
    "Standing",
    "demand_standing",
    "hold_back",
    "jobs_of",
    "models",
    "reinstate",
    "standing",
    "stop",
    "stopped",
    "withdraw",
]

_ENDING = "ending jobs with results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A result that peers have, or may have."""

    ref: InstanceRef
    kind: ResultKind
    peers: tuple[str, ...]  #: names, in order


def stop(tx: Connection, model: str, reason: WithdrawalReason, *, now: datetime) -> None:
    """Let no job end with results of this model, `name@version`; the first reason stands."""
    one_at_a_time(tx, _ENDING)
    insert_new(tx, recalls, [{"model": model, "reason": reason, "at": now}], recalls.c.model)


def reinstate(tx: Connection, model: str) -> bool:
    """Let jobs have results of this model again; False where it was not stopped.

    What was withdrawn of it stays withdrawn.
    """
    return tx.execute(sa.delete(recalls).where(recalls.c.model == model)).rowcount == 1


def stopped(tx: Connection) -> dict[str, WithdrawalReason]:
    """The models that were stopped, as `name@version`, and why."""
    rows = tx.execute(sa.select(recalls.c.model, recalls.c.reason).order_by(recalls.c.model))
    return {row.model: WithdrawalReason(row.reason) for row in rows}


def demand_standing(tx: Connection, of: Iterable[str], *, until_end: bool = False) -> None:
    """No result may be of a model that was stopped, `name@version`.

    With `until_end`, none of them is stopped before the transaction ends, either: who stops one
    then finds what was made.

    Raises:
        NotAnalysable: one was.
    """
    if until_end:
        one_at_a_time(tx, _ENDING)
    gone = stopped(tx)
    for model in (model for model in of if model in gone):
        raise NotAnalysable(f"{model} was recalled: {gone[model]}", Cause.RECALLED)


def models(tx: Connection) -> list[str]:
    """The models that results are of, as `name@version`."""
    found = sa.select(results.c.model).where(results.c.model != "").distinct()
    return sorted(tx.execute(found).scalars())


def jobs_of(tx: Connection, model: str, job_id: int | None = None) -> list[int]:
    """Numbers of the jobs with results of a model that were not recalled, oldest first: all, or
    that one. Notices are no results of a model, though they may name it.
    """
    recalled = results.alias()
    which = sa.true() if job_id is None else results.c.job_id == job_id
    found = (
        sa.select(results.c.job_id)
        .distinct()
        .select_from(results.join(jobs, jobs.c.id == results.c.job_id))
        .where(
            which,
            results.c.model == model,
            jobs.c.refused.is_(None),
            ~sa.exists().where(
                recalled.c.job_id == results.c.job_id, recalled.c.withdrawn_at.is_not(None)
            ),
        )
        .order_by(results.c.job_id)
    )
    return list(tx.execute(found).scalars())


def hold_back(tx: Connection, job: Job) -> None:
    """Let no courier take anything of a job before the transaction ends; wait for one that does."""
    mine = (deliveries.c.job_id == job.id) & (deliveries.c.state == DeliveryState.OWED)
    tx.execute(sa.select(deliveries.c.id).where(mine).with_for_update(key_share=True))


def standing(tx: Connection, job: Job) -> list[Standing]:
    """What peers have of a job's results, or may have, in the order in which it left.

    A peer may have what was on its way to it, whatever became of that; what it refused at once it
    has not. What was given up, or refused later, was on its way before.
    """
    on_its_way = deliveries.c.lease.is_not(None) | (deliveries.c.attempts > 0)
    refused_at_once = (deliveries.c.state == DeliveryState.REFUSED) & (deliveries.c.attempts <= 1)
    there = (deliveries.c.state == DeliveryState.SENT) | (on_its_way & ~refused_at_once)
    rows = tx.execute(
        sa.select(results, deliveries.c.peer)
        .select_from(deliveries.join(results))
        .where(results.c.job_id == job.id, results.c.withdrawn_at.is_(None), there)
        .order_by(results.c.id, deliveries.c.peer)
    )
    of_results = [list(same) for _, same in groupby(rows.mappings(), itemgetter("id"))]
    return [
        Standing(
            ref=ref_of(same[0]),
            kind=ResultKind(same[0]["kind"]),
            peers=tuple(row["peer"] for row in same),
        )
        for same in of_results
    ]


def withdraw(
    tx: Connection,
    job: Job,
    made: Sequence[Result],
    wanted: Mapping[str, Collection[ResultKind]],
    because: str,
    *,
    now: datetime,
) -> None:
    """Send nothing more of a job's results, and owe each peer what says that they are withdrawn.

    `job` was read with its lock, and held back, in this transaction.

    Raises:
        WrongStep: its results are not made yet.
    """
    owing.cancel(tx, job, now=now)
    mine = results.c.job_id == job.id
    tx.execute(sa.update(results).where(mine).values(withdrawn_at=now))
    history.note(tx, job.study_uid, "recalled", now=now, job_id=job.id, detail=because)
    words = {"because": because, "reason": because}
    if job.state is State.REPORTED:
        tx.execute(sa.update(jobs).where(jobs.c.id == job.id).values(words))
    else:
        _jobs.move(tx, job, State.REPORTED, now=now, detail=because, values=words)
    findings.record(tx, job, ())
    owing.owe(tx, job, made, wanted, now=now)
    outbox.settle(tx, job.id, now=now)

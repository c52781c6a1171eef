"""The worklist at a glance: how much of what there is, how fast it goes, how the peers stand.

Every figure is read along an index, of a day or up to a limit: a million studies are not counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Any

import sqlalchemy as sa

from dicomnode.logbook import standing
from dicomnode.records import DeliveryState, State
from dicomnode.storage.database import Connection
from dicomnode.worklist import history, outbox
from dicomnode.worklist.rows import is_newest, last_image_at
from dicomnode.worklist.tables import deliveries, jobs, recalls, results, studies

__all__ = [
    "COUNTED",
    "Count",
    "Hour",
    "ModelInUse",
    "PeerStanding",
    "Times",
    "hours",
    "models",
    "peers",
    "received",
    "states",
    "times",
    "unmatched",
]

COUNTED = 5000  #: so many are counted, as in a search; more are said to be more
_TIMED = 2000
_JOBS_LOOKED_AT = 20

#: What was delivered may be sent again, or recalled.
_DELIVERED_ONCE = (State.DELIVERED, State.REPORTED, State.UNDELIVERED, State.WITHDRAWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many there are."""

    today: int  #: that came to it today
    now: int  #: that are in it now, at most `COUNTED` and one


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long results took, from a job's last image until every destination had all at first."""

    count: int  #: jobs of today that were measured, the last ones
    median_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What happened in one hour."""

    at: datetime  #: when it began
    received: int  #: studies whose last image came
    delivered: int  #: jobs
    troubled: int  #: jobs that were not analysed, failed or undelivered


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStanding:
    """How one peer and we stand."""

    peer: str
    configured: bool  #: else results are owed to it from when it was
    echoed_at: datetime | None  #: the last C-ECHO
    heard_at: datetime | None  #: the last one that it answered
    problem: str  #: of the last C-ECHO; empty where it heard us
    study_at: datetime | None  #: when the last image came from it, of those studies it sent last
    owed: int  #: results, at most `COUNTED` and one
    error: str  #: what it said of what is owed longest, else of what it refused last
    error_at: datetime | None  #: when it said that


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInUse:
    """What answered last in a pipeline."""

    pipeline: str
    model: str  #: as name@version; empty where none did lately
    at: datetime | None
    stopped: bool  #: it was recalled


def received(tx: Connection, since: datetime) -> Count:
    """Studies: those whose last image came since then, and all that the worklist knows."""
    last = studies.c.last_received_at
    today = sa.select(sa.func.count()).where(last >= since).scalar_subquery()
    known = _at_most(sa.select(studies.c.study_uid))
    return Count(**tx.execute(sa.select(today.label("today"), known.label("now"))).mappings().one())


def unmatched(tx: Connection, since: datetime) -> int:
    """Studies whose last image came since then and that no pipeline took, at most `COUNTED`+1."""
    has_job = sa.exists().where(jobs.c.study_uid == studies.c.study_uid)
    mine = sa.select(studies.c.study_uid).where(studies.c.last_received_at >= since, ~has_job)
    count: int = tx.execute(sa.select(_at_most(mine))).scalar_one()
    return count


def states(tx: Connection, since: datetime) -> dict[State, Count]:
    """Jobs of each state: that came to it since then and are there yet, and all that are there.

    Of a study in a pipeline its newest revision counts, as in a search for the state.
    """
    columns = []
    for state in State:
        mine = sa.select(jobs.c.id).where(jobs.c.state == state, is_newest())
        columns.append(_at_most(mine.where(jobs.c.updated_at >= since)).label(f"{state} today"))
        columns.append(_at_most(mine).label(f"{state} now"))
    row = tx.execute(sa.select(*columns)).mappings().one()
    return {state: Count(today=row[f"{state} today"], now=row[f"{state} now"]) for state in State}


def times(tx: Connection, since: datetime) -> Times:
    """How long the last results took that were delivered since then, for the first time."""
    done = jobs.c.state.in_(_DELIVERED_ONCE) & (jobs.c.updated_at >= since)
    first = history.first_at(State.DELIVERED).label("until")
    wanted = sa.select(first, last_image_at().label("since")).where(done)
    rows = tx.execute(wanted.order_by(jobs.c.updated_at.desc()).limit(_TIMED)).all()
    took = [
        (row.until - row.since).total_seconds()
        for row in rows
        if row.since is not None and row.until is not None and row.until >= since
    ]
    if not took:
        return Times(count=0, median_s=None, p95_s=None)
    p95 = quantiles(took, n=20, method="inclusive")[-1] if len(took) > 1 else took[0]
    return Times(count=len(took), median_s=median(took), p95_s=p95)


def hours(tx: Connection, now: datetime, count: int = 24) -> list[Hour]:
    """The last hours, the present one last."""
    this = now.replace(minute=0, second=0, microsecond=0)
    begins = [this - timedelta(hours=back) for back in range(count - 1, -1, -1)]
    troubled = [State.NOT_ANALYSED, State.FAILED, State.UNDELIVERED]
    which = (
        (studies.c.last_received_at,),
        (jobs.c.updated_at, jobs.c.state == State.DELIVERED),
        (jobs.c.updated_at, jobs.c.state.in_(troubled)),
    )
    columns = [_within(begin, *each) for begin in begins for each in which]
    named = [column.label(f"c{number}") for number, column in enumerate(columns)]
    found = iter(tx.execute(sa.select(*named)).one())
    return [
        Hour(at=begin, received=next(found), delivered=next(found), troubled=next(found))
        for begin in begins
    ]


def peers(tx: Connection, titles: Mapping[str, str]) -> list[PeerStanding]:
    """Peers by name, each with its AE title; and those that are owed something all the same."""
    owed = outbox.peers_owed(tx)
    health = standing.peers(tx)
    return [
        _peer(tx, name, titles.get(name), health.get(name), name in owed)
        for name in sorted({*titles, *owed})
    ]


def models(tx: Connection, pipelines: Iterable[str]) -> list[ModelInUse]:
    """What answered last in each of these pipelines."""
    stopped = set(tx.execute(sa.select(recalls.c.model)).scalars())
    return [_model(tx, pipeline, stopped) for pipeline in pipelines]


def _at_most(rows: sa.Select[Any]) -> sa.ScalarSelect[int]:
    some = rows.limit(COUNTED + 1).subquery()
    return sa.select(sa.func.count()).select_from(some).scalar_subquery()


def _within(
    begin: datetime, at: sa.Column[datetime], *which: sa.ColumnElement[bool]
) -> sa.ScalarSelect[int]:
    end = begin + timedelta(hours=1)
    return sa.select(sa.func.count()).where(at >= begin, at < end, *which).scalar_subquery()


#: Not a parameter, so that the index of these can be used.
_REFUSED = deliveries.c.state == sa.literal(DeliveryState.REFUSED, literal_execute=True)


def _peer(
    tx: Connection,
    name: str,
    title: str | None,
    health: standing.PeerHealth | None,
    is_owed: bool,
) -> PeerStanding:
    mine = deliveries.c.peer == name
    said = sa.select(deliveries.c.message, deliveries.c.updated_at).where(mine).limit(1)
    last = said.where(_REFUSED).order_by(deliveries.c.updated_at.desc())
    error, error_at = tx.execute(last).one_or_none() or ("", None)
    owed = 0
    if is_owed:
        owed = tx.execute(
            sa.select(_at_most(sa.select(deliveries.c.id).where(mine, outbox.OWED)))
        ).scalar_one()
        first = said.where(outbox.OWED, deliveries.c.message != "").order_by(deliveries.c.id)
        if row := tx.execute(first).one_or_none():
            error, error_at = row
    newest = sa.select(sa.func.max(studies.c.last_received_at))
    study_at = None
    if title is not None:
        study_at = tx.execute(newest.where(studies.c.calling_ae == title)).scalar_one()
    return PeerStanding(
        peer=name,
        configured=title is not None,
        echoed_at=health.echoed_at if health else None,
        heard_at=health.heard_at if health else None,
        problem=health.problem if health else "",
        study_at=study_at,
        owed=owed,
        error=error,
        error_at=error_at,
    )


def _model(tx: Connection, pipeline: str, stopped: set[str]) -> ModelInUse:
    lately = sa.select(jobs.c.id).where(jobs.c.pipeline == pipeline).order_by(jobs.c.id.desc())
    some = lately.limit(_JOBS_LOOKED_AT).subquery()
    answer = (
        sa.select(results.c.model, results.c.created_at)
        .where(results.c.job_id.in_(sa.select(some.c.id)), results.c.model != "")
        .order_by(results.c.id.desc())
        .limit(1)
    )
    row = tx.execute(answer).one_or_none()
    model, at = row or ("", None)
    return ModelInUse(pipeline=pipeline, model=model, at=at, stopped=model in stopped)

"""How much happened since a mark, and how much there is: for counters that others keep.

Nothing is counted from the beginning: what happened is read by number after the mark, and of what
there is only what is not over, up to a limit. A million studies make no difference.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomnode.logbook.tables import associations
from dicomnode.records import DeliveryState, State
from dicomnode.storage.database import Connection
from dicomnode.worklist import outbox
from dicomnode.worklist.history import first_at
from dicomnode.worklist.rows import last_image_at
from dicomnode.worklist.tables import deliveries, history, instances, jobs

__all__ = [
    "COUNTED",
    "Happened",
    "Marks",
    "Visits",
    "happened",
    "mark",
    "owed",
    "queued_since",
    "standing_jobs",
]

COUNTED = 100_000  #: so many are counted; more are said to be as many
_AT_ONCE = 50_000  #: lines of history; what is beyond counts at the next look

#: Where jobs are that are not over; of those that are, moves are counted.
_STANDING = (
    State.WAITING,
    State.READY,
    State.RUNNING,
    State.REPORTED,
    State.INCOMPLETE,
    State.HELD,
    State.FAILED,
    State.UNDELIVERED,
)
_SAID = (DeliveryState.SENT, DeliveryState.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The largest numbers that were seen."""

    history: int
    instances: int
    associations: int


#: Of a row that may be counted on: when it began, AE title, address, state and trouble.
Visits = tuple[datetime, str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """What happened between two marks."""

    marks: Marks  #: the second one
    instances: Counter[str] = field(default_factory=Counter)  #: images by calling AE title
    studies: Counter[str] = field(default_factory=Counter)  #: that were new, likewise
    #: by pipeline (empty: none), event, and cause where it was not analysed
    events: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: by peer, kind of result, and `sent` or `refused`
    deliveries: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: by pipeline, from a job's last image to its results, in seconds
    took: list[tuple[str, float]] = field(default_factory=list)
    visits: Counter[Visits] = field(default_factory=Counter)  #: associations, in all, by row


def mark(tx: Connection) -> Marks:
    """Where everything is now."""
    tables = (history, instances, associations)
    last = [tx.scalar(sa.select(sa.func.max(table.c.id))) or 0 for table in tables]
    return Marks(history=last[0], instances=last[1], associations=last[2])


def happened(tx: Connection, since: Marks) -> Happened:
    """What happened after a mark."""
    now = mark(tx)
    upto = min(now.history, since.history + _AT_ONCE)
    new = (history.c.id > since.history) & (history.c.id <= upto)
    marks = Marks(history=upto, instances=now.instances, associations=now.associations)
    found = Happened(marks=marks)
    if upto > since.history:
        found.events.update(_events(tx, new))
        found.deliveries.update(_deliveries(tx, new))
        found.took.extend(_took(tx, new))
    if now.instances > since.instances:
        found.instances.update(_images(tx, since, marks))
        found.studies.update(_studies(tx, since, marks))
    if now.associations > since.associations:
        found.visits.update(_visits(tx, since, marks))
    return found


def standing_jobs(tx: Connection) -> Counter[tuple[str, str]]:
    """Jobs that are not over, by pipeline and state; of one state at most `COUNTED`."""
    some = [
        sa.select(jobs.c.pipeline, jobs.c.state).where(jobs.c.state == state).limit(COUNTED)
        for state in _STANDING
    ]
    every = sa.union_all(*(sa.select(each.subquery()) for each in some)).subquery()
    by = every.c.pipeline, every.c.state
    rows = tx.execute(sa.select(*by, sa.func.count()).group_by(*by))
    return Counter({(pipeline, state): count for pipeline, state, count in rows})


def queued_since(tx: Connection) -> datetime | None:
    """Since when the job has been ready that waits longest for a worker; None where none does."""
    ready = jobs.c.state == State.READY
    since: datetime | None = tx.scalar(sa.select(sa.func.min(jobs.c.ready_at)).where(ready))
    return since


def owed(tx: Connection, peers: Collection[str]) -> dict[str, int]:
    """Results that are owed to each of these peers, at most `COUNTED` each."""
    if not peers:
        return {}
    mine = [
        sa.select(deliveries.c.peer).where(deliveries.c.peer == peer, outbox.OWED).limit(COUNTED)
        for peer in peers
    ]
    every = sa.union_all(*(sa.select(each.subquery()) for each in mine)).subquery()
    counted = sa.select(every.c.peer, sa.func.count()).group_by(every.c.peer)
    return dict.fromkeys(peers, 0) | _counter(tx, counted)


def _between(table: sa.Table, after: int, upto: int) -> sa.ColumnElement[bool]:
    return (table.c.id > after) & (table.c.id <= upto)


def _images(tx: Connection, since: Marks, upto: Marks) -> Counter[str]:
    new = _between(instances, since.instances, upto.instances) & instances.c.own.is_(False)
    counted = sa.select(instances.c.calling_ae, sa.func.count()).where(new)
    return _counter(tx, counted.group_by(instances.c.calling_ae))


def _studies(tx: Connection, since: Marks, upto: Marks) -> Counter[str]:
    """Those of which no image was here at the first mark."""
    new = _between(instances, since.instances, upto.instances) & instances.c.own.is_(False)
    columns = (instances.c.study_uid, sa.func.min(instances.c.calling_ae).label("calling_ae"))
    came = sa.select(*columns).where(new).group_by(instances.c.study_uid).subquery()
    older = instances.alias()
    before = sa.exists().where(
        older.c.study_uid == came.c.study_uid,
        older.c.own.is_(False),
        older.c.id <= since.instances,
    )
    counted = sa.select(came.c.calling_ae, sa.func.count()).where(~before)
    return _counter(tx, counted.group_by(came.c.calling_ae))


def _events(tx: Connection, new: sa.ColumnElement[bool]) -> Counter[tuple[str, str, str]]:
    refused = sa.case((history.c.event == State.NOT_ANALYSED, jobs.c.refused))
    by = (
        sa.func.coalesce(jobs.c.pipeline, ""),
        history.c.event,
        sa.func.coalesce(refused, ""),
    )
    joined = history.outerjoin(jobs, jobs.c.id == history.c.job_id)
    rows = tx.execute(sa.select(*by, sa.func.count()).select_from(joined).where(new).group_by(*by))
    return Counter({(pipeline, event, cause): count for pipeline, event, cause, count in rows})


def _deliveries(tx: Connection, new: sa.ColumnElement[bool]) -> Counter[tuple[str, str, str]]:
    wanted = sa.select(history.c.event, history.c.detail).where(new, history.c.event.in_(_SAID))
    found: Counter[tuple[str, str, str]] = Counter()
    for event, detail in tx.execute(wanted):
        kind, _, said = detail.partition(" to ")  # as outbox.record writes it
        found[said.partition(":")[0], kind, event] += 1
    return found


def _took(tx: Connection, new: sa.ColumnElement[bool]) -> Iterator[tuple[str, float]]:
    columns = (jobs.c.pipeline, history.c.at, last_image_at().label("since"))
    joined = history.join(jobs, jobs.c.id == history.c.job_id)
    first = first_at(State.REPORTED)  # sent again, they are not new
    reported = new & (history.c.event == State.REPORTED) & (history.c.at == first)
    for row in tx.execute(sa.select(*columns).select_from(joined).where(reported)):
        if row.since is not None:
            yield row.pipeline, max(0.0, (row.at - row.since).total_seconds())


def _visits(tx: Connection, since: Marks, upto: Marks) -> Counter[Visits]:
    names = ("at", "calling_ae", "address", "state", "cause", "count")
    new = _between(associations, since.associations, upto.associations)
    found: Counter[Visits] = Counter()
    for *key, count in tx.execute(sa.select(*(associations.c[n] for n in names)).where(new)):
        at, calling_ae, address, state, cause = key
        found[at, calling_ae, address, state, cause] += count
    return found


def _counter(tx: Connection, counted: sa.Select[Any]) -> Counter[str]:
    return Counter({row[0]: row[1] for row in tx.execute(counted)})

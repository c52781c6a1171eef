"""What is written down and an audit trail has to tell: deeds, arrivals, deliveries, refusals.

Each is read by number, after a place that is remembered for each receiver of messages.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from dicomnode.audit.events import Deed
from dicomnode.audit.gathering import Place
from dicomnode.logbook.tables import associations, audit, audit_places
from dicomnode.records import DeliveryState
from dicomnode.storage.database import Connection
from dicomnode.worklist.tables import history, instances, results, studies

__all__ = [
    "Arrived",
    "Sent",
    "TurnedAway",
    "Who",
    "address_of",
    "arrived",
    "behind",
    "deeds",
    "keep_place",
    "newest",
    "place",
    "sent",
    "turned_away",
    "who",
]

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """An object that came in."""

    study_uid: str
    calling_ae: str
    at: datetime
    sop_class_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A result that a peer took, or refused for good."""

    study_uid: str
    peer: str
    at: datetime
    sop_class_uid: str
    taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedAway:
    """What one caller brought and was not taken; whose it was, nobody has read."""

    calling_ae: str
    address: str
    at: datetime
    refusals: Mapping[str, int]  #: objects by name of the error, as of `Visit`


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whose a study is."""

    patient_id: str
    accession_number: str


def place(tx: Connection, sink: str) -> Mapping[str, Any] | None:
    """What `keep_place` was given last for a receiver; None for one that is new."""
    found = sa.select(audit_places.c.place).where(audit_places.c.sink == sink)
    value: Mapping[str, Any] | None = tx.execute(found).scalar_one_or_none()
    return value


def keep_place(tx: Connection, sink: str, value: Mapping[str, Any], *, now: datetime) -> None:
    """Remember how far a receiver was told."""
    row = {"sink": sink, "at": now, "place": dict(value)}
    mine = audit_places.c.sink == sink
    if not tx.execute(sa.update(audit_places).where(mine).values(row)).rowcount:
        tx.execute(sa.insert(audit_places).values(row))


def newest(tx: Connection) -> tuple[int, int, int]:
    """The largest numbers of an object, a line of history and a caller; 0 where there is none."""
    return _last(tx, instances), _last(tx, history), _last(tx, associations)


def behind(tx: Connection, sink: str) -> int:
    """About how many lines of the worklist a receiver was not told of; 0 for one that is new."""
    kept = place(tx, sink)
    if kept is None:
        return 0
    so_far = Place.from_json(kept)
    told = (so_far.arrived, so_far.history.after, so_far.callers.after, so_far.deeds.after)
    there = (*newest(tx), _last(tx, audit))
    return sum(max(0, last - number) for last, number in zip(there, told, strict=True))


def deeds(
    tx: Connection, after: int, also: Collection[int], *, limit: int
) -> list[tuple[int, Deed]]:
    """Lines of the table `audit` after a number, and those of some numbers before it, in order."""
    rows = [dict(row._mapping) for row in _new(tx, audit, after, also, limit)]
    return [(row.pop("id"), Deed(**row)) for row in rows]


def arrived(tx: Connection, after: int, *, limit: int) -> list[tuple[int, Arrived]]:
    """Objects after a number, in order; results of ours that came back are among them."""
    names = ("id", "study_uid", "calling_ae", "sop_class_uid")
    columns = [*(instances.c[name] for name in names), instances.c.received_at.label("at")]
    wanted = sa.select(*columns).where(instances.c.id > after).order_by(instances.c.id)
    rows = [dict(row) for row in tx.execute(wanted.limit(limit)).mappings()]
    return [(row.pop("id"), Arrived(**row)) for row in rows]


def sent(
    tx: Connection, after: int, also: Collection[int], *, limit: int
) -> list[tuple[int, Sent | None]]:
    """Lines of history likewise; None for one that tells of no delivery."""
    rows = _new(tx, history, after, also, limit)
    told = [row for row in rows if row.event in (DeliveryState.SENT, DeliveryState.REFUSED)]
    kinds = _sop_classes(tx, {row.job_id for row in told})
    found: dict[int, Sent] = {}
    for row in told:
        kind, _, said = row.detail.partition(" to ")  # as outbox.record writes it
        found[row.id] = Sent(
            study_uid=row.study_uid,
            peer=said.partition(":")[0],
            at=row.at,
            sop_class_uid=kinds.get((row.job_id, kind), ""),
            taken=row.event == DeliveryState.SENT,
        )
    return [(row.id, found.get(row.id)) for row in rows]


def turned_away(
    tx: Connection, after: int, also: Collection[int], *, limit: int
) -> list[tuple[int, TurnedAway | None]]:
    """Callers likewise; None for one of whom no object was refused."""
    return [
        (
            row.id,
            TurnedAway(
                calling_ae=row.calling_ae,
                address=row.address,
                at=row.ended_at,
                refusals=row.refusals,
            )
            if row.refusals
            else None,
        )
        for row in _new(tx, associations, after, also, limit)
    ]


def who(tx: Connection, study_uids: Iterable[str]) -> dict[str, Who]:
    """Whose studies are, as far as they are known."""
    columns = (studies.c.study_uid, studies.c.patient_id, studies.c.accession_number)
    found: dict[str, Who] = {}
    for piece in _pieces(sorted(set(study_uids))):
        rows = tx.execute(sa.select(*columns).where(studies.c.study_uid.in_(piece)))
        found |= {uid: Who(patient_id=whose, accession_number=no) for uid, whose, no in rows}
    return found


def address_of(tx: Connection, calling_ae: str, *, since: datetime, until: datetime) -> str | None:
    """Where an AE called from at that time, where an association is known that ended."""
    then = (associations.c.ended_at >= since) & (associations.c.at <= until)
    wanted = sa.select(associations.c.address).where(
        then, associations.c.calling_ae == calling_ae, associations.c.stored > 0
    )
    address: str | None = tx.scalar(wanted.order_by(associations.c.ended_at).limit(1))
    return address


def _last(tx: Connection, table: sa.Table) -> int:
    return tx.scalar(sa.select(sa.func.max(table.c.id))) or 0


def _new(
    tx: Connection, table: sa.Table, after: int, also: Collection[int], limit: int
) -> list[sa.Row[Any]]:
    """Rows after a number, and those of some numbers before it: two questions, each by index."""
    in_order = sa.select(table).order_by(table.c.id)
    late = (
        tx.execute(in_order.where(table.c.id.in_(sorted(also))).limit(limit)).all() if also else []
    )
    rest = in_order.where(table.c.id > after).limit(limit - len(late))
    return [*late, *tx.execute(rest)]


def _sop_classes(tx: Connection, job_ids: Collection[int]) -> dict[tuple[int, str], str]:
    """SOP Class UIDs by job and kind of result."""
    columns = (results.c.job_id, results.c.kind, results.c.sop_class_uid)
    found: dict[tuple[int, str], str] = {}
    for piece in _pieces(sorted(job_ids)):
        rows = tx.execute(sa.select(*columns).where(results.c.job_id.in_(piece)))
        found |= {(job_id, kind): sop_class for job_id, kind, sop_class in rows}
    return found


def _pieces(items: Sequence[_Row]) -> Iterable[Sequence[_Row]]:
    """As many as a statement takes parameters."""
    return (items[start : start + 500] for start in range(0, len(items), 500))

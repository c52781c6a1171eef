"""One study: whose it is, its images, and what an object of it is."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from dicomnode.errors import NotFound
from dicomnode.records import InstanceRef, ResultKind
from dicomnode.storage.database import Connection
from dicomnode.worklist.results import ref_of
from dicomnode.worklist.tables import history, instances, jobs, results, studies

__all__ = [
    "Brought",
    "Image",
    "Object",
    "Study",
    "beside",
    "brought",
    "find",
    "first_of_series",
    "get",
    "images",
    "mark",
    "patient_id",
]

_PAUSE = timedelta(minutes=1)  #: longer, and what comes next counts as brought anew
_MOST_READ = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study of the worklist; whose it is is forgotten when retention removes its images."""

    study_uid: str
    patient_id: str
    accession_number: str
    study_date: str  #: as the images say it
    calling_ae: str  #: who sent its last image
    expected: int | None  #: images that its sender has, where that told
    first_received_at: datetime
    last_received_at: datetime
    removed_at: datetime | None
    promised_at: datetime | None  #: when a peer first relied on its images
    images: int  #: that are here, our own results left out
    returned: int  #: our own results that came back to us


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One received object."""

    id: int  #: in order of arrival
    ref: InstanceRef
    calling_ae: str
    received_at: datetime
    own: bool  #: one of our results that came back


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """Objects that came from one AE without a pause."""

    calling_ae: str
    count: int
    own: bool  #: results of ours that came back
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object of the worklist: one that came, or one that was made here."""

    ref: InstanceRef
    kind: ResultKind | None  #: of a result; none of what came


def get(tx: Connection, study_uid: str) -> Study:
    """The study with this UID.

    Raises:
        NotFound: there is none.
    """
    count = sa.select(sa.func.count()).where(instances.c.study_uid == studies.c.study_uid)
    own = count.where(instances.c.own.is_(True)).scalar_subquery()
    here = count.where(instances.c.own.is_(False)).scalar_subquery()
    names = [name for name in Study.__dataclass_fields__ if name in studies.c]
    wanted = sa.select(*(studies.c[name] for name in names), here.label("images"))
    mine = wanted.add_columns(own.label("returned")).where(studies.c.study_uid == study_uid)
    row = tx.execute(mine).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no study {study_uid} in the worklist")
    return Study(**row)


def patient_id(tx: Connection, study_uid: str) -> str:
    """Whose study it is; empty where that is not known, or forgotten."""
    mine = sa.select(studies.c.patient_id).where(studies.c.study_uid == study_uid)
    return tx.scalar(mine) or ""


def images(tx: Connection, study_uid: str, *, after: int = 0, limit: int = 100) -> list[Image]:
    """What was received of a study, in order of arrival; behind the object of a number."""
    mine = (instances.c.study_uid == study_uid) & (instances.c.id > after)
    rows = tx.execute(sa.select(instances).where(mine).order_by(instances.c.id).limit(limit))
    return [
        Image(
            id=row["id"],
            ref=ref_of(row),
            calling_ae=row["calling_ae"],
            received_at=row["received_at"],
            own=row["own"],
        )
        for row in rows.mappings()
    ]


def first_of_series(tx: Connection, study_uid: str, limit: int) -> list[InstanceRef]:
    """The first image of each series of a study, in order of arrival; nothing of ours."""
    mine = (instances.c.study_uid == study_uid) & instances.c.own.is_(False)
    firsts = sa.select(sa.func.min(instances.c.id)).where(mine).group_by(instances.c.series_uid)
    wanted = sa.select(instances).where(instances.c.id.in_(firsts)).order_by(instances.c.id)
    return [ref_of(row) for row in tx.execute(wanted.limit(limit)).mappings()]


def brought(tx: Connection, study_uid: str) -> list[Brought]:
    """What came of a study and from whom, in order of arrival."""
    columns = instances.c.calling_ae, instances.c.own, instances.c.received_at
    mine = sa.select(*columns).where(instances.c.study_uid == study_uid)
    found: list[Brought] = []
    for row in tx.execute(mine.order_by(instances.c.id).limit(_MOST_READ)):
        last = found[-1] if found else None
        if (
            last is not None
            and (last.calling_ae, last.own) == (row.calling_ae, row.own)
            and row.received_at - last.last_at <= _PAUSE
        ):
            found[-1] = replace(last, count=last.count + 1, last_at=row.received_at)
        else:
            found.append(
                Brought(
                    calling_ae=row.calling_ae,
                    count=1,
                    own=row.own,
                    first_at=row.received_at,
                    last_at=row.received_at,
                )
            )
    return found


def mark(tx: Connection, study_uid: str) -> tuple[object, ...]:
    """What is another one as soon as anything happened to a study: cheap to ask again and again."""
    newest = (
        sa.select(sa.func.max(column)).where(table.c.study_uid == study_uid).scalar_subquery()
        for table, column in (
            (history, history.c.id),
            (instances, instances.c.id),
            (jobs, jobs.c.updated_at),
        )
    )
    return tuple(tx.execute(sa.select(*newest)).one())


def beside(tx: Connection, sop_instance_uid: str) -> tuple[str, str]:
    """The objects of its study that came before and after one; empty where there is none."""
    this = sa.select(instances.c.id, instances.c.study_uid)
    row = tx.execute(this.where(instances.c.sop_instance_uid == sop_instance_uid)).one_or_none()
    if row is None:
        return "", ""
    others = sa.select(instances.c.sop_instance_uid).where(instances.c.study_uid == row.study_uid)
    before = others.where(instances.c.id < row.id).order_by(instances.c.id.desc())
    after = others.where(instances.c.id > row.id).order_by(instances.c.id)
    return tx.scalar(before.limit(1)) or "", tx.scalar(after.limit(1)) or ""


def find(tx: Connection, sop_instance_uid: str) -> Object:
    """The object with this UID; where it is a result that came back, that result.

    Raises:
        NotFound: the worklist has none.
    """
    for table, kind in ((results, results.c.kind), (instances, sa.null())):
        mine = sa.select(table, kind.label("kind_of")).where(
            table.c.sop_instance_uid == sop_instance_uid
        )
        if (row := tx.execute(mine).mappings().one_or_none()) is not None:
            return Object(ref=ref_of(row), kind=row["kind_of"] and ResultKind(row["kind_of"]))
    raise NotFound(f"there is no object {sop_instance_uid[:64]} in the worklist")

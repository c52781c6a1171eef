"""The studies that came last, with some images of each: to try rules on."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.storage.database import Connection
from dicomnode.worklist.tables import instances, studies

__all__ = ["Recent", "Sample", "recent"]

_OF_EACH = 4  #: images of what comes from one AE in one series in one SOP Class


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image, for those like it."""

    sop_instance_uid: str
    calling_ae: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """A study whose images are here."""

    study_uid: str
    accession_number: str
    study_date: str
    last_received_at: datetime  #: aware, UTC
    images: int  #: results of ours left out
    samples: tuple[Sample, ...]


def recent(tx: Connection, limit: int = 100) -> list[Recent]:
    """The last studies with images to look at, the newest first."""
    last = (
        sa.select(studies)
        .where(studies.c.removed_at.is_(None))
        .order_by(studies.c.last_received_at.desc())
        .limit(limit)
    )
    found = tx.execute(last).mappings().all()
    alike = [instances.c[name] for name in ("study_uid", "series_uid", "calling_ae")]
    alike.append(instances.c.sop_class_uid)
    numbered = (
        sa.select(
            instances,
            sa.func.row_number().over(partition_by=alike, order_by=instances.c.id).label("number"),
            sa.func.count().over(partition_by=instances.c.study_uid).label("images"),
        )
        .where(instances.c.study_uid.in_([row["study_uid"] for row in found]))
        .where(instances.c.own.is_(False))
        .subquery()
    )
    some = sa.select(numbered).where(numbered.c.number <= _OF_EACH).order_by(numbered.c.id)
    by_study: dict[str, list[sa.RowMapping]] = {}
    for row in tx.execute(some).mappings():
        by_study.setdefault(row["study_uid"], []).append(row)
    return [_recent(row, rows) for row in found if (rows := by_study.get(row["study_uid"]))]


def _recent(study: sa.RowMapping, rows: list[sa.RowMapping]) -> Recent:
    names = ("study_uid", "accession_number", "study_date", "last_received_at")
    return Recent(
        **{name: study[name] for name in names},
        images=rows[0]["images"],
        samples=tuple(
            Sample(sop_instance_uid=row["sop_instance_uid"], calling_ae=row["calling_ae"])
            for row in rows
        ),
    )

"""Every configuration that was in force, whole: the node writes them down, and who saves one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.config.load import digest_of
from dicomnode.errors import NotFound
from dicomnode.logbook.tables import configurations
from dicomnode.storage.database import Connection, one_at_a_time

__all__ = ["Configuration", "last_with", "listed", "newest", "of", "remember"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One set of files that was in force."""

    id: int
    at: datetime
    user: str  #: who saved it; empty: by hand, in the files
    note: str
    digest: str  #: as `config.load.digest_of`
    files: Mapping[str, str]  #: texts by name, such as peers/pacs.toml


def remember(
    tx: Connection, files: Mapping[str, str], user: str, note: str, *, now: datetime
) -> None:
    """Write down a configuration; one without a user only where it is not the newest already.

    A person who brings back what was in force last, over files that never were, is remembered.
    Who changes the files calls this first and writes them in the same transaction: the node, which
    calls it when it finds them, waits for its end, and then there is nothing left to write down.
    """
    one_at_a_time(tx, "configurations")
    digest = digest_of(files)
    last = sa.select(configurations.c.digest).order_by(configurations.c.id.desc()).limit(1)
    if not user and tx.execute(last).scalar_one_or_none() == digest:
        return
    row = {"at": now, "user": user, "note": note, "digest": digest, "files": dict(files)}
    tx.execute(sa.insert(configurations).values(row))


def newest(tx: Connection) -> Configuration | None:
    """The configuration that was written down last."""
    return next(iter(listed(tx, limit=1)), None)


def listed(tx: Connection, *, before: int = 0, limit: int = 50) -> list[Configuration]:
    """Configurations, newest first; those before the one of a number."""
    wanted = sa.select(configurations).order_by(configurations.c.id.desc()).limit(limit)
    if before:
        wanted = wanted.where(configurations.c.id < before)
    return [Configuration(**row) for row in tx.execute(wanted).mappings()]


def last_with(tx: Connection, digest: str) -> Configuration | None:
    """The last that was written down of this digest; None where it was none."""
    wanted = sa.select(configurations).where(configurations.c.digest == digest)
    row = tx.execute(wanted.order_by(configurations.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else Configuration(**row)


def of(tx: Connection, number: int) -> Configuration:
    """The configuration of this number; NotFound where there is none."""
    wanted = sa.select(configurations).where(configurations.c.id == number)
    row = tx.execute(wanted).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no configuration {number}")
    return Configuration(**row)

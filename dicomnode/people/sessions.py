"""Browsers that are logged in. Their keys are kept as SHA-256: who reads these can be nobody."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from dicomnode.people.accounts import User, made
from dicomnode.people.tables import sessions, users
from dicomnode.storage.database import Connection

__all__ = ["Open", "Session", "begin", "close", "end", "of", "sha256", "tidy", "touch", "whose"]

_SEEN = timedelta(minutes=1)  #: how exactly it is known when a session was used


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a key opens."""

    user: User
    csrf: str  #: what each of its forms must hold
    stale: bool  #: should it be noted that it is in use?


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A browser that is logged in, as its user is shown it."""

    sha256: str  #: of its key: names it, and opens nothing
    address: str
    created_at: datetime
    seen_at: datetime


def sha256(key: str) -> str:
    """What is kept of a key; it is random, so that nothing can be guessed from this."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def begin(tx: Connection, name: str, *, address: str = "", now: datetime) -> str:
    """The key of a new session, to be kept by the browser and nobody else."""
    key = secrets.token_urlsafe(32)
    row = {"sha256": sha256(key), "user": name, "csrf": secrets.token_urlsafe(32)}
    more = {"address": address, "created_at": now, "seen_at": now}
    tx.execute(sa.insert(sessions).values(row | more))
    return key


def whose(
    tx: Connection, key: str, *, longest: timedelta, idle: timedelta, now: datetime
) -> Session | None:
    """Whose session a key opens; None where it is over, or its user may not log in any more."""
    which = sessions.c.sha256 == sha256(key)
    found = sa.select(users, sessions).join(sessions, sessions.c.user == users.c.name).where(which)
    row = tx.execute(found).mappings().one_or_none()
    if row is None:
        return None
    user, seen_at = made(row), row[sessions.c.seen_at]
    if user.disabled or now >= row[sessions.c.created_at] + longest or now >= seen_at + idle:
        return None
    stale = now >= seen_at + min(_SEEN, idle / 2)
    return Session(user=user, csrf=row[sessions.c.csrf], stale=stale)


def touch(tx: Connection, key: str, *, now: datetime) -> None:
    """Note that a session is in use."""
    tx.execute(sa.update(sessions).where(sessions.c.sha256 == sha256(key)).values(seen_at=now))


def of(tx: Connection, name: str) -> list[Open]:
    """Somebody's sessions, the last used first."""
    columns = (sessions.c.sha256, sessions.c.address, sessions.c.created_at, sessions.c.seen_at)
    wanted = sa.select(*columns).where(sessions.c.user == name).order_by(sessions.c.seen_at.desc())
    return [Open(**row) for row in tx.execute(wanted).mappings()]


def close(tx: Connection, key: str) -> None:
    """End the session that a key opens."""
    tx.execute(sa.delete(sessions).where(sessions.c.sha256 == sha256(key)))


def end(tx: Connection, name: str, which: str) -> bool:
    """End the one of somebody's sessions that has this SHA-256; is there one?"""
    mine = (sessions.c.user == name) & (sessions.c.sha256 == which)
    return tx.execute(sa.delete(sessions).where(mine)).rowcount > 0


def tidy(tx: Connection, *, longest: timedelta, idle: timedelta, now: datetime) -> None:
    """Forget the sessions that are over."""
    over = (sessions.c.created_at <= now - longest) | (sessions.c.seen_at <= now - idle)
    tx.execute(sa.delete(sessions).where(over))

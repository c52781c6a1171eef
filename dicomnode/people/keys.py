"""Keys of scripts: each speaks in the name of a user, and may do no more than that user."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from dicomnode.errors import AccountError
from dicomnode.people.accounts import Role, User, made
from dicomnode.people.sessions import sha256
from dicomnode.people.tables import tokens, users
from dicomnode.storage.database import Connection

__all__ = ["Key", "Use", "make", "of", "revoke", "revoke_all", "touch", "whose"]

_PREFIX = "dicomnode_"  #: by which tools find a key that slipped into a file
_USED = timedelta(minutes=1)  #: how exactly it is known when a key was used
_ELSEWHERE = timedelta(days=90)  #: only a login tells whether an OpenID provider still knows one


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key, as its user is shown it."""

    id: int
    note: str  #: what it is for
    role: Role
    created_at: datetime
    ends_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Who speaks with a key."""

    id: int
    user: User
    role: Role  #: of key and user, that which may do less
    stale: bool  #: should it be noted that it is in use?


def make(
    tx: Connection, user: User, note: str, role: Role, ends_at: datetime | None, *, now: datetime
) -> str:
    """A new key. It is known to nobody afterwards but to who is told now.

    Raises:
        AccountError: it may do more than its user, has ended, or lasts too long.
    """
    if not user.role.covers(role):
        raise AccountError(f"a {user.role} cannot make a key for a {role}")
    if ends_at is not None and ends_at <= now:
        raise AccountError("the key would have ended already; choose a later day")
    if user.subject is not None and (ends_at is None or ends_at > now + _ELSEWHERE):
        raise AccountError(
            f"who logs in by OpenID Connect makes keys for {_ELSEWHERE.days} days at most, as only "
            "a login tells whether one still may"
        )
    key = _PREFIX + secrets.token_urlsafe(32)
    row = {"sha256": sha256(key), "user": user.name, "note": note, "role": role}
    tx.execute(sa.insert(tokens).values(row | {"created_at": now, "ends_at": ends_at}))
    return key


def whose(tx: Connection, key: str, *, now: datetime) -> Use | None:
    """Who speaks with a key; None where it has ended, or its user may not log in any more."""
    found = sa.select(users, tokens).join(tokens, tokens.c.user == users.c.name)
    row = tx.execute(found.where(tokens.c.sha256 == sha256(key))).mappings().one_or_none()
    if row is None:
        return None
    user, ends_at, used_at = made(row), row[tokens.c.ends_at], row[tokens.c.used_at]
    if user.disabled or (ends_at is not None and now >= ends_at):
        return None
    role = Role(row[tokens.c.role])
    least = role if user.role.covers(role) else user.role
    stale = used_at is None or now >= used_at + _USED
    return Use(id=row[tokens.c.id], user=user, role=least, stale=stale)


def touch(tx: Connection, number: int, *, now: datetime) -> None:
    """Note that a key is in use."""
    tx.execute(sa.update(tokens).where(tokens.c.id == number).values(used_at=now))


def of(tx: Connection, name: str) -> list[Key]:
    """Somebody's keys, the newest first."""
    wanted = sa.select(tokens).where(tokens.c.user == name).order_by(tokens.c.id.desc())
    return [
        Key(
            id=row["id"],
            note=row["note"],
            role=Role(row["role"]),
            created_at=row["created_at"],
            ends_at=row["ends_at"],
            used_at=row["used_at"],
        )
        for row in tx.execute(wanted).mappings()
    ]


def revoke(tx: Connection, name: str, number: int) -> bool:
    """End one of somebody's keys; is there such a one?"""
    mine = (tokens.c.user == name) & (tokens.c.id == number)
    return tx.execute(sa.delete(tokens).where(mine)).rowcount > 0


def revoke_all(tx: Connection, name: str) -> int:
    """End all of somebody's keys; how many."""
    return tx.execute(sa.delete(tokens).where(tokens.c.user == name)).rowcount

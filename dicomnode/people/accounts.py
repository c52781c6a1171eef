"""Who may use the page, and what for. What a role may do is said in `web/`.

Passwords come in hashed. Who gets another role or password, or may log in no more, is logged out.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from dicomnode.config.fields import Name
from dicomnode.errors import AccountError, NotFound
from dicomnode.people.tables import sessions, tokens, users
from dicomnode.storage.database import Connection, insert_new, one_at_a_time

__all__ = [
    "Member",
    "Role",
    "User",
    "add",
    "demand",
    "demand_free",
    "end_sessions",
    "get",
    "has_administrator",
    "listed",
    "logs_in_as",
    "made",
    "remove",
    "renew_password",
    "set_disabled",
    "set_password",
    "set_role",
]

_NAME: TypeAdapter[str] = TypeAdapter(Name)


class Role(StrEnum):
    """What somebody may do; each may do what those before may."""

    VIEWER = "viewer"  #: look
    OPERATOR = "operator"  #: act on studies
    ADMINISTRATOR = "administrator"  #: change the configuration, and who may do what

    def covers(self, needed: "Role") -> bool:
        """May somebody of this role do what `needed` may?"""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may log in."""

    name: str
    role: Role
    password: str | None  #: Argon2's own text, with its salt; None: by OpenID Connect only
    subject: str | None  #: issuer and subject of OpenID Connect, whose groups say the role
    disabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user, and what is open in that name."""

    user: User
    sessions: int
    seen_at: datetime | None  #: of the sessions that are left, the last sign of life
    keys: int


def add(
    tx: Connection,
    name: str,
    role: Role,
    password: str | None,
    *,
    subject: str | None = None,
    now: datetime,
) -> None:
    """Let somebody in from now on; `password` as Argon2 gives it.

    Raises:
        AccountError: the name is none, or is somebody's, be it in other capitals.
    """
    one_at_a_time(tx, "accounts")
    demand_free(tx, name)
    row = {"name": name, "role": role, "password": password, "subject": subject, "created_at": now}
    if not insert_new(tx, users, [row], users.c.name):
        raise AccountError(f"there is a user {name} already")


def demand_free(tx: Connection, name: str) -> None:
    """Could somebody be called so?

    Raises:
        AccountError: it is no name, or is somebody's, be it in other capitals.
    """
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise AccountError(f"this cannot be a name: {problem}") from error
    alike = sa.func.lower(users.c.name) == name.lower()
    taken = tx.scalar(sa.select(users.c.name).where(alike))
    if taken is not None:
        raise AccountError(f"there is a user {taken} already")


def get(tx: Connection, name: str) -> User | None:
    """Who has this name; what is no name is nobody's."""
    if not _is_name(name):
        return None
    row = tx.execute(sa.select(users).where(users.c.name == name)).mappings().one_or_none()
    return made(row) if row else None


def demand(tx: Connection, name: str) -> User:
    """Who has this name.

    Raises:
        NotFound: nobody.
    """
    user = get(tx, name)
    if user is None:
        raise NotFound(f"there is no user {name}")
    return user


def logs_in_as(tx: Connection, subject: str) -> User | None:
    """Whom an OpenID provider knows as `subject`."""
    row = tx.execute(sa.select(users).where(users.c.subject == subject)).mappings().one_or_none()
    return made(row) if row else None


def listed(tx: Connection) -> list[Member]:
    """Everybody, by name."""
    open_ones = sa.select(sa.func.count()).where(sessions.c.user == users.c.name)
    seen = sa.select(sa.func.max(sessions.c.seen_at)).where(sessions.c.user == users.c.name)
    keys = sa.select(sa.func.count()).where(tokens.c.user == users.c.name)
    counts = [
        open_ones.scalar_subquery().label("open"),
        seen.scalar_subquery().label("seen"),
        keys.scalar_subquery().label("keys"),
    ]
    wanted = sa.select(users, *counts).order_by(sa.func.lower(users.c.name))
    return [
        Member(user=made(row), sessions=row["open"], seen_at=row["seen"], keys=row["keys"])
        for row in tx.execute(wanted).mappings()
    ]


def has_administrator(tx: Connection) -> bool:
    """Is there anybody who can let others in?"""
    return _other_administrators(tx, "") > 0


def set_password(tx: Connection, name: str, password: str, *, but: str = "") -> None:
    """Change a password; `but` is the SHA-256 of the session that may go on.

    Raises:
        NotFound: there is no such user.
        AccountError: an OpenID provider lets this user in.
    """
    if demand(tx, name).subject is not None:
        raise AccountError(f"{name} logs in by OpenID Connect and has no password here")
    tx.execute(sa.update(users).where(users.c.name == name).values(password=password))
    end_sessions(tx, name, but=but)


def renew_password(tx: Connection, name: str, password: str) -> None:
    """Keep the same password as it is hashed today."""
    tx.execute(sa.update(users).where(users.c.name == name).values(password=password))


def set_role(tx: Connection, name: str, role: Role, *, by_groups: bool = False) -> None:
    """Let somebody do more, or less; `by_groups`: an OpenID provider says so, who is obeyed.

    Raises:
        NotFound: there is no such user.
        AccountError: nobody would be left who can let others in, or the provider says the role.
    """
    one_at_a_time(tx, "accounts")
    user = demand(tx, name)
    if user.role == role:
        return
    if not by_groups:
        if user.subject is not None:
            raise AccountError(f"the role of {name} follows the groups at the OpenID provider")
        _demand_another(tx, user)
    tx.execute(sa.update(users).where(users.c.name == name).values(role=role))
    end_sessions(tx, name)


def set_disabled(tx: Connection, name: str, *, disabled: bool, now: datetime) -> None:
    """Let somebody in no more, or again; raises as `set_role` does."""
    one_at_a_time(tx, "accounts")
    user = demand(tx, name)
    if user.disabled == disabled:
        return
    if disabled:
        _demand_another(tx, user)
    values = {"disabled_at": now if disabled else None}
    tx.execute(sa.update(users).where(users.c.name == name).values(values))
    end_sessions(tx, name)


def remove(tx: Connection, name: str) -> None:
    """Forget somebody, but not what they did; raises as `set_role` does."""
    one_at_a_time(tx, "accounts")
    _demand_another(tx, demand(tx, name))
    end_sessions(tx, name)
    tx.execute(sa.delete(tokens).where(tokens.c.user == name))
    tx.execute(sa.delete(users).where(users.c.name == name))


def end_sessions(tx: Connection, name: str, *, but: str = "") -> int:
    """Log somebody out everywhere, `but` in the session with this SHA-256; how many ended."""
    ended = (sessions.c.user == name) & (sessions.c.sha256 != but)
    return tx.execute(sa.delete(sessions).where(ended)).rowcount


def _demand_another(tx: Connection, user: User) -> None:
    """What would leave nobody who can let others in is not done."""
    if user.role != Role.ADMINISTRATOR or user.disabled:
        return
    if not _other_administrators(tx, user.name):
        raise AccountError(
            f"{user.name} is the last administrator; make another one first, or nobody could "
            "let anybody in"
        )


def _other_administrators(tx: Connection, name: str) -> int:
    others = (users.c.role == Role.ADMINISTRATOR) & users.c.disabled_at.is_(None)
    count = sa.select(sa.func.count()).where(others, users.c.name != name)
    return tx.scalar(count) or 0


def _is_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def made(row: sa.RowMapping) -> User:
    """A user from a row that holds the columns of the table."""
    return User(
        name=row[users.c.name],
        role=Role(row[users.c.role]),
        password=row[users.c.password],
        subject=row[users.c.subject],
        disabled=row[users.c.disabled_at] is not None,
        created_at=row[users.c.created_at],
    )

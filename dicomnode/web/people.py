"""Changes of who may do what, each with its line in the audit trail; for pages and interface."""

from dicomnode.people import accounts
from dicomnode.people.accounts import Member, Role
from dicomnode.storage.database import Connection
from dicomnode.web.access import Caller, note
from dicomnode.web.login import passwords
from dicomnode.web.site import Site

__all__ = ["add", "change", "demand_member", "log_out", "remove"]


def add(here: Site, caller: Caller, name: str, role: Role, password: str) -> None:
    """Let somebody in.

    Raises:
        AccountError: the name is none or taken, or the password too short.
    """
    hashed = passwords.hashed(password)  # takes long: in no transaction
    with here.database.transaction() as tx:
        accounts.add(tx, name, role, hashed, now=here.now())
        note(tx, here, caller, "user.added", detail=f"{name}: {role}")


def change(
    here: Site,
    caller: Caller,
    name: str,
    *,
    role: Role | None = None,
    disabled: bool | None = None,
    password: str | None = None,
) -> None:
    """Change what is given, all of it or nothing; what was changed ends the user's sessions.

    Raises:
        NotFound: there is no such user.
        AccountError: nobody would be left who can let others in, or the password is too short.
    """
    hashed = None if password is None else passwords.hashed(password)
    with here.database.transaction() as tx:
        user = accounts.demand(tx, name)
        if role is not None and role != user.role:
            accounts.set_role(tx, name, role)
            note(tx, here, caller, "user.role", detail=f"{name}: {user.role} to {role}")
        if disabled is not None and disabled != user.disabled:
            accounts.set_disabled(tx, name, disabled=disabled, now=here.now())
            note(tx, here, caller, "user.disabled" if disabled else "user.enabled", detail=name)
        if hashed is not None:
            accounts.set_password(tx, name, hashed)
            note(tx, here, caller, "user.password", detail=name)


def log_out(here: Site, caller: Caller, name: str) -> None:
    """End all sessions of somebody; NotFound where nobody has the name."""
    with here.database.transaction() as tx:
        accounts.demand(tx, name)
        accounts.end_sessions(tx, name)
        note(tx, here, caller, "user.logged-out", detail=name)


def remove(here: Site, caller: Caller, name: str) -> None:
    """Forget somebody; raises as `change` does."""
    with here.database.transaction() as tx:
        accounts.remove(tx, name)
        note(tx, here, caller, "user.removed", detail=name)


def demand_member(tx: Connection, name: str) -> Member:
    """Somebody, with what is open in that name; NotFound where nobody has the name."""
    accounts.demand(tx, name)
    return next(each for each in accounts.listed(tx) if each.user.name == name)

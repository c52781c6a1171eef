"""`dicomnode users`: who may use the page. The first administrator is made here."""

import getpass
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dicomnode.audit.events import Deed
from dicomnode.cli.output import (
    ConfigOption,
    JsonOption,
    errors,
    fail,
    local_time,
    print_json,
    print_table,
    say,
)
from dicomnode.config.load import load_right
from dicomnode.logbook import audit
from dicomnode.node.build import open_worklist
from dicomnode.people import accounts
from dicomnode.people.accounts import Member, Role
from dicomnode.storage.database import Connection, Database
from dicomnode.storage.durable import make_folder
from dicomnode.web.login import passwords
from dicomnode.worklist.schema import is_there, upgrade

__all__ = ["app"]

app = typer.Typer(help="Say who may use the page, and what for.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The user's name.")]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


@app.command()
def add(
    name: NameArgument,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.VIEWER,
    password_stdin: PasswordOption = False,
    config: ConfigOption = Path("ae_config"),
) -> None:
    """Let somebody in. Asks for a password, of 12 characters at least."""
    with errors(), _accounts(config) as database:
        with database.reading() as tx:
            accounts.demand_free(tx, name)
        hashed = passwords.hashed(_password(name, from_stdin=password_stdin))
        with database.transaction() as tx:
            accounts.add(tx, name, role, hashed, now=_now())
            _note(tx, "user.added", f"{name}: {role}")
    say(f"{name} may log in as {role}.")


@app.command("list")
def list_users(config: ConfigOption = Path("ae_config"), as_json: JsonOption = False) -> None:
    """List who may log in."""
    with errors(), _accounts(config) as database, database.reading() as tx:
        members = accounts.listed(tx)
    if as_json:
        print_json([_plain(member) for member in members])
    elif members:
        head = ("name", "role", "logs in by", "state", "logged in", "keys", "last seen")
        print_table(head, [_row(member) for member in members])
    else:
        say("Nobody may log in; `dicomnode users add NAME --role administrator` changes that.")


@app.command()
def password(
    name: NameArgument,
    password_stdin: PasswordOption = False,
    config: ConfigOption = Path("ae_config"),
) -> None:
    """Give somebody another password; it ends the user's sessions."""
    with errors(), _accounts(config) as database:
        with database.reading() as tx:
            accounts.demand(tx, name)
        hashed = passwords.hashed(_password(name, from_stdin=password_stdin))
        with database.transaction() as tx:
            accounts.set_password(tx, name, hashed)
            _note(tx, "user.password", name)
    say(f"{name} has a new password, and is logged out everywhere.")


@app.command("role")
def change_role(
    name: NameArgument,
    role: Annotated[Role, typer.Argument(help="What the user may do from now on.")],
    config: ConfigOption = Path("ae_config"),
) -> None:
    """Let somebody do more, or less; it ends the user's sessions."""
    with errors(), _accounts(config) as database, database.transaction() as tx:
        before = accounts.demand(tx, name).role
        accounts.set_role(tx, name, role)
        _note(tx, "user.role", f"{name}: {before} to {role}")
    say(f"{name} is {role} now.")


@app.command()
def disable(name: NameArgument, config: ConfigOption = Path("ae_config")) -> None:
    """Let somebody in no more: neither by password nor by key."""
    _disable(name, config, disabled=True)
    say(f"{name} cannot log in any more.")


@app.command()
def enable(name: NameArgument, config: ConfigOption = Path("ae_config")) -> None:
    """Let somebody in again."""
    _disable(name, config, disabled=False)
    say(f"{name} may log in again.")


@app.command()
def remove(name: NameArgument, config: ConfigOption = Path("ae_config")) -> None:
    """Forget somebody, and the user's keys; what they did stays in the audit trail."""
    with errors(), _accounts(config) as database, database.transaction() as tx:
        accounts.remove(tx, name)
        _note(tx, "user.removed", name)
    say(f"{name} is removed.")


def _disable(name: str, config: Path, *, disabled: bool) -> None:
    with errors(), _accounts(config) as database, database.transaction() as tx:
        accounts.set_disabled(tx, name, disabled=disabled, now=_now())
        _note(tx, "user.disabled" if disabled else "user.enabled", name)


@contextmanager
def _accounts(config: Path) -> Iterator[Database]:
    """The node's database; made where there is none, as people come before the node runs."""
    settings = load_right(config)
    database = open_worklist(settings)
    try:
        if not is_there(database):
            make_folder(settings.node.storage.folder)
            upgrade(database)
            _hand_over(database)
        yield database
    finally:
        database.close()


def _hand_over(database: Database) -> None:
    """What root made belongs to who owns the folder, else the node could not write to it."""
    file = Path(database.url.database or "")
    if database.url.get_backend_name() != "sqlite" or os.geteuid() != 0:
        return
    owner = file.parent.stat()
    for each in (file, *file.parent.glob(f"{file.name}-*")):
        os.chown(each, owner.st_uid, owner.st_gid)


def _password(name: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        fail("there is no terminal to ask for the password; give it with --password-stdin")
    typed = getpass.getpass(f"Password of {name}: ")
    if getpass.getpass("The same again: ") != typed:
        fail("the two are not alike; nothing was changed")
    return typed


def _note(tx: Connection, action: str, detail: str) -> None:
    """Nobody is logged in here; who has the machine's shell is told by its account."""
    by = pwd.getpwuid(os.getuid()).pw_name
    words = f"{detail}; by {by} with the command line"
    audit.note(tx, Deed(at=_now(), user="", address="", action=action, detail=words))


def _now() -> datetime:
    return datetime.now(UTC)


def _row(member: Member) -> tuple[str, ...]:
    user = member.user
    return (
        user.name,
        user.role,
        "OpenID Connect" if user.subject else "password",
        "disabled" if user.disabled else "may log in",
        str(member.sessions),
        str(member.keys),
        local_time(member.seen_at) if member.seen_at else "-",
    )


def _plain(member: Member) -> dict[str, object]:
    user = member.user
    return {
        "name": user.name,
        "role": user.role,
        "openid": user.subject is not None,
        "disabled": user.disabled,
        "created_at": user.created_at,
        "sessions": member.sessions,
        "keys": member.keys,
        "seen_at": member.seen_at,
    }

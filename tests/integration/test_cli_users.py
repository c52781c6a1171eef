import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicomnode.cli.main import app
from dicomnode.config.load import load
from dicomnode.logbook import audit
from dicomnode.node.build import open_worklist
from dicomnode.people import accounts
from dicomnode.web.login import passwords
from tests.cli import call, told

KNOWN = "a good password"


def add(config: Path, name: str, role: str, typed: str = KNOWN) -> tuple[int, str]:
    """Exit code and words."""
    command = ["users", "add", name, "--role", role, "--password-stdin", "-c", str(config)]
    done = CliRunner().invoke(app, command, input=f"{typed}\n")
    return done.exit_code, done.output


def test_the_first_administrator_is_made_before_the_node_ever_ran(config: Path) -> None:
    assert add(config, "ada", "administrator") == (0, "ada may log in as administrator.\n")

    (found,) = told(call("users", "list", "--json", "-c", config))
    assert (found["name"], found["role"], found["disabled"]) == ("ada", "administrator", False)
    database = open_worklist(load(config))
    with database.reading() as tx:
        user = accounts.demand(tx, "ada")
        noted = [entry for _, entry in audit.listed(tx)]
    database.close()
    assert passwords.is_right(user.password, KNOWN)
    assert [entry.action for entry in noted] == ["user.added"]
    assert noted[0].detail.startswith("ada: administrator; by ")


def test_each_command_does_what_it_says(config: Path) -> None:
    add(config, "ada", "administrator")
    add(config, "bob", "viewer")
    assert "bob is operator now." in call("users", "role", "bob", "operator", "-c", config).stdout
    assert call("users", "disable", "bob", "-c", config).exit_code == 0
    assert "disabled" in call("users", "list", "-c", config, columns=120).stdout
    assert call("users", "enable", "bob", "-c", config).exit_code == 0
    command = ["users", "password", "bob", "--password-stdin", "-c", str(config)]
    assert CliRunner().invoke(app, command, input="another password\n").exit_code == 0
    assert call("users", "remove", "bob", "-c", config).exit_code == 0
    assert [each["name"] for each in told(call("users", "list", "--json", "-c", config))] == ["ada"]


@pytest.mark.parametrize(
    "command", [("role", "ada", "viewer"), ("disable", "ada"), ("remove", "ada")]
)
def test_the_last_administrator_stays(config: Path, command: tuple[str, ...]) -> None:
    add(config, "ada", "administrator")
    done = call("users", *command, "-c", config)

    assert done.exit_code == 1
    assert "last administrator" in done.stderr


@pytest.mark.parametrize(
    ("name", "typed", "problem"),
    [
        ("ADA", KNOWN, "there is a user ada already"),
        ("b ob", KNOWN, "cannot be a name"),
        ("bob", "short", "at least 12 characters"),
        ("bob", "", "at least 12 characters"),
    ],
)
def test_what_cannot_be_is_said(config: Path, name: str, typed: str, problem: str) -> None:
    add(config, "ada", "administrator")
    code, words = add(config, name, "viewer", typed)

    assert code == 1
    assert problem in words
    assert "nobody has" not in call("users", "remove", "bob", "-c", config).stdout


def test_nobody_is_found_under_another_name(config: Path) -> None:
    done = call("users", "disable", "nobody", "-c", config)
    assert done.exit_code == 1
    assert "there is no user nobody" in done.stderr
    assert "Nobody may log in" in call("users", "list", "-c", config).stdout


def on_a_terminal(config: Path, *typed: str) -> tuple[int, str]:
    """What `users add ada` says to somebody who types."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dicomnode", "users", "add", "ada", "-c", str(config)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as running:
        os.close(theirs)
        said = b""
        for word in typed:
            while not said.endswith(b": "):
                said += os.read(ours, 1024)
            os.write(ours, f"{word}\n".encode())
            said += b"\n"
        try:
            while piece := os.read(ours, 1024):
                said += piece
        except OSError:
            pass  # how a terminal says that nobody is there any more
    os.close(ours)
    return running.returncode, said.decode()


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(config: Path) -> None:
    code, said = on_a_terminal(config, KNOWN, KNOWN)
    assert code == 0, said
    assert KNOWN not in said
    assert "ada may log in as viewer." in said


def test_two_passwords_that_differ_are_none(config: Path) -> None:
    code, said = on_a_terminal(config, KNOWN, "another password")
    assert code == 1
    assert "not alike" in said


def test_without_a_terminal_it_says_how_to_give_the_password(config: Path) -> None:
    done = call("users", "add", "ada", "-c", config)
    assert done.exit_code == 1
    assert "--password-stdin" in done.stderr

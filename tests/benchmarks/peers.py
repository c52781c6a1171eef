"""The receivers that are measured, each in a folder of its own on the same disk.

All run without Nagle's algorithm: DCMTK answers in two pieces, and each answer would wait 40 ms.
"""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dicomnode.cli.processes import settled
from tests.orthanc import Orthanc
from tests.pacs import free_port

__all__ = ["PEERS", "Receiver", "absent", "dicomnode"]

_NODE = """
[receive]
ae_title = "DICOMNODE"
port = {port}
max_associations = 1000
max_associations_of_one = 1000

[web]
on = false

[storage]
folder = "{folder}"
min_free_bytes = 0

[log]
level = "WARNING"
"""
_PEER = """
ae_title = "BENCH"
host = "127.0.0.1"
port = {port}
may_send = true
"""
_PIPELINE = """
destinations = ["bench"]

[complete]
quiet_s = {quiet_s}
"""
_QUIET_S = 3600.0  #: so long that no image is analysed while others are received
_SPEAKS_AT_ONCE = os.environ | {"TCP_NODELAY": "1"}  #: DCMTK's own setting, of Orthanc too
_LONGEST_S = 120.0  #: to start, or to enter everything into the worklist


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver that runs."""

    name: str
    ae_title: str
    port: int
    pid: int
    kept: Callable[[], int]  #: objects that are there now
    worklist: Path | None = None  #: SQLite, where there is one

    def wait_for_worklist(self, count: int, since: float) -> float | None:
        """Wait until so many objects are in the worklist; seconds since a time that was."""
        if self.worklist is None:
            return None
        while (entered := self.query("SELECT count(*) FROM instances")) < count:
            if time.monotonic() > since + _LONGEST_S:
                raise RuntimeError(f"{self.name}: {entered} of {count} are in the worklist")
            time.sleep(0.02)
        return time.monotonic() - since

    def query(self, sql: str) -> int:
        """One number from the worklist, which is only read."""
        with closing(sqlite3.connect(f"file:{self.worklist}?mode=ro", uri=True)) as database:
            (number,) = database.execute(sql).fetchone()
            return int(number)


@contextmanager
def dicomnode(folder: Path, *, quiet_s: float = _QUIET_S) -> Iterator[Receiver]:
    """Our node, with its worklist in SQLite and a pipeline that takes everything and waits."""
    port, storage = free_port(), folder / "node"
    for name, text in {
        "node.toml": _NODE.format(port=port, folder=storage),
        "peers/bench.toml": _PEER.format(port=free_port()),
        "pipelines/all.toml": _PIPELINE.format(quiet_s=quiet_s),
    }.items():
        (folder / "ae_config" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "ae_config" / name).write_text(text, "utf-8")
    command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(folder / "ae_config")]
    worklist = storage / "worklist.db"
    with _running(command, folder, port) as pid:
        settled(pid)
        yield Receiver(
            "dicomnode", "DICOMNODE", port, pid, lambda: _files(storage, "*.dcm"), worklist
        )


@contextmanager
def _storescp(folder: Path, *options: str) -> Iterator[Receiver]:
    """DCMTK's receiver, a process for each association; it syncs nothing."""
    port, kept = free_port(), folder / "kept"
    kept.mkdir(parents=True)
    command = ["storescp", "--fork", *options, "--output-directory", str(kept), str(port)]
    with _running(command, folder, port) as pid:
        name = "DCMTK tuned" if options else "DCMTK"
        yield Receiver(name, "STORESCP", port, pid, lambda: _files(kept, "*"))


@contextmanager
def _storescp_tuned(folder: Path) -> Iterator[Receiver]:
    with _storescp(folder, "--bit-preserving", "--max-pdu", "131072") as receiver:
        yield receiver


@contextmanager
def _orthanc(folder: Path) -> Iterator[Receiver]:
    """Orthanc as it comes: it syncs each file and indexes it in its own SQLite."""
    with Orthanc(folder, {}, _SPEAKS_AT_ONCE) as server:
        yield Receiver("Orthanc", "ORTHANC", server.peer.port, server.pid, server.count)


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[int]:
    """A program that listens, until the block ends; gives its process number."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=_SPEAKS_AT_ONCE)
    try:
        deadline = time.monotonic() + _LONGEST_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                words = (folder / "log").read_text("utf-8")
                raise RuntimeError(f"{command[0]} does not start: {words}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _files(folder: Path, pattern: str) -> int:
    """By their names, and looked for twice: one that was moved meanwhile is seen once."""
    return len({path.name for _ in range(2) for path in folder.rglob(pattern)})


#: By the name of the option `--targets`.
PEERS: dict[str, Callable[[Path], AbstractContextManager[Receiver]]] = {
    "dicomnode": dicomnode,
    "dcmtk": _storescp,
    "dcmtk-tuned": _storescp_tuned,
    "orthanc": _orthanc,
}
_PROGRAMS = {"dcmtk": "storescp", "dcmtk-tuned": "storescp", "orthanc": "Orthanc"}


def absent(target: str) -> str:
    """The program that this machine lacks to run a target; empty where it is all here."""
    program = _PROGRAMS.get(target, "")
    return program if program and shutil.which(program) is None else ""

"""A whole `dicomnode serve` with two receivers, under load: its processes, and its worklist."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from dicomnode.node.build import open_worklist
from dicomnode.worklist.tables import instances
from tests.crash.load import Load, name
from tests.landing import being_received
from tests.pacs import free_port
from tests.running import RunningNode, node, until

__all__ = ["assert_all_entered", "kill_all", "live", "receivers", "serving"]

_NODE = """
[receive]
ae_title = "DICOMNODE"
port = {port}
processes = 2

[web]
on = false

[storage]
folder = "{folder}"
min_free_bytes = 0
low_water_bytes = 0
"""

_MODALITY = """
ae_title = "MODALITY"
host = "127.0.0.1"
port = {port}
may_send = true
"""

_NO_IMAGE = """
destinations = ["pacs"]

[match]
modality = ["NONE"]
"""


@contextmanager
def serving(config: Path, folder: Path, **storage: int) -> Iterator[RunningNode]:
    """A node that analyses nothing, not started yet; `storage` changes settings of its section."""
    text = _NODE.format(port=free_port(), folder=folder)
    for key, value in storage.items():
        text = text.replace(f"{key} = 0", f"{key} = {value}")
    extra = {
        "node.toml": text,
        "peers/modality.toml": _MODALITY.format(port=free_port()),
        "pipelines/all.toml": _NO_IMAGE,
    }
    with node(config, free_port(), start=False, extra=extra) as running:
        yield running


def receivers(running: RunningNode) -> list[int]:
    """Process numbers of the receivers."""
    return [pid for pid in _children(running) if b"dicomnode.receive" in _command(pid)]


def kill_all(running: RunningNode) -> None:
    """SIGKILL to the node alone; return when its children have ended by themselves."""
    children = _children(running)
    running.kill()
    until(lambda: not any(_command(pid) for pid in children))


def live(running: RunningNode, load: Load, seconds: float) -> None:
    """One life of the node under load, which ends after `seconds` as in `kill_all`."""
    running.start()
    load.begin(running.peer.port)
    time.sleep(seconds)
    kill_all(running)
    load.end()


def assert_all_entered(running: RunningNode, load: Load) -> None:
    """What was acknowledged is in the worklist, and in its study, whole."""
    folder = running.settings.node.storage.folder
    until(lambda: not list((folder / "inbox").iterdir()))
    acknowledged = {name(number) for number in load.acknowledged}
    lost = acknowledged - _entered(running)
    assert not lost, f"{len(lost)} of {len(acknowledged)} are not in the worklist"
    lost = acknowledged - load.check((folder / "studies").glob("*/*"))
    assert not lost, f"{len(lost)} of {len(acknowledged)} are in the worklist and not on the disk"
    torn = being_received(folder)
    assert not torn, f"{len(torn)} torn objects are still there"
    assert not load.complaints, load.complaints


def _entered(running: RunningNode) -> set[str]:
    database = open_worklist(running.settings)
    try:
        with database.reading() as tx:
            return set(tx.scalars(sa.select(instances.c.sop_instance_uid)))
    finally:
        database.close()


def _children(running: RunningNode) -> list[int]:
    assert running.process is not None
    found = subprocess.run(
        ["pgrep", "-P", str(running.process.pid)], check=False, capture_output=True, text=True
    )
    return [int(pid) for pid in found.stdout.split()]


def _command(pid: int) -> bytes:
    """A process's command line; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""

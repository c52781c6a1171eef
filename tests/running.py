"""A whole node as its own process, and a way to send to it, kill it and look at it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dicomnode.config.load import Settings, load
from dicomnode.deliver.sender import send
from dicomnode.dicom.network import echo
from dicomnode.errors import DatabaseAway
from dicomnode.node.build import open_worklist
from dicomnode.records import Job, Outcome, Peer
from dicomnode.worklist import jobs
from dicomnode.worklist.states import OPEN
from tests.pacs import free_port

__all__ = ["RunningNode", "looping", "node", "until"]

#: Nobody waits here for a measurement of runtimes.
_NODE = """
[receive]
ae_title = "DICOMNODE"
port = {port}

[storage]
folder = "{folder}"
min_free_bytes = 0

[worklist]
url = "{url}"
lease_s = 5.0
attempts = {attempts}
first_retry_s = 0.2
longest_retry_s = 1.0

[deliver]
first_retry_s = 0.2
longest_retry_s = 1.0

[web]
on = false

[classify]
runtime = "torch"
"""

_PEER = """
ae_title = "{ae_title}"
host = "127.0.0.1"
port = {port}
may_send = {may_send}
answers_find = {answers_find}
timeout_s = {timeout_s}
"""

_PIPELINE = """
destinations = ["pacs"]

[complete]
quiet_s = {quiet_s}
"""


@dataclass
class RunningNode:
    """`dicomnode serve` on a configuration of its own."""

    config: Path
    process: "subprocess.Popen[bytes] | None" = None
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = load(self.config)

    @property
    def log(self) -> str:
        """All that the node has logged, over all its lives."""
        return self.config.with_name("node.log").read_text("utf-8")

    @property
    def peer(self) -> Peer:
        """The node, as those who send to it know it."""
        receive = self.settings.node.receive
        return Peer(name="node", ae_title="DICOMNODE", host="127.0.0.1", port=receive.port)

    def start(self) -> None:
        """Start the process and wait until it answers C-ECHO."""
        command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(self.config)]
        with self.config.with_name("node.log").open("ab") as log:
            process = self.process = subprocess.Popen(command, stderr=log)
        caller = self.settings.peers["pacs"].ae_title
        until(lambda: echo(self.peer, caller).ok or process.poll() is not None)
        assert process.poll() is None, self.log

    def set_pacs(self, peer: Peer) -> None:
        """Tell the configuration who the PACS is, before the start."""
        file = self.config / "peers" / "pacs.toml"
        text = re.sub(r"(?m)^port = .*$", f"port = {peer.port}", file.read_text("utf-8"))
        text = re.sub(r"(?m)^ae_title = .*$", f'ae_title = "{peer.ae_title}"', text)
        file.write_text(text, "utf-8")
        self.settings = load(self.config)

    def stop(self, *, timeout_s: float = 60) -> int:
        """Ask politely; return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL, and what is on disk stays as it is."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_worker(self) -> bool:
        """SIGKILL the worker's process; False when there was none just then."""
        assert self.process is not None
        with contextlib.suppress(subprocess.CalledProcessError, ProcessLookupError):
            found = subprocess.check_output(
                ["pgrep", "-P", str(self.process.pid), "-f", "dicomnode worker"], text=True
            )
            for pid in found.split():
                os.kill(int(pid), signal.SIGKILL)
            return True
        return False

    def send(self, files: Sequence[Path], ae_title: str = "PACS") -> list[Outcome]:
        """Send files in one association."""
        return send(files, self.peer, ae_title)

    def jobs(self) -> list[Job]:
        """All jobs, the newest first; none while the database cannot tell."""
        database = open_worklist(self.settings)
        try:
            with database.reading() as tx:
                return jobs.listed(tx, limit=100_000)
        except DatabaseAway:
            return []
        finally:
            database.close()

    def wait_for_studies(self, number: int, *, timeout_s: float = 120) -> list[Job]:
        """Wait until so many studies have no open job; return all jobs."""

        def ended() -> bool:
            found = self.jobs()
            moving = {job.study_uid for job in found if job.state in OPEN}
            return len({job.study_uid for job in found} - moving) >= number

        until(ended, timeout_s=timeout_s)
        return self.jobs()


@contextmanager
def node(
    folder: Path,
    archive_port: int,
    *,
    url: str = "",
    answers_find: bool = False,
    quiet_s: float = 0.5,
    attempts: int = 5,
    start: bool = True,
    extra: Mapping[str, str] | None = None,
    more: str = "",
) -> Iterator[RunningNode]:
    """A node whose PACS listens on `archive_port`; it is stopped when the block ends.

    `extra` are files of the configuration, `more` is said in `[classify]`, and behind it.
    """
    config = folder / "ae_config"
    texts = {
        "node.toml": _NODE.format(
            port=free_port(), folder=folder / "node", url=url, attempts=attempts
        )
        + more,
        "peers/pacs.toml": _PEER.format(
            ae_title="PACS",
            port=archive_port,
            may_send="true",
            answers_find=str(answers_find).lower(),
            timeout_s=5.0,
        ),
        "pipelines/all.toml": _PIPELINE.format(quiet_s=quiet_s),
    }
    for name, text in (texts | dict(extra or {})).items():
        file = config / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    running = RunningNode(config)
    if start:
        running.start()
    try:
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()


@contextmanager
def looping(
    run: Callable[[threading.Event], object],
    wake: Callable[[], None] = lambda: None,
    stop: threading.Event | None = None,
) -> Iterator[threading.Event]:
    """A loop of the node in a thread of its own, until the block ends or sets what it gives.

    `wake` ends what the loop waits for; `stop` is an event that is to be used.
    """
    over = stop or threading.Event()
    thread = threading.Thread(target=run, args=(over,))
    thread.start()
    try:
        yield over
    finally:
        over.set()
        wake()
        thread.join()


def until(true: Callable[[], bool], *, timeout_s: float = 60) -> None:
    """Wait for something to become true; it is a failure when it does not."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not true within {timeout_s:g} s"
        time.sleep(0.05)

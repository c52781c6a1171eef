"""The worker's process, and both ends of the pipe that ties its life to the node's: start it,
start it again when it dies, and stop it politely.

The worker ends when its standard input ends, so it never outlives the node by more than the job
in its hands, however the node died.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dicomnode.errors import DatabaseAway

__all__ = ["WorkerProcess", "stop_at_end_of_input", "worker_command"]

log = logging.getLogger(__name__)

_SETTLED_S = 20.0  #: a worker that lived so long may be started again at once
_LONGEST_WAIT_S = 30.0


def worker_command(config: Path, name: str) -> list[str]:
    """The command that runs a worker on this configuration, with this Python."""
    return [sys.executable, "-m", "dicomnode", "worker", "--config", str(config), "--name", name]


def stop_at_end_of_input(stop: threading.Event) -> None:
    """Set `stop` when standard input ends, which it does when the parent is gone."""

    def listen() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        stop.set()

    threading.Thread(target=listen, name="parent", daemon=True).start()


class WorkerProcess:
    """Keeps one worker process alive; `lost` is told the name of each one that died,
    `stopped` of the one that was asked to end."""

    def __init__(
        self,
        command: Callable[[str], Sequence[str]],
        names: Callable[[], str],
        lost: Callable[[str], None],
        stopped: Callable[[str], None],
    ) -> None:
        self._command = command
        self._names = names
        self._lost = lost
        self._stopped = stopped
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process number of the worker that runs now."""
        return self._process.pid if self._process else None

    def run(self, stop: threading.Event, *, drain_s: float) -> None:
        """Keep a worker running until `stop`; then give it `drain_s` seconds to finish its job."""
        wait_s = 0.5
        while not stop.is_set():
            name, started = self._names(), time.monotonic()
            self._process = subprocess.Popen(  # noqa: S603  our own program
                list(self._command(name)), stdin=subprocess.PIPE
            )
            log.info("worker.started", extra={"worker": name, "pid": self._process.pid})
            with self._process:
                died = self._watch(self._process, stop, drain_s)
            self._report_end(name, died=died)
            if not died:
                return
            wait_s = (
                0.5 if time.monotonic() - started > _SETTLED_S else min(wait_s * 2, _LONGEST_WAIT_S)
            )
            fields = {"worker": name, "exit_code": self._process.returncode, "retry_in_s": wait_s}
            log.error("worker.died", extra=fields)
            stop.wait(wait_s)

    def _report_end(self, name: str, *, died: bool) -> None:
        try:
            (self._lost if died else self._stopped)(name)
        except DatabaseAway as error:  # its leases run out by themselves
            log.warning("worker.lost", extra={"worker": name, "error": str(error)})

    def _watch(
        self, process: "subprocess.Popen[bytes]", stop: threading.Event, drain_s: float
    ) -> bool:
        """True when the worker died by itself, False when it was stopped."""
        while not stop.wait(0.2):
            if process.poll() is not None:
                return True
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(drain_s)
        except subprocess.TimeoutExpired:
            log.warning("worker.killed", extra={"pid": process.pid})
            process.kill()
            process.wait()
        return False

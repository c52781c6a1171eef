"""A process of ours beside the node's: start it, start it again when it dies, stop it politely.

A worker or the page. It gets the settings in force on its standard input, and ends when that ends:
so it never outlives the node by more than the jobs in its hands, however the node died.
"""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicomnode.config.settings import ClassifySettings
from dicomnode.errors import DatabaseAway
from dicomnode.node.line import LOOK, OwnEnd

__all__ = ["ChildProcess", "Place", "page_command", "worker_command", "workers_wanted"]

log = logging.getLogger(__name__)

_SETTLED_S = 20.0  #: a worker that lived so long may be started again at once
_LONGEST_WAIT_S = 30.0
_NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")  #: a folder for each that may be used here


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which of the node's workers one is: the same for all its lives."""

    number: int = 0
    of: int = 1


def workers_wanted(rules: ClassifySettings) -> int:
    """How many processes run models: as many as are asked for, else one for each GPU."""
    if rules.workers:
        return rules.workers
    gpus = _NVIDIA_GPUS.glob("*") if rules.device in ("auto", "cuda") else ()
    return max(1, sum(1 for _ in gpus))


def worker_command(
    config: Path, name: str, place: Place = Place(), *, careful: bool = False
) -> list[str]:
    """The command that runs a worker on this configuration, with this Python.

    A `careful` one does what is owed and nothing more: the one before it died.
    """
    command = [sys.executable, "-m", "dicomnode", "worker", "--config", str(config)]
    command += ["--name", name, "--number", str(place.number), "--of", str(place.of)]
    return command + ["--handed-over"] + ["--careful"] * careful


def page_command(config: Path) -> list[str]:
    """The command that serves the page of this configuration, with this Python."""
    command = [sys.executable, "-m", "dicomnode", "web", "--config", str(config)]
    return [*command, "--handed-over"]


def _nobody(name: str) -> None:
    """For a process that holds nothing."""


class ChildProcess:
    """Keeps one process alive; `lost` is told the name of each one that died,
    `stopped` of the one that was asked to end.

    `command` gets its name, and whether the one before it died. `told` is called when it says that
    there is something to deliver. One that gives no sign of life for `silent_s` seconds is killed:
    a call into native code may hold the interpreter, and every thread with it. `hand_over` is what
    it reads first on its standard input.
    """

    def __init__(
        self,
        command: Callable[[str, bool], Sequence[str]],
        names: Callable[[], str],
        lost: Callable[[str], None] = _nobody,
        stopped: Callable[[str], None] = _nobody,
        *,
        told: Callable[[], None] = lambda: None,
        silent_s: float = float("inf"),
        hand_over: bytes = b"",
    ) -> None:
        self._command = command
        self._names = names
        self._lost = lost
        self._stopped = stopped
        self._told = told
        self._silent_s = silent_s
        self._hand_over = hand_over
        self._heard_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._line: OwnEnd | None = None

    @property
    def pid(self) -> int | None:
        """Process number of the one that runs now."""
        return self._process.pid if self._process else None

    def look(self) -> None:
        """Tell it that there may be work; without it, it looks by itself now and then."""
        if (line := self._line) is not None:
            line.say_look()

    def kill(self) -> None:
        """End the one that runs now, whatever it is doing."""
        if (process := self._process) is not None and process.poll() is None:
            log.warning("process.killed", extra={"pid": process.pid})
            process.kill()

    def run(self, stop: threading.Event) -> None:
        """Keep one running until `stop`; then ask it to end, and wait until it has."""
        wait_s, died = 0.5, False
        while not stop.is_set():
            name, started = self._names(), time.monotonic()
            died = self._run_one(name, died, stop)
            self._report_end(name, died=died)
            if not died:
                return
            wait_s = (
                0.5 if time.monotonic() - started > _SETTLED_S else min(wait_s * 2, _LONGEST_WAIT_S)
            )
            code = self._process.returncode if self._process else None
            fields = {"worker": name, "exit_code": code, "retry_in_s": wait_s}
            log.error("process.died", extra=fields)
            stop.wait(wait_s)

    def _run_one(self, name: str, died: bool, stop: threading.Event) -> bool:
        """One process, from its start to its end; True when it died by itself."""
        line = OwnEnd()
        try:
            process = self._process = subprocess.Popen(  # noqa: S603  our own program
                list(self._command(name, died)), stdin=line.theirs.fileno()
            )
            line.handed_over(self._hand_over)
            self._line = line  # only now: it must hear its settings before anything else
            self._heard_at = time.monotonic()
            log.info("process.started", extra={"worker": name, "pid": process.pid})
            threading.Thread(target=line.hear, args=(self._hear,), daemon=True).start()
            with process:
                return self._watch(process, line, stop)
        finally:
            line.close()

    def _hear(self, said: bytes) -> None:
        self._heard_at = time.monotonic()
        if LOOK in said:
            self._told()

    def _report_end(self, name: str, *, died: bool) -> None:
        try:
            (self._lost if died else self._stopped)(name)
        except DatabaseAway as error:  # its leases run out by themselves
            log.warning("process.lost", extra={"worker": name, "error": str(error)})

    def _watch(
        self, process: "subprocess.Popen[bytes]", line: OwnEnd, stop: threading.Event
    ) -> bool:
        """True when it died by itself, False when it was stopped."""
        while not stop.wait(0.2):
            if process.poll() is not None:
                return True
            self._end_silent(process)
        line.end_input()
        while True:
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                self._end_silent(process)
            else:
                return False

    def _end_silent(self, process: "subprocess.Popen[bytes]") -> None:
        if (silent_s := time.monotonic() - self._heard_at) > self._silent_s:
            log.error("process.silent", extra={"pid": process.pid, "seconds": round(silent_s)})
            process.kill()

"""The receivers' processes: one listening socket, handed to each, and one desk for all.

A receiver has no torch, no database and no share in this process's interpreter lock. It ends when
its line to the desk ends, so it never outlives the node; one that dies is started again, while
callers wait in the queue of the socket.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from dicomnode.config.settings import NodeSettings
from dicomnode.receive.desk import FrontDesk
from dicomnode.receive.desk_line import attend, say_settings, say_stop
from dicomnode.receive.server import listen, tls_context

__all__ = ["Receivers", "receiver_command"]

log = logging.getLogger(__name__)

_MOST_BY_DEFAULT = 4
_SETTLED_S = 20.0  #: a receiver that lived so long is started again at once
_LONGEST_WAIT_S = 10.0
_MORE_THAN_DRAIN_S = 10.0  #: what an end takes, when all is well, beyond the draining


def receiver_command(listening: int, line: int) -> list[str]:
    """The command that runs a receiver, with this Python, on two sockets by their handles."""
    return [sys.executable, "-m", "dicomnode.receive", str(listening), str(line)]


class Receivers:
    """Keeps the receivers alive, from `start` to `stop`; `ended` hears of each that is gone."""

    def __init__(
        self,
        settings: NodeSettings,
        desk: FrontDesk,
        command: Callable[[int, int], Sequence[str]] = receiver_command,
        ended: Callable[[int], None] = lambda pid: None,
    ) -> None:
        self._settings = settings.receive
        self._handed_over = settings.model_dump_json()
        self._desk = desk
        self._command = command
        self._ended = ended
        self._listening: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        #: the receivers that run, and the line to each
        self._lines: dict[subprocess.Popen[bytes], socket.socket] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The TCP port that is listened on; also when 0 was asked for."""
        return int(self._listening.getsockname()[1]) if self._listening else self._settings.port

    @property
    def pids(self) -> list[int]:
        """Process numbers of the receivers that run now."""
        with self._lock:
            return sorted(process.pid for process in self._lines)

    def start(self) -> None:
        """Listen, start the receivers, and return; OSError where the port cannot be had."""
        tls_context(self._settings)  # a wrong certificate is said once, and here
        self._listening = listen(self._settings)
        count = self._settings.processes or _usual_number()
        for number in range(1, count + 1):
            thread = threading.Thread(
                target=self._keep_alive, args=(self._listening,), name=f"receiver {number}"
            )
            thread.start()
            self._threads.append(thread)
        fields = {"aet": self._settings.ae_title, "port": self.port, "count": count}
        log.info("receive.started", extra=fields)

    def renew(self, settings: NodeSettings) -> None:
        """Have associations go by these that begin from now on; those that are open go on."""
        with self._lock:
            self._handed_over = settings.model_dump_json()
            for line in self._lines.values():
                say_settings(line, self._handed_over)

    def stop(self, drain_s: float) -> None:
        """Take no new association, let open ones end for `drain_s` seconds, then abort them."""
        if self._listening is None:
            return
        if still := self._desk.close():
            log.info("receive.draining", extra={"count": still, "seconds": drain_s})
        with self._lock:
            self._stop.set()
            for line in self._lines.values():
                say_stop(line, drain_s)
        until = time.monotonic() + drain_s + _MORE_THAN_DRAIN_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            for process in self._lines:
                process.kill()
        for thread in self._threads:
            thread.join()
        self._listening.close()
        log.info("receive.stopped")

    def _keep_alive(self, listening: socket.socket) -> None:
        wait_s = 0.1
        while not self._stop.is_set():
            started, exit_code = time.monotonic(), None
            try:
                exit_code = self._run_one(listening)
            except Exception:  # whatever broke: a node without receivers is worth nothing
                log.exception("receiver.lost")
            if self._stop.is_set():
                return
            lived_long = time.monotonic() - started > _SETTLED_S
            wait_s = 0.1 if lived_long else min(wait_s * 2, _LONGEST_WAIT_S)
            fields = {"exit_code": exit_code, "retry_in_s": wait_s}
            log.error("receiver.died", extra=fields)
            self._stop.wait(wait_s)

    def _run_one(self, listening: socket.socket) -> int:
        """One receiver, from its start to its end; return its exit code."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                handles = listening.fileno(), theirs.fileno()
                process = subprocess.Popen(  # noqa: S603  # our own program
                    list(self._command(*handles)), stdin=subprocess.PIPE, pass_fds=handles
                )
            given = self._handed_over
            _hand_over(process, given)
            with self._lock:
                self._lines[process] = ours
                if self._handed_over != given:
                    say_settings(ours, self._handed_over)
                if self._stop.is_set():
                    say_stop(ours, 0.0)
            try:
                attend(ours, self._desk)
            finally:
                ours.close()  # then it ends, if it has not
                exit_code = process.wait()
                with self._lock:
                    del self._lines[process]
                self._ended(process.pid)
        return exit_code


def _hand_over(process: "subprocess.Popen[bytes]", settings: str) -> None:
    """Give a receiver the settings of this node; one that dies meanwhile is started anew."""
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    with suppress(OSError), process.stdin as given:
        given.write(settings.encode())


def _usual_number() -> int:
    """One for each core this process may use; more would be of no use to any PACS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(_MOST_BY_DEFAULT, cores or 1)

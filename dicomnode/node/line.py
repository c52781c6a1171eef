"""The line between the node and a worker's process: each tells the other to look, in one byte.

A pair of sockets, and the worker's end is its standard input. First come the settings in force, on
one line. What is said then is a hint that saves a wait, never the work itself: a byte that is lost
costs half a second, until the next look.
"""

import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress

__all__ = ["ALIVE", "LOOK", "OwnEnd", "WorkerEnd"]

LOOK = b"l"  #: there may be work: to the worker a job, to the node results to deliver
ALIVE = b"a"  #: the worker's interpreter runs; no more is meant by it

_MOST_READ = 4096


class OwnEnd:
    """The node's end of the line to one worker."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()  #: `theirs` is for the worker alone

    def handed_over(self, settings: bytes = b"") -> None:
        """The worker has its end, and is the only one that keeps it open; tell it its settings."""
        self.theirs.close()
        with suppress(OSError):  # it died already
            self._ours.sendall(settings)

    def say_look(self) -> None:
        """There may be work. A worker that does not listen has a look waiting for it anyway."""
        with suppress(OSError):
            self._ours.send(LOOK, socket.MSG_DONTWAIT)

    def hear(self, heard: Callable[[bytes], None]) -> None:
        """Pass on what the worker says, until it or this end is gone."""
        with suppress(OSError):
            while said := self._ours.recv(_MOST_READ):
                heard(said)

    def end_input(self) -> None:
        """The worker's standard input ends: it is asked to stop."""
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Nothing more is heard or said."""
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._ours.close()
        self.theirs.close()


class WorkerEnd:
    """The worker's end: its standard input, whatever that is when a person starts it by hand."""

    def __init__(self, handle: int = 0) -> None:
        self._handle = handle
        self._socket: socket.socket | None = None
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(handle).st_mode):
                self._socket = socket.socket(fileno=os.dup(handle))

    def settings(self) -> bytes:
        """What the node has handed over: one line, the first that it says; without its end where
        the node is gone.
        """
        said = bytearray()
        while b"\n" not in said and (more := os.read(self._handle, _MOST_READ)):
            said += more
        return bytes(said.partition(b"\n")[0])

    def listen(self, stop: threading.Event, look: threading.Event) -> None:
        """Set `look` when the node says so, and both when the input ends: the parent is gone."""

        def hear() -> None:
            with suppress(OSError):
                while os.read(self._handle, _MOST_READ):
                    look.set()
            stop.set()
            look.set()

        threading.Thread(target=hear, name="parent", daemon=True).start()

    def say(self, what: bytes) -> None:
        """Tell the node; one that does not listen is not waited for."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(what, socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()

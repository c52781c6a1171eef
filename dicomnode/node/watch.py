"""Is a thread of the worker stuck in a call that does not return: a hung kernel, a decoder?

How long an honest job takes nobody knows beforehand. But one that gets on changes its place in the
program all the time, and one that hangs in native code stands at the same instruction of the same
call. Where such code holds the interpreter as well, no thread of this process can notice: then the
signs of life end that the node hears, and it ends the process.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from types import FrameType

__all__ = ["STUCK", "Watch", "end_process"]

log = logging.getLogger(__name__)

STUCK = 75  #: exit code of a worker that ended itself because it was stuck
_LOOK_S = 1.0


@dataclass(slots=True)
class _Seen:
    """Where a thread stood when it was looked at, and since when it has been there."""

    thread: int
    job: int | None
    frame: FrameType | None = None  #: kept, so that no later call can be taken for this one
    instruction: int = -1
    since: float = 0.0


def end_process(where: str) -> None:
    """End this process at once: a thread that hangs in native code cannot be ended alone."""
    os._exit(STUCK)


class Watch:
    """Looks at the threads that work; `stuck` is called with the place where one hangs.

    `alive` is called at every look: that a look is taken is a sign of life.
    """

    def __init__(
        self,
        stuck_after_s: float = float("inf"),
        stuck: Callable[[str], None] = end_process,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._stuck_after_s = stuck_after_s
        self._stuck = stuck
        self._alive = alive
        self._working: dict[int, _Seen] = {}
        self._lock = threading.Lock()

    @contextmanager
    def over(self, job: int | None = None) -> Iterator[None]:
        """Watch over this thread while the block runs, and the job of this number in it."""
        thread = threading.get_ident()
        with self._lock:
            self._working[thread] = _Seen(thread, job)
        try:
            yield
        finally:
            with self._lock:
                del self._working[thread]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at the threads from time to time while the block runs."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(min(_LOOK_S, self._stuck_after_s / 5)):
                self._alive()
                self.look()

        thread = threading.Thread(target=look, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def look(self) -> None:
        """Look at each thread once."""
        frames = sys._current_frames()
        with self._lock:
            for seen in self._working.values():
                self._look_at(seen, frames.get(seen.thread))

    def _look_at(self, seen: _Seen, frame: FrameType | None) -> None:
        instruction = frame.f_lasti if frame is not None else -1
        if frame is not seen.frame or instruction != seen.instruction:
            seen.frame, seen.instruction, seen.since = frame, instruction, monotonic()
        elif frame is not None and (seconds := monotonic() - seen.since) > self._stuck_after_s:
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            fields = {"problem": where, "seconds": round(seconds)}
            fields |= {} if seen.job is None else {"job": seen.job}
            log.critical("worker.stuck", extra=fields)
            self._stuck(where)

"""What runs side by side in a node, each by rules of its own: couriers, workers, the page.

Where the rules of one change, it is asked to end, and when it has, another begins in its place.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

__all__ = ["Part", "Parts", "keep_running"]

log = logging.getLogger(__name__)

_BROKEN_WAIT_S = 1.0


def _nothing() -> None:
    """For a part that needs not be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of them."""

    run: Callable[[threading.Event], None]  #: until the event is set, and what is begun is done
    rules: object = None  #: all that it was made by; another one is made when this changes
    look: Callable[[], None] = _nothing  #: tell it that there may be something to do
    kill: Callable[[], None] = _nothing  #: end it now, whatever it is doing


@dataclass(frozen=True, slots=True)
class _Running:
    part: Part
    stop: threading.Event
    thread: threading.Thread

    def end(self) -> None:
        self.stop.set()
        self.part.look()


class Parts:
    """Threads by name, one for each part."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}  #: those that are wanted, in that order
        self._leaving: list[_Running] = []  #: those that were asked to end, and have not
        self._over = False
        self._lock = threading.Lock()

    def become(self, wanted_now: Callable[[], Mapping[str, Part]]) -> None:
        """Have these run, and no others; one that runs by the same rules already goes on."""
        with self._lock:
            if self._over:
                return
            wanted, before = wanted_now(), self._running
            stay = {
                name: running
                for name, running in before.items()
                if name in wanted and wanted[name].rules == running.part.rules
            }
            self._leaving = [each for each in self._leaving if each.thread.is_alive()]
            for name in before.keys() - stay.keys():
                before[name].end()
                self._leaving.append(before[name])
            self._running = {
                name: stay.get(name) or self._begin(name, part) for name, part in wanted.items()
            }

    def looks(self, kind: str) -> list[Callable[[], None]]:
        """What tells each part whose name begins with this that there may be something to do."""
        running = self._running.items()
        return [each.part.look for name, each in running if name.startswith(kind)]

    def end(self) -> None:
        """Ask all to end; no other begins."""
        with self._lock:
            self._over = True
            for each in self._all():
                each.end()

    def join(self, wait_s: float) -> None:
        """Wait until all have ended; in so many seconds those are ended that can be."""
        until = time.monotonic() + wait_s
        for each in self._all():
            each.thread.join(max(0.0, until - time.monotonic()))
            if each.thread.is_alive():
                each.part.kill()
        for each in self._all():
            each.thread.join()

    def _all(self) -> list[_Running]:
        return [*self._leaving, *self._running.values()]

    def _begin(self, name: str, part: Part) -> _Running:
        stop = threading.Event()
        before = [each.thread for each in self._leaving if each.thread.name == name]

        def run() -> None:
            for thread in before:
                thread.join()
            keep_running(name, partial(part.run, stop), stop)

        running = _Running(part, stop, threading.Thread(target=run, name=name))
        running.thread.start()
        return running


def keep_running(name: str, work: Callable[[], None], stop: threading.Event) -> None:
    """A part of the node that breaks in a way nobody foresaw is logged and started again."""
    while True:
        try:
            work()
        except Exception:
            log.exception("node.broken", extra={"problem": name})
            if stop.wait(_BROKEN_WAIT_S):
                return
        else:
            return

"""The running node: start, run until told, stop without losing anything.

The receivers are up first and alone: they need the disk and nothing else. The worklist's side opens
when the database answers, and the workers when their processes are up.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from dicomnode.errors import DatabaseAway, StoreFull
from dicomnode.node.completeness import CompletenessCheck
from dicomnode.node.parts import Part, Parts, keep_running
from dicomnode.node.receivers import Receivers
from dicomnode.node.registrar import Registrar
from dicomnode.node.takeover import Takeover
from dicomnode.node.timers import Timers
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore

__all__ = ["Service"]

log = logging.getLogger(__name__)

_DATABASE_WAIT_S = 2.0  #: before the second attempt to open the worklist; then it doubles
_LONGEST_DATABASE_WAIT_S = 30.0
#: Python acts on a signal in its main thread, which a signal that came to another does not wake:
#: so it comes to a process that was frozen when it was sent.
_SIGNAL_S = 0.5


class Service:
    """Everything `dicomnode serve` runs. `wanted` says which parts, by the settings in force."""

    def __init__(
        self,
        store: ObjectStore,
        receivers: Receivers,
        database: Database,
        open_worklist: Callable[[], None],
        registrar: Registrar,
        completeness: CompletenessCheck,
        timers: Timers,
        parts: Parts,
        wanted: Callable[[], Mapping[str, Part]],
        takeover: Takeover,
    ) -> None:
        self._store = store
        self._receivers = receivers
        self._database = database
        self._open_worklist = open_worklist
        self._registrar = registrar
        self._completeness = completeness
        self._timers = timers
        self._parts = parts
        self._wanted = wanted
        self._takeover = takeover
        self._opened = False
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self._last_objects = threading.Event()

    @property
    def port(self) -> int:
        """The port the receivers listen on."""
        return self._receivers.port

    def run(self, stop: threading.Event, *, drain_s: float = 30.0) -> None:
        """Serve until `stop`; then take no new work, and finish or hand back what is under way.

        Raises:
            StoreError: the storage folder cannot be prepared, or another node works in it.
            OSError: the port cannot be listened on.
        """
        with self._store.alone():
            self._store.prepare()
            try:
                self._store.check_room()
            except StoreFull as error:
                log.warning("storage.low", extra={"problem": str(error)})
            self._receivers.start()
            self._serve(stop, drain_s)

    def _serve(self, stop: threading.Event, drain_s: float) -> None:
        opening = self._spawn("open", self._open)
        following = self._spawn("files", partial(self._takeover.run, self._stop, self._renew))
        try:
            while not stop.wait(_SIGNAL_S):
                pass
        finally:
            self._shut(opening, following, drain_s)

    def _open(self) -> None:
        """Open the worklist's side as soon as the database answers."""
        wait_s, note = _DATABASE_WAIT_S, {"problem": "images are taken and kept meanwhile"}
        while not self._stop.is_set():
            try:
                self._open_worklist()
                break
            except DatabaseAway as error:
                fields = {"error": str(error), "retry_in_s": wait_s}
                log.warning("worklist.waiting", extra=fields | note)
                self._stop.wait(wait_s)
                wait_s, note = min(_LONGEST_DATABASE_WAIT_S, wait_s * 2), {}
        else:
            return
        self._timers.start()
        enter = partial(self._registrar.run, self._last_objects, self._completeness.run)
        self._threads.append(self._spawn("register", enter))
        self._opened = True
        self._parts.become(self._wanted)
        log.info("node.ready", extra={"port": self.port})

    def _renew(self) -> None:
        """Other settings are in force: those who ask for them go by them already."""
        self._receivers.renew(self._takeover.current.node)
        if self._opened:
            self._parts.become(self._wanted)
            self._timers.echo_soon()
            for look in self._parts.looks("heartbeat"):
                look()

    def _spawn(self, name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=keep_running, name=name, args=(name, work, self._stop))
        thread.start()
        return thread

    def _shut(self, opening: threading.Thread, following: threading.Thread, drain_s: float) -> None:
        started = time.monotonic()
        log.info("node.stopping")
        self._stop.set()
        self._parts.end()
        self._receivers.stop(drain_s)
        opening.join()
        following.join()
        self._last_objects.set()
        self._registrar.wake()
        self._parts.join(max(0.0, started + drain_s - time.monotonic()))
        for thread in self._threads:
            thread.join()
        self._completeness.close()
        if self._threads:
            self._timers.stop()
        self._database.close()
        log.info("node.stopped", extra={"seconds": round(time.monotonic() - started, 3)})

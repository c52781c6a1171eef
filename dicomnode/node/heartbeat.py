"""Say in the worklist how this node stands: that it lives, what is in force, how busy it is.

Others read it there, such as the page. A database that is away stops nothing: it is said later.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from dicomnode import __version__
from dicomnode.errors import DatabaseAway
from dicomnode.logbook import configurations, standing
from dicomnode.logbook.standing import Node, Sample
from dicomnode.node.machine import Machine
from dicomnode.node.takeover import Takeover
from dicomnode.storage.database import Connection, Database

__all__ = ["Heartbeat"]

log = logging.getLogger(__name__)

_BEAT_S = 10.0
_SAMPLE = timedelta(minutes=1)


class Heartbeat:
    """One thread that writes; `look` makes it write at once."""

    def __init__(
        self,
        database: Database,
        holder: str,
        port: Callable[[], int],
        takeover: Takeover,
        machine: Machine,
    ) -> None:
        self._database = database
        self._holder = holder
        self._port = port
        self._takeover = takeover
        self._machine = machine
        self._started_at = datetime.now(UTC)
        self._sampled_at = self._started_at + timedelta(seconds=_BEAT_S) - _SAMPLE
        self._remembered = ""  #: digest of the configuration that was written down last
        self._wanted = threading.Event()
        self._away = False

    def look(self) -> None:
        """There is something new to say."""
        self._wanted.set()

    def run(self, stop: threading.Event) -> None:
        """Beat until `stop`."""
        while not stop.is_set():
            try:
                self.beat(datetime.now(UTC))
                self._away = False
            except DatabaseAway as error:
                if not self._away:
                    log.warning("heartbeat.waiting", extra={"error": str(error)})
                self._away = True
            self._wanted.wait(_BEAT_S)
            self._wanted.clear()

    def beat(self, now: datetime) -> None:
        """Write how the node stands; each minute also how the machine does.

        Raises:
            DatabaseAway: nothing was written.
        """
        sample = self._sample(now) if now - self._sampled_at >= _SAMPLE else None
        with self._database.transaction() as tx:
            digest = self._report(tx, now)
            if sample is not None:
                standing.add_sample(tx, sample)
        self._remembered = digest
        if sample is not None:
            self._sampled_at = now

    def _report(self, tx: Connection, now: datetime) -> str:
        settings = self._takeover.current.settings
        digest = settings.digest
        if digest != self._remembered:
            configurations.remember(tx, settings.files, "", "", now=now)
        node = Node(
            holder=self._holder,
            version=__version__,
            port=self._port(),
            started_at=self._started_at,
            seen_at=now,
            digest=digest,
            mistakes=self._takeover.mistakes,
            restart=self._takeover.restart,
        )
        standing.report(tx, node)
        return digest

    def _sample(self, now: datetime) -> Sample | None:
        try:
            load = self._machine.look()
        except OSError as error:
            log.warning("machine.unknown", extra={"error": error.strerror})
            return None
        return Sample(
            holder=self._holder,
            at=now,
            cpu=load.cpu,
            gpu=load.gpu,
            memory_bytes=load.memory_bytes,
            disk_free_bytes=load.disk_free_bytes,
        )

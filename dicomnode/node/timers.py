"""The timers: what the node does by the clock (APScheduler)."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler

from dicomnode.config.current import Current
from dicomnode.errors import DatabaseAway, DicomnodeError
from dicomnode.logbook import standing
from dicomnode.records import Peer
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import outbox, queue, retention

__all__ = ["Timers"]

log = logging.getLogger(__name__)

_LEASES_S = 2.0
_STRANDED_S = 60.0
_RETENTION_S = 3600.0
_ECHO_S = 300.0


class Timers:
    """Leases, retention, results for peers that are gone, and the peers' health."""

    def __init__(
        self,
        current: Current,
        database: Database,
        store: ObjectStore,
        echo: Callable[[Peer], str],
    ) -> None:
        self._current = current
        self._database = database
        self._store = store
        self._echo = echo
        self._stopping = threading.Event()
        self._heard: dict[str, bool] = {}
        self._echoes: Job | None = None
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(4)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )

    def start(self) -> None:
        """Start every timer."""
        self._every(_LEASES_S, self.expire_leases)
        self._every(_STRANDED_S, self.give_up_stranded)
        self._echoes = self._every(_ECHO_S, self.echo_peers)
        self._every(_RETENTION_S, self.remove_old)
        self._scheduler.start()

    def stop(self) -> None:
        """Start nothing more, and let what runs finish; long rounds end early."""
        self._stopping.set()
        self._scheduler.shutdown(wait=True)

    def echo_soon(self) -> None:
        """There are other peers: ask them without waiting for the time."""
        if self._echoes is not None:
            self._echoes.modify(next_run_time=datetime.now(UTC))

    def _every(self, seconds: float, task: Callable[[], None]) -> Job:
        def guarded() -> None:
            try:
                task()
            except DicomnodeError as error:
                log.warning("timer.failed", extra={"problem": task.__name__, "error": str(error)})

        return self._scheduler.add_job(
            guarded, "interval", seconds=seconds, next_run_time=_soon(seconds)
        )

    def expire_leases(self) -> None:
        """Give the jobs of workers that went silent to others."""
        with self._database.transaction() as tx:
            lost = queue.expire(
                tx, attempts=self._current.node.worklist.attempts, now=datetime.now(UTC)
            )
        for job in lost:
            log.warning("lease.expired", extra={"job": job.id, "worker": job.lease})

    def give_up_stranded(self) -> None:
        """Say why results wait that are owed to a peer which is no longer configured."""
        with self._database.transaction() as tx:
            for name in outbox.peers_owed(tx) - set(self._current.peers):
                outbox.give_back(
                    tx,
                    outbox.owed_to(tx, name),
                    f"peer {name} is not configured any more",
                    give_up_after_s=self._current.node.deliver.give_up_after_h * 3600,
                    now=datetime.now(UTC),
                )

    def remove_old(self) -> None:
        """Remove studies that are over, one after the other; their jobs and history stay.

        The bytes go while the study's row is locked: a crash in between leaves rows, which the
        next pass finds, and an image that comes meanwhile is entered after, as a new one.
        """
        keep_days = self._current.node.storage.keep_days
        before = datetime.now(UTC) - timedelta(days=keep_days)
        while keep_days and not self._stopping.is_set():
            with self._database.transaction() as tx:
                old = retention.to_remove(tx, before=before, limit=1)
                for study_uid in old:
                    retention.forget(tx, study_uid, now=datetime.now(UTC))
                    self._store.remove_study(study_uid)
                    log.info("study.removed", extra={"study_uid": study_uid})
            if not old:
                return

    def echo_peers(self) -> None:
        """Write down who hears us; log when a peer is lost, and when it is back."""
        for name, peer in self._current.peers.items():
            if self._stopping.is_set():
                return
            problem = self._echo(peer)
            with suppress(DatabaseAway), self._database.transaction() as tx:
                standing.echoed(tx, name, problem, now=datetime.now(UTC))
            if self._heard.get(name, True) and problem:
                log.warning("peer.silent", extra={"peer": name, "problem": problem})
            elif not self._heard.get(name, True) and not problem:
                log.info("peer.heard", extra={"peer": name})
            self._heard[name] = not problem


def _soon(seconds: float) -> datetime:
    """First runs are soon but not at once, so that starting stays quick."""
    return datetime.now(UTC) + timedelta(seconds=min(seconds, 10.0))

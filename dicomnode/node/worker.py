"""The worker: takes jobs under one name, several side by side, each in a thread with its lease.

Runs in a process of its own, so that a crash of the model is a few lost leases and nothing worse.
One of its threads waits for work while the others work: so it claims one job after the other.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Protocol

from dicomnode.errors import DatabaseAway, LeaseLost
from dicomnode.log import working_on
from dicomnode.node.handling import Handling
from dicomnode.node.watch import Watch
from dicomnode.records import Job
from dicomnode.storage.database import Database
from dicomnode.worklist import queue

__all__ = ["SpareTime", "Worker"]

log = logging.getLogger(__name__)

_LOOK_S = 0.5  #: how often the queue is looked at when nobody says that there is something
_DATABASE_WAIT_S = 2.0  #: between attempts while the database is away


class SpareTime(Protocol):
    """Something that is worth doing while there is no job."""

    @property
    def brief(self) -> bool:
        """Is a piece of it so short that a job may wait, and find what it brought?"""
        ...

    def next(self) -> Callable[[], None] | None:
        """The next piece of it, ready to be done; None where there is none now.

        Raises:
            DatabaseAway: the worklist cannot be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Task:
    """What one thread does next."""

    do: Callable[[], None]
    job_id: int | None = None
    alone: bool = False  #: nothing else is begun in this process before it has ended


class Worker:
    """Takes jobs under its own name; `look` is set by whoever knows that there may be one.

    A job that was begun before and never ended may be what killed the worker. It is run alone, so
    that it cannot take others with it again and again. What was done in `spare_time` may be what
    killed the one before, too: for `careful_for_s` seconds there is none.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        handling: Handling,
        *,
        lease_s: float,
        side_by_side: int = 1,
        spare_time: Sequence[SpareTime] = (),
        careful_for_s: float = 0.0,
        look: threading.Event | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._name = name
        self._database = database
        self._handling = handling
        self._lease_s = lease_s
        self._side_by_side = side_by_side
        self._spare_time = spare_time
        self._careful_until = monotonic() + careful_for_s
        self._look = look or threading.Event()
        self._watch = watch or Watch()
        self._turn = threading.Lock()  #: held by the thread that waits for work
        self._counting = threading.Lock()
        self._busy = 0  #: tasks that are under way
        self._broken = threading.Event()  #: a thread ended, which none does by itself

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`; jobs under way are finished first."""

        def work() -> None:
            while not (stop.is_set() or self._broken.is_set()):
                self._work(stop)

        with self._watch.watching(), ThreadPoolExecutor(self._side_by_side, "job") as pool:
            threads = [pool.submit(work) for _ in range(self._side_by_side)]
            ended = wait(threads, return_when=FIRST_EXCEPTION).done
            self._broken.set()  # one did, or all were told to stop: the others end, too
            self._look.set()
            for thread in ended:
                thread.result()

    def work_once(self) -> bool:
        """Claim one job and see it through; False when there was none.

        Raises:
            DatabaseAway: the job, if one was claimed, comes back when its lease runs out.
        """
        job = self._claim()
        if job is not None:
            self._see_through(job)
        return job is not None

    def _work(self, stop: threading.Event) -> None:
        """Wait for the turn to take something, take it, and do it."""
        try:
            with self._turn:
                task = self._next(stop)
                if task is None:
                    return
                if task.alone:
                    self._do(task)
                    return
                self._count(1)
            try:
                self._do(task)
            finally:
                self._count(-1)
                self._look.set()  # what has to be alone may have waited for this
        except DatabaseAway as error:
            log.warning("worker.waiting", extra={"error": str(error)})
            stop.wait(_DATABASE_WAIT_S)

    def _do(self, task: _Task) -> None:
        with self._watch.over(task.job_id):
            task.do()

    def _count(self, change: int) -> None:
        with self._counting:
            self._busy += change

    def _next(self, stop: threading.Event) -> _Task | None:
        """Wait for something to do; None when it is time to stop."""
        while not (stop.is_set() or self._broken.is_set()):
            self._look.clear()
            if (job := self._claim()) is not None:
                return _Task(partial(self._see_through, job), job.id, alone=job.attempts > 1)
            if not self._busy and monotonic() >= self._careful_until:
                for spare in self._spare_time:
                    if (piece := spare.next()) is not None:
                        return _Task(piece, alone=spare.brief)
            self._look.wait(_LOOK_S)
        return None

    def _claim(self) -> Job | None:
        now = datetime.now(UTC)
        with self._database.transaction() as tx:
            return queue.claim(
                tx, self._name, lease_s=self._lease_s, now=now, beside=self._busy > 0
            )

    def _see_through(self, job: Job) -> None:
        with working_on(job.id), self._alive(job):
            try:
                self._handling.see_through(job)
            except LeaseLost:
                log.warning("job.lost", extra={"worker": self._name})

    @contextmanager
    def _alive(self, job: Job) -> Iterator[None]:
        """Renew the lease in the background while the block runs."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._lease_s / 3):
                try:
                    with self._database.transaction() as tx:
                        queue.renew(tx, job, lease_s=self._lease_s, now=datetime.now(UTC))
                except LeaseLost:
                    return
                except DatabaseAway as error:
                    log.warning("worker.waiting", extra={"error": str(error)})

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

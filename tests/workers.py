"""A worker with everything around it, and the ways in which its job may end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dicomnode.config.settings import WorklistSettings
from dicomnode.node.handling import Handling
from dicomnode.node.worker import Worker
from dicomnode.records import Job, ResultKind, Verdict
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import jobs, outbox, queue, results, tables
from tests.factories import STUDY_UID
from tests.fakes import FakeAnalysis
from tests.node import make_store
from tests.worklist import make_ref, ready_job, say

__all__ = ["AT_ONCE", "SETTINGS", "Bench", "crash", "give_back", "raising", "working"]

SETTINGS = WorklistSettings(attempts=3, first_retry_s=60.0, longest_retry_s=60.0)
AT_ONCE = WorklistSettings(attempts=3, first_retry_s=1e-6, longest_retry_s=1e-6)


class Bench:
    """A worker with everything around it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.store: ObjectStore = make_store(folder)
        self.analysis = FakeAnalysis()

    def worker(
        self,
        settings: WorklistSettings = SETTINGS,
        *,
        name: str = "node/1",
        recorded: Callable[[], None] = lambda: None,
        **changes: Any,
    ) -> Worker:
        handling = Handling(self.database, self.store, self.analysis, settings, recorded)
        return Worker(name, self.database, handling, lease_s=settings.lease_s, **changes)

    def ready(self) -> Job:
        with self.database.transaction() as tx:
            return ready_job(tx)

    def job(self, job: Job) -> Job:
        with self.database.reading() as tx:
            return jobs.get(tx, job.id)

    def lease_until(self, job: Job) -> datetime:
        """When the worker loses the job, unless it gives a sign of life."""
        with self.database.reading() as tx:
            kept = tx.execute(sa.select(tables.jobs.c.lease_until).filter_by(id=job.id))
            until: datetime = kept.scalar_one()
            return until

    def result_uids(self, job: Job) -> list[str]:
        with self.database.reading() as tx:
            return [ref.sop_instance_uid for ref, _ in results.of_job(tx, job.id)]

    def owed(self) -> set[str]:
        with self.database.reading() as tx:
            return outbox.peers_owed(tx)

    def deliver(self) -> None:
        """The PACS takes all that it is owed."""
        with self.database.transaction() as tx:
            for item in outbox.owed_to(tx, "pacs"):
                say(tx, item, Verdict.STORED)

    def on_disk(self, job: Job, kind: ResultKind) -> Path:
        parts = (job.study_uid, job.pipeline, job.revision, kind)
        return self.store.path_of_result(STUDY_UID, make_ref(*parts).sop_instance_uid)


@contextmanager
def working(database: Database, folder: Path) -> Iterator[Bench]:
    """A bench whose database is closed at the end of the block."""
    yield Bench(database, folder)
    database.close()


def raising(error: Exception) -> Callable[[Job], None]:
    """A job that ends like this."""

    def end(_: Job) -> None:
        raise error

    return end


def crash(_: Job) -> None:
    """The process is killed just when the results are to be recorded."""
    raise SystemExit


def give_back(database: Database, *, attempts: int = 5) -> None:
    """The lease of whoever crashed runs out."""
    with database.transaction() as tx:
        assert queue.expire(tx, attempts=attempts, now=datetime.now(UTC) + timedelta(hours=1))

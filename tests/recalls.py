"""A recall of a model's results, with everything around it that a test may move."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset

from dicomnode.answers import Result
from dicomnode.config.load import load
from dicomnode.node.recall import Recall
from dicomnode.records import (
    DeliveryState,
    InstanceRef,
    Job,
    ResultKind,
    Verdict,
    WithdrawalReason,
)
from dicomnode.report.request import Order
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import jobs, outbox
from tests.cli import configure
from tests.factories import make_dataset, make_part10
from tests.node import make_store
from tests.worklist import MODEL, make_ref, make_results, say

__all__ = ["QUALITY", "Bench", "recalling"]

QUALITY = WithdrawalReason.QUALITY


class Bench:
    """A recall with everything around it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.store = make_store(folder / "node")
        self.settings = load(configure(folder))
        self.made: list[tuple[Dataset, list[InstanceRef], WithdrawalReason, Order]] = []
        self.before_recording: Callable[[], None] = lambda: None

    def recall(self) -> Recall:
        return Recall(self.settings, self.database, self.store, self._make)

    def _make(
        self,
        header: Dataset,
        withdrawn: Sequence[InstanceRef],
        reason: WithdrawalReason,
        order: Order,
    ) -> list[Result]:
        """One object of each kind, whose names follow from what they withdraw."""
        self.made.append((header, list(withdrawn), reason, order))
        self.before_recording()
        parts = [ref.sop_instance_uid for ref in withdrawn]
        words = f"run {len(self.made)}".encode()
        kinds = [kind for kind in ResultKind if kind in order.kinds]
        refs = [
            make_ref(*parts, "withdrawn", kind, study_uid=withdrawn[0].study_uid) for kind in kinds
        ]
        return [
            Result(ref=ref, kind=kind, part10=words, model=MODEL)
            for ref, kind in zip(refs, kinds, strict=True)
        ]

    def run(self, make: Callable[[Connection], Job]) -> Job:
        """Let there be such a job, its results on disk."""
        with self.database.transaction() as tx:
            job = make(tx)
        for result in make_results(job):
            data = make_part10(make_dataset(PatientID=f"of {result.kind}"))
            self.store.keep_result(job.study_uid, result.ref.sop_instance_uid, data)
        return job

    def carry_out(self) -> list[bool]:
        """Recall all that there is, as the command does."""
        recall = self.recall()
        return [recall.carry_out(plan, MODEL, QUALITY) for plan in recall.plans(MODEL)]

    def job(self, job: Job) -> Job:
        with self.database.reading() as tx:
            return jobs.get(tx, job.id)

    def stand(self, job: Job) -> list[tuple[ResultKind, str, DeliveryState]]:
        """Where each result of a job stands with each peer."""
        with self.database.reading() as tx:
            return [(item.kind, item.peer, item.state) for item in outbox.of_job(tx, job.id)]

    def deliver(self, verdict: Verdict = Verdict.STORED) -> None:
        """Every peer says this of all that it is owed."""
        with self.database.transaction() as tx:
            for peer in sorted(outbox.peers_owed(tx)):
                for item in outbox.owed_to(tx, peer):
                    say(tx, item, verdict, now=datetime.now(UTC))


@contextmanager
def recalling(database: Database, folder: Path) -> Iterator[Bench]:
    """A bench whose database is closed at the end of the block."""
    yield Bench(database, folder)
    database.close()

"""A check for complete studies, with everything around it that a test may move."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dicomnode.config.pipelines import PipelineSettings
from dicomnode.node.arrivals import Arrivals
from dicomnode.node.completeness import CompletenessCheck
from dicomnode.node.counts import StudyCounts
from dicomnode.records import Job, Peer, State
from dicomnode.storage.database import Database
from dicomnode.worklist import jobs
from tests.factories import STUDY_UID, make_peer
from tests.node import in_force, make_pipeline
from tests.worklist import PIPELINE, after, waiting_job

__all__ = ["ALL_HERE", "MODALITY", "Node", "begin", "checking"]

MODALITY = make_peer(answers_find=True)
ALL_HERE = {"quiet_s": 10.0, "limit_s": 60.0}


class Node:
    """The check, its worklist, its arrivals, and what its peer was asked."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.known_until = after(0)
        self.released_at = 0.0
        self.arrivals = Arrivals(
            lambda: None, lambda study, image: None, clock=lambda: self.released_at
        )
        self.pipelines: dict[str, PipelineSettings] = {}
        self.asked: list[str] = []
        self._counts: list[StudyCounts] = []

    def check(
        self, count: Callable[[], int | None] | None = None, **complete: object
    ) -> CompletenessCheck:
        """A check whose peer counts like this; without, no peer is asked."""

        def answer(peer: Peer, study_uid: str) -> int | None:
            self.asked.append(study_uid)
            assert count is not None
            return count()

        self.pipelines[PIPELINE] = make_pipeline(complete=ALL_HERE | complete)
        peer = make_peer(answers_find=count is not None)
        counts = StudyCounts(in_force(peers={peer.name: peer}), answer, self.database)
        self._counts.append(counts)
        return CompletenessCheck(
            self.database,
            in_force(pipelines=self.pipelines),
            self.arrivals,
            counts,
            lambda: self.known_until,
        )

    def job(self) -> Job:
        """The newest job of the study."""
        with self.database.reading() as tx:
            found = jobs.latest(tx, STUDY_UID, PIPELINE)
        assert found is not None
        return found

    def look(self, check: CompletenessCheck, *, at_s: float) -> State:
        """One pass when so many seconds have passed since the test began."""
        self.known_until = after(at_s)
        check.run()
        return self.job().state

    def close(self) -> None:
        """Ask nobody any more."""
        for counts in self._counts:
            counts.close()


@contextmanager
def checking(database: Database) -> Iterator[Node]:
    """A node that is closed at the end of the block, with its database."""
    node = Node(database)
    yield node
    node.close()
    database.close()


def begin(node: Node, images: int = 1) -> None:
    """So many images came when the test began."""
    with node.database.transaction() as tx:
        waiting_job(tx, images=images)

"""Doubles that keep the promise of what they stand for."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dicomnode.answers import Result
from dicomnode.errors import Cause, DatabaseAway
from dicomnode.node.handling import Case
from dicomnode.records import (
    Association,
    Job,
    Outcome,
    Peer,
    ResultKind,
    Verdict,
)
from dicomnode.storage.database import Connection, Database
from tests.worklist import MODEL, make_results, wanted

__all__ = ["FakeAnalysis", "FakeSend", "LeavingDatabase", "RememberingListener"]


class RememberingListener:
    """A `receive.desk.Listener` that writes down what it is told."""

    def __init__(self) -> None:
        self.kept_uids: list[str] = []
        self.conflicts: list[str] = []
        self.turned_away_from: list[Association] = []
        self.ends: list[Association] = []
        self._told = threading.Condition()

    def kept(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        self.kept_uids.append(sop_instance_uid)

    def conflict(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        self.conflicts.append(sop_instance_uid)

    def turned_away(self, association: Association) -> None:
        self.turned_away_from.append(association)

    def ended(self, association: Association) -> None:
        with self._told:
            self.ends.append(association)
            self._told.notify_all()

    def wait_ended(self, count: int, timeout_s: float = 60.0) -> bool:
        """Have `count` associations ended?"""
        with self._told:
            return self._told.wait_for(lambda: len(self.ends) >= count, timeout_s)


class LeavingDatabase(Database):
    """A real database that goes away when it is told to, and comes back."""

    away = False

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        self._answer()
        with super().transaction() as tx:
            yield tx

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self._answer()
        with super().reading() as tx:
            yield tx

    def _answer(self) -> None:
        if self.away:
            raise DatabaseAway("the test took the database away")


class FakeSend:
    """A `node.courier.Send`: takes everything, unless it was told what a peer says.

    In order, as `deliver.sender.send`: behind an object that has to wait nothing is tried.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []  #: SOP Instance UID and bytes of what was offered
        self.says: dict[str, list[Verdict]] = defaultdict(list)  #: what is said next, by UID
        self.away = ""  #: why there is no association
        self.on_arrival: Callable[[], None] = lambda: None

    def __call__(
        self, files: Sequence[Path], peer: Peer, tell: Callable[[Path, Outcome], None]
    ) -> None:
        untried = self.away
        for file in files:
            verdict = Verdict.UNTRIED if untried else self._offer(file)
            if verdict is Verdict.LATER:
                untried = "what goes before it has to wait"
            outcome = Outcome(
                sop_instance_uid=file.stem,
                verdict=verdict,
                status={Verdict.STORED: 0x0000, Verdict.LATER: 0xA700}.get(verdict),
                message=untried or f"{peer.name} says {verdict}",
            )
            tell(file, outcome)

    def _offer(self, file: Path) -> Verdict:
        self.sent.append((file.stem, file.read_bytes()))
        self.on_arrival()
        return self.says[file.stem].pop(0) if self.says[file.stem] else Verdict.STORED


class FakeAnalysis:
    """A `node.worker.Analysis` that makes a capture and a report, or does what it is told."""

    def __init__(self) -> None:
        self.seen: list[Case] = []
        self.refused: list[tuple[Cause, str]] = []
        self.while_working: Callable[[Job], None] = lambda job: None
        self.while_refusing: Callable[[Job], None] = lambda job: None
        self.before_recording: Callable[[Job], None] = lambda job: None
        self.notices = wanted("pacs")
        self.members: tuple[str, ...] = ()

    def models(self, job: Job) -> Sequence[str]:
        return (MODEL, *self.members)

    def analyse(self, case: Case) -> Sequence[Result]:
        self.seen.append(case)
        self.while_working(case.job)
        words = f"run {len(self.seen)}".encode()
        return [replace(made, part10=words) for made in make_results(case.job)]

    def refuse(self, case: Case, cause: Cause, detail: str) -> Sequence[Result]:
        self.refused.append((cause, detail))
        self.while_refusing(case.job)
        return [replace(made, part10=b"notice") for made in make_results(case.job)]

    def destinations(self, job: Job) -> Mapping[str, Collection[ResultKind]]:
        self.before_recording(job)
        return wanted("pacs")

    def destinations_of_notices(self, job: Job) -> Mapping[str, Collection[ResultKind]]:
        return self.notices

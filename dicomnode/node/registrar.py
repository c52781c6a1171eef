"""Enter what is kept on disk into the worklist.

The inbox is the only list of what is still to be entered: in quiet times, after the database was
away, and after any crash, the same loop reads the same folder. Nothing is held in memory but the
names that it read last.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from pydicom import Dataset

from dicomnode.config.current import Current
from dicomnode.config.matching import matches
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.dicom.attributes import MANUFACTURER
from dicomnode.dicom.outline import Outline, read_outline
from dicomnode.dicom.uids import is_uid
from dicomnode.errors import BadUID, DatabaseAway, DicomnodeError, StoreError
from dicomnode.records import InstanceRef
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.part10 import dataset_sha256
from dicomnode.worklist import arrivals
from dicomnode.worklist.arrivals import Arrival, Entry

__all__ = ["Registrar"]

log = logging.getLogger(__name__)

#: What is asked of every object, beside its UIDs and what the rules of the pipelines name.
_KEYWORDS = (
    "PatientID",
    "AccessionNumber",
    "StudyDate",
    "Modality",
    "BodyPartExamined",
    "Manufacturer",
)
_SCAN = 10_000  #: names taken from the inbox at a time, the oldest
_BATCH = 500  #: objects entered in one transaction
_MOST_CONFLICTS = 1000  #: remembered while the database is away; each was logged when it came
_LOOK_S = 0.25  #: how often the inbox is looked at while associations go on
_LONGEST_WAIT_S = 5.0  #: between attempts while the database is away


class Registrar:
    """One thread that empties the inbox into the worklist; `entered` is told when it did."""

    def __init__(
        self,
        store: ObjectStore,
        database: Database,
        current: Current,
        entered: Callable[[], None] = lambda: None,
    ) -> None:
        self._entered = entered
        self._store = store
        self._database = database
        self._current = current
        self._wanted = threading.Event()
        self._queue: deque[Path] = deque()  #: what the last scan of the inbox found
        self._scanned_at = datetime.now(UTC)
        self._found_all = False  #: did the last scan find all that was there?
        self._unreadable: set[Path] = set()
        self._conflicts: deque[tuple[str, str]] = deque(maxlen=_MOST_CONFLICTS)
        self._horizon = datetime.min.replace(tzinfo=UTC)

    def wake(self) -> None:
        """There may be something in the inbox, or a study may be complete."""
        self._wanted.set()

    def note_conflict(self, study_uid: str, sop_instance_uid: str) -> None:
        """Have it recorded that other bytes came under a UID that is kept, and were refused."""
        self._conflicts.append((study_uid, sop_instance_uid))

    def horizon(self) -> datetime:
        """All that was received before this time is in the worklist; aware, UTC."""
        return self._horizon

    def run(self, stop: threading.Event, look: Callable[[], float]) -> None:
        """Enter objects as they come, until `stop`; go on when disk or database come back.

        `look` sees which studies are complete, and returns in how many seconds it is worth calling
        again. It is called when all is entered and an association has ended, and at that time.
        """
        wait_s, look_at = 0.1, 0.0
        while not stop.is_set():
            changed = self._wanted.wait(min(_LOOK_S, max(0.0, look_at - time.monotonic())))
            self._wanted.clear()
            try:
                if self.enter_batch():
                    self._entered()
                if self._queue or not self._found_all:
                    self._wanted.set()  # at once, and nobody looks before all is entered
                    continue
                self._record_conflicts()
                if changed or time.monotonic() >= look_at:
                    look_at = time.monotonic() + look()
                wait_s = 0.1
            except (DatabaseAway, StoreError) as error:
                log.warning("registrar.waiting", extra={"error": str(error), "retry_in_s": wait_s})
                stop.wait(wait_s)
                wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
                self._wanted.set()

    def enter_batch(self) -> int:
        """Enter the oldest objects of the inbox; return how many left it.

        Raises:
            DatabaseAway: nothing was entered; the objects stay where they are.
            StoreError: the disk refused one object or all; those it gave were entered.
        """
        if not self._queue:
            self._scan()
        paths = list(islice(self._queue, _BATCH))
        found, troubles = self._read_all(paths)
        if found:
            troubles += self._enter(found, datetime.now(UTC))
        for _ in paths:
            self._queue.popleft()
        if self._found_all and not self._queue:
            self._horizon = self._scanned_at
        elif found:
            self._horizon = found[-1][1].received_at
        if troubles:
            raise troubles[0]
        return len(found)

    def _read_all(
        self, paths: Sequence[Path]
    ) -> tuple[list[tuple[Path, Arrival]], list[StoreError]]:
        """What the disk gives, and its troubles with the rest; a later scan finds that again."""
        found, troubles = [], []
        for path in paths:
            try:
                if (arrival := self._read(path)) is not None:
                    found.append((path, arrival))
            except StoreError as error:
                troubles.append(error)
        return found, troubles

    def _scan(self) -> None:
        """See what is in the inbox: a long backlog is not sorted again for each batch of it."""
        limit = _SCAN + len(self._unreadable)
        self._scanned_at = datetime.now(UTC)
        paths = self._store.waiting(limit)
        self._found_all = len(paths) < limit
        self._queue.extend(path for path in paths if path not in self._unreadable)

    def _record_conflicts(self) -> None:
        while self._conflicts:
            study_uid, sop_instance_uid = self._conflicts[0]
            with self._database.transaction() as tx:
                arrivals.note_conflict(tx, study_uid, sop_instance_uid, now=datetime.now(UTC))
            self._conflicts.popleft()

    def _enter(self, found: list[tuple[Path, Arrival]], now: datetime) -> list[StoreError]:
        """Commit, then move each file to its study; return what the disk would not move."""
        with self._database.transaction() as tx:
            # Always in the same order, so that two nodes on one database cannot block each other.
            found = sorted(found, key=lambda item: item[1].ref.study_uid)
            entries = arrivals.enter(tx, [arrival for _, arrival in found], now=now)
        troubles = []
        for (path, arrival), entry in zip(found, entries, strict=True):
            try:
                self._store.settle(path, arrival.ref.study_uid)
            except StoreError as error:
                troubles.append(error)
            if entry is Entry.CONFLICT:
                log.warning("instance.conflict", extra=_names(arrival.ref))
            elif entry is Entry.UNMATCHED:
                words = f"no pipeline matches: {arrival.kind}"
                log.info("study.unmatched", extra=_names(arrival.ref) | {"problem": words})
        return troubles

    def _read(self, path: Path) -> Arrival | None:
        """Read one file's header; what cannot be read stays in the inbox and is named once."""
        try:
            return self._arrival(path)
        except (StoreError, DatabaseAway):
            raise
        except Exception as error:  # one odd object must not keep the others waiting
            self._unreadable.add(path)
            known = isinstance(error, DicomnodeError)
            words = str(error) if known else type(error).__name__
            log.error(
                "registrar.unreadable",
                exc_info=not known,
                extra={"file": path.name, "error": words},
            )
            return None

    def _arrival(self, path: Path) -> Arrival:
        """An object of the inbox, as the worklist needs to know it."""
        pipelines = self._current.pipelines
        wanted = (pipeline.match.attributes for pipeline in pipelines.values())
        outline = read_outline(path, frozenset(_KEYWORDS).union(*wanted))
        _check(outline.ref)
        calling_ae = outline.calling_ae[:16]
        own = outline.text("Manufacturer") == MANUFACTURER
        return Arrival(
            ref=outline.ref,
            sha256=dataset_sha256(path),
            calling_ae=calling_ae,
            received_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            patient_id=outline.text("PatientID")[:64],
            accession_number=outline.text("AccessionNumber")[:64],
            study_date=outline.text("StudyDate")[:16],
            kind=_kind(outline),
            own=own,
            pipelines={} if own else _belongs(pipelines, outline.header, calling_ae),
        )


def _belongs(
    pipelines: Mapping[str, PipelineSettings], header: Dataset, calling_ae: str
) -> dict[str, int]:
    return {
        name: pipeline.priority
        for name, pipeline in pipelines.items()
        if matches(pipeline, header, calling_ae)
    }


def _check(ref: InstanceRef) -> None:
    for name, uid in asdict(ref).items():
        if not is_uid(uid):
            raise BadUID(f"{name} is missing or not a UID")


def _kind(outline: Outline) -> str:
    """What a match rule may want to know of an image, in words."""
    modality = outline.text("Modality")[:16] or "none"
    body_part = outline.text("BodyPartExamined")[:16] or "none"
    return f"modality {modality}, body part {body_part}"


def _names(ref: InstanceRef) -> dict[str, str]:
    return {"study_uid": ref.study_uid, "sop_instance_uid": ref.sop_instance_uid}

"""Enter what is kept on disk into the worklist.

The inbox is the only list of what is still to be entered: in quiet times, after the database was
away, and after any crash, the same loop reads the same folder. Nothing is held in memory.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset

from dicomnode.config.matching import matches
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.dicom import attributes
from dicomnode.errors import DatabaseAway, StoreError, Unreadable
from dicomnode.records import InstanceRef
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore, dataset_sha256
from dicomnode.worklist import studies
from dicomnode.worklist.studies import Arrival, Entry

__all__ = ["Registrar"]

log = logging.getLogger(__name__)

_BATCH = 100  #: objects entered in one transaction
_MOST_CONFLICTS = 1000  #: remembered while the database is away; each was logged when it came
_LOOK_S = 1.0  #: how often the inbox is looked at when nobody says there is something
_LONGEST_WAIT_S = 5.0  #: between attempts while the database is away


class Registrar:
    """One thread that empties the inbox into the worklist."""

    def __init__(
        self,
        store: ObjectStore,
        database: Database,
        pipelines: Mapping[str, PipelineSettings],
    ) -> None:
        self._store = store
        self._database = database
        self._pipelines = pipelines
        self._wanted = threading.Event()
        self._unreadable: set[Path] = set()
        self._conflicts: deque[tuple[str, str]] = deque(maxlen=_MOST_CONFLICTS)
        self._horizon = datetime.min.replace(tzinfo=UTC)

    def wake(self) -> None:
        """There may be something in the inbox."""
        self._wanted.set()

    def note_conflict(self, study_uid: str, sop_instance_uid: str) -> None:
        """Have it recorded that other bytes came under a UID that is kept, and were refused."""
        self._conflicts.append((study_uid, sop_instance_uid))

    def horizon(self) -> datetime:
        """All that was received before this time is in the worklist; aware, UTC."""
        return self._horizon

    def run(self, stop: threading.Event) -> None:
        """Enter objects as they come, until `stop`; go on when disk or database come back."""
        wait_s = 0.1
        while not stop.is_set():
            try:
                if self.enter_batch() == 0:
                    self._record_conflicts()
                    self._wanted.wait(_LOOK_S)
                    self._wanted.clear()
                wait_s = 0.1
            except (DatabaseAway, StoreError) as error:
                log.warning("registrar.waiting", extra={"error": str(error), "retry_in_s": wait_s})
                stop.wait(wait_s)
                wait_s = min(_LONGEST_WAIT_S, wait_s * 2)

    def enter_batch(self) -> int:
        """Enter the oldest objects of the inbox; return how many left it.

        Raises:
            DatabaseAway: nothing was entered; the objects stay where they are.
            StoreError: the disk refused; what was entered is found again.
        """
        now = datetime.now(UTC)
        paths = self._store.waiting(_BATCH + len(self._unreadable))
        found = [(path, arrival) for path in paths if (arrival := self._read(path)) is not None]
        if found:
            self._enter(found, now)
        self._horizon = found[-1][1].received_at if len(found) >= _BATCH else now
        return len(found)

    def _record_conflicts(self) -> None:
        while self._conflicts:
            study_uid, sop_instance_uid = self._conflicts[0]
            with self._database.transaction() as tx:
                studies.note_conflict(tx, study_uid, sop_instance_uid, now=datetime.now(UTC))
            self._conflicts.popleft()

    def _enter(self, found: list[tuple[Path, Arrival]], now: datetime) -> None:
        with self._database.transaction() as tx:
            # Always in the same order, so that two nodes on one database cannot block each other.
            found = sorted(found, key=lambda item: item[1].ref.study_uid)
            entries = [studies.enter(tx, arrival, now=now) for _, arrival in found]
        for (path, arrival), entry in zip(found, entries, strict=True):
            self._store.settle(path, arrival.ref.study_uid)
            if entry is Entry.CONFLICT:
                log.warning("instance.conflict", extra=_names(arrival.ref))

    def _read(self, path: Path) -> Arrival | None:
        """Read one file's header; what cannot be read stays in the inbox and is named once."""
        if path in self._unreadable:
            return None
        try:
            header = attributes.read_header(path)
            ref = InstanceRef(
                sop_class_uid=str(header.SOPClassUID),
                sop_instance_uid=str(header.SOPInstanceUID),
                series_uid=attributes.text(header, "SeriesInstanceUID"),
                study_uid=str(header.StudyInstanceUID),
            )
            sha256 = dataset_sha256(path)
        except (Unreadable, AttributeError) as error:
            self._unreadable.add(path)
            log.error("registrar.unreadable", extra={"file": path.name, "error": str(error)})
            return None
        calling_ae = str(header.file_meta.get("SourceApplicationEntityTitle", ""))
        own = attributes.made_by_us(header)
        belongs = {} if own else self._belongs(header, calling_ae)
        return Arrival(
            ref=ref,
            sha256=sha256,
            calling_ae=calling_ae,
            received_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            patient_id=attributes.text(header, "PatientID")[:64],
            accession_number=attributes.text(header, "AccessionNumber")[:64],
            study_date=attributes.text(header, "StudyDate")[:16],
            own=own,
            pipelines=belongs,
        )

    def _belongs(self, header: Dataset, calling_ae: str) -> dict[str, int]:
        return {
            name: pipeline.priority
            for name, pipeline in self._pipelines.items()
            if matches(pipeline, header, calling_ae)
        }


def _names(ref: InstanceRef) -> dict[str, str]:
    return {"study_uid": ref.study_uid, "sop_instance_uid": ref.sop_instance_uid}

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
from dicomnode.dicom.uids import is_uid
from dicomnode.errors import BadUID, DatabaseAway, DicomnodeError, StoreError
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
            StoreError: the disk refused one object or all; those it gave were entered.
        """
        now = datetime.now(UTC)
        limit = _BATCH + len(self._unreadable)
        paths = self._store.waiting(limit)
        found, troubles = [], []
        for path in paths:
            try:
                if (arrival := self._read(path)) is not None:
                    found.append((path, arrival))
            except StoreError as error:
                troubles.append(error)
        if found:
            troubles += self._enter(found, now)
        if len(paths) < limit:
            self._horizon = now
        elif found:
            self._horizon = found[-1][1].received_at
        if troubles:
            raise troubles[0]
        return len(found)

    def _record_conflicts(self) -> None:
        while self._conflicts:
            study_uid, sop_instance_uid = self._conflicts[0]
            with self._database.transaction() as tx:
                studies.note_conflict(tx, study_uid, sop_instance_uid, now=datetime.now(UTC))
            self._conflicts.popleft()

    def _enter(self, found: list[tuple[Path, Arrival]], now: datetime) -> list[StoreError]:
        """Commit, then move each file to its study; return what the disk would not move."""
        with self._database.transaction() as tx:
            # Always in the same order, so that two nodes on one database cannot block each other.
            found = sorted(found, key=lambda item: item[1].ref.study_uid)
            entries = [studies.enter(tx, arrival, now=now) for _, arrival in found]
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
        if path in self._unreadable:
            return None
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
        header = attributes.read_header(path)
        ref = _ref(header)
        sha256 = dataset_sha256(path)
        calling_ae = attributes.text(header.file_meta, "SourceApplicationEntityTitle")[:16]
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
            kind=_kind(header),
            own=own,
            pipelines=belongs,
        )

    def _belongs(self, header: Dataset, calling_ae: str) -> dict[str, int]:
        return {
            name: pipeline.priority
            for name, pipeline in self._pipelines.items()
            if matches(pipeline, header, calling_ae)
        }


def _ref(header: Dataset) -> InstanceRef:
    keywords = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    uids = [attributes.text(header, keyword) for keyword in keywords]
    for keyword, uid in zip(keywords, uids, strict=True):
        if not is_uid(uid):
            raise BadUID(f"{keyword} is missing or not a UID")
    sop_class, sop_instance, series, study = uids
    return InstanceRef(
        sop_class_uid=sop_class, sop_instance_uid=sop_instance, series_uid=series, study_uid=study
    )


def _kind(header: Dataset) -> str:
    """What a match rule may want to know of an image, in words."""
    modality = attributes.text(header, "Modality")[:16] or "none"
    body_part = attributes.text(header, "BodyPartExamined")[:16] or "none"
    return f"modality {modality}, body part {body_part}"


def _names(ref: InstanceRef) -> dict[str, str]:
    return {"study_uid": ref.study_uid, "sop_instance_uid": ref.sop_instance_uid}

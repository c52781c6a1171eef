"""What we promise to keep: only what lies on disk, byte for byte as it came, under synced names.

A promise is made when it is sent: the disk is looked at then, and not when the question came.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dicomnode.dicom.commitment import REASONS, CommitmentReport, CommitmentRequest, Reference
from dicomnode.errors import StoreError, Unreadable
from dicomnode.storage.database import Database
from dicomnode.storage.durable import disk_errors, sync_folder
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.part10 import dataset_sha256
from dicomnode.worklist import commitments
from dicomnode.worklist.commitments import Held

__all__ = ["Promises"]

log = logging.getLogger(__name__)

_PROCESSING_FAILURE, _NO_SUCH_OBJECT, _CLASS_CONFLICT = 0x0110, 0x0112, 0x0119


class Promises:
    """Answers requests for storage commitment."""

    def __init__(self, store: ObjectStore, database: Database) -> None:
        self._store = store
        self._database = database

    def report_on(self, request: CommitmentRequest) -> CommitmentReport:
        """Which instances of the request we keep, and why not the others.

        Raises:
            DatabaseAway: the worklist cannot be asked.
            StoreError: the names of what is kept cannot be made durable.
        """
        references = list(dict.fromkeys(request.references))
        uids = [reference.sop_instance_uid for reference in references]
        with self._database.transaction() as tx:
            held = commitments.promise(tx, uids, now=datetime.now(UTC))
        kept: list[Reference] = []
        failed: list[tuple[Reference, int]] = []
        folders: set[Path] = set()
        for reference in references:
            found = self._find(reference, held.get(reference.sop_instance_uid))
            if isinstance(found, Path):
                kept.append(reference)
                folders |= {found.parent, found.parent.parent}
            else:
                failed.append((reference, found))
        _sync(sorted(folders, reverse=True))
        return CommitmentReport(
            transaction_uid=request.transaction_uid, kept=tuple(kept), failed=tuple(failed)
        )

    def _find(self, reference: Reference, held: Held | None) -> Path | int:
        """Where an instance lies, whole; or the reason why there is none to promise."""
        if held is None:
            return _NO_SUCH_OBJECT
        if held.sop_class_uid != reference.sop_class_uid:
            return _CLASS_CONFLICT
        try:
            path = self._whole(reference.sop_instance_uid, held)
        except (StoreError, Unreadable) as error:
            return _trouble(reference, held, str(error), _PROCESSING_FAILURE)
        if path is None:
            return _trouble(reference, held, "it is not on disk any more", _NO_SUCH_OBJECT)
        return path

    def _whole(self, uid: str, held: Held) -> Path | None:
        path = self._store.find(held.study_uid, uid)
        if path is None:
            return None
        try:
            found = dataset_sha256(path)
        except StoreError:  # it may just have moved from the inbox to its study
            path = self._store.find(held.study_uid, uid) or path
            found = dataset_sha256(path)
        if found != held.sha256:
            raise Unreadable("its bytes on disk are not those that came")
        return path


def _trouble(reference: Reference, held: Held, problem: str, reason: int) -> int:
    fields = {"study_uid": held.study_uid, "sop_instance_uid": reference.sop_instance_uid}
    log.error("commitment.damaged", extra=fields | {"problem": problem, "error": REASONS[reason]})
    return reason


def _sync(folders: Sequence[Path]) -> None:
    """A study's folder before the folder that names it."""
    for folder in folders:
        with disk_errors(folder):
            sync_folder(folder)

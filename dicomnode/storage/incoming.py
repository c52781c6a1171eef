"""One object on its way to the disk: written piece by piece, then kept durably or forgotten."""

import os
from contextlib import suppress
from enum import StrEnum
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from dicomnode.errors import Conflict
from dicomnode.storage.durable import disk_errors, start_writing
from dicomnode.storage.part10 import dataset_sha256, same_dataset

__all__ = ["Bytes", "Incoming", "Kept", "Shelf"]

_ROOM_CHECKED_EVERY_BYTES = 16 * 1024 * 1024
_WRITING_STARTED_EVERY_BYTES = 1024 * 1024
_MOST_PIECES = 256  #: in one call of the system; more are joined

Bytes = bytes | bytearray | memoryview


class Kept(StrEnum):
    """What became of an object that was handed in."""

    NEW = "new"
    SAME = "same"  #: these bytes were kept before; their time begins again
    BESIDE = "beside"  #: other bytes than the first of this UID; both are kept


class Shelf(Protocol):
    """Where objects go: `ObjectStore`."""

    def check_room(self) -> None:
        """StoreFull when there is no room."""

    def admit(self, partial: Path, study_uid: str, name: str) -> BinaryIO | None:
        """Take a name for a synced file; or open what has it already."""

    def admit_again(self, partial: Path, name: str) -> None:
        """Take a name for a synced file whose bytes are kept already."""

    def sync_inbox(self) -> None:
        """Make names durable."""


class Incoming:
    """One object being written; leaving its `with` block without `keep` discards it."""

    def __init__(self, shelf: Shelf, path: Path) -> None:
        self.path = path
        self.size = 0  #: bytes written so far
        self._shelf = shelf
        self._room_checked_at = 0
        self._writing_started_to = 0
        with disk_errors():
            self._file = FileIO(path, "x+")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.discard()

    def write(self, *pieces: Bytes) -> None:
        """Append bytes; StoreFull when the disk runs out of room."""
        left = list(pieces)
        if len(left) > _MOST_PIECES:
            left = [b"".join(left)]
        with disk_errors(self.path):
            while left:
                written = os.writev(self._file.fileno(), left)
                self.size += written
                left = _after(left, written)
        if self.size - self._writing_started_to >= _WRITING_STARTED_EVERY_BYTES:
            start_writing(self._file.fileno(), self._writing_started_to, self.size)
            self._writing_started_to = self.size
        if self.size - self._room_checked_at >= _ROOM_CHECKED_EVERY_BYTES:
            self._room_checked_at = self.size
            self._shelf.check_room()

    @property
    def written(self) -> BinaryIO:
        """What was written so far, for reading; its owner sees to the position."""
        return self._file

    def finish(self) -> None:
        """Put every byte on the disk; nothing may be written after."""
        with disk_errors(self.path):
            os.fsync(self._file.fileno())

    def keep(self, study_uid: str, sop_instance_uid: str, *, keep_both: bool = False) -> Kept:
        """Put the object into the inbox, durably, and say whether it is new.

        Bytes that are there already go through the inbox once more, so that who sends a study
        again may count on them from then on, even where it is about to be removed. Other bytes
        under the same UID raise Conflict, or with `keep_both` get a name of their own beside the
        first.
        """
        self.finish()
        with disk_errors():
            kept = self._admitted(study_uid, sop_instance_uid, Kept.NEW)
            if kept is None and keep_both:
                beside = f"{sop_instance_uid}.{dataset_sha256(self.path)[:12]}"
                kept = self._admitted(study_uid, beside, Kept.BESIDE)
            if kept is None:
                raise Conflict(
                    "the SOP Instance UID is kept already, with other bytes; "
                    "receive.conflict = keep would keep both"
                )
            self._shelf.sync_inbox()
        return kept

    def _admitted(self, study_uid: str, name: str, as_what: Kept) -> Kept | None:
        """Take the name; None when it belongs to other bytes."""
        taken = self._shelf.admit(self.path, study_uid, name)
        if taken is None:
            return as_what
        with taken, self.path.open("rb") as ours:
            if not same_dataset(ours, taken):
                return None
        self._shelf.admit_again(self.path, name)
        return Kept.SAME

    def discard(self) -> None:
        """Forget what was not kept; what is left of it otherwise goes when the node starts."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self.path.unlink()


def _after(pieces: list[Bytes], count: int) -> list[Bytes]:
    """What is left of `pieces` behind their first `count` bytes."""
    for number, piece in enumerate(pieces):
        if count < len(piece):
            return [memoryview(piece)[count:], *pieces[number + 1 :]]
        count -= len(piece)
    return []

"""One object on its way to the disk: written piece by piece, then kept durably or forgotten."""

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from enum import Enum, StrEnum, auto
from io import FileIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, Self

from dicomnode.errors import Conflict
from dicomnode.storage.durable import disk_errors, start_writing
from dicomnode.storage.part10 import dataset_sha256, same_dataset
from dicomnode.storage.seal import Seal, add_to_checksum, write_seal

__all__ = ["Bytes", "Found", "Incoming", "Kept", "Shelf"]

_ROOM_CHECKED_EVERY_BYTES = 16 * 1024 * 1024
_WRITING_STARTED_EVERY_BYTES = 1024 * 1024
_CHECKED_BYTES = 1024 * 1024
_MOST_PIECES = 256  #: in one call of the system; more are joined

Bytes = bytes | bytearray | memoryview


class Kept(StrEnum):
    """What became of an object that was handed in."""

    NEW = "new"
    SAME = "same"  #: these bytes were kept before; their time begins again
    BESIDE = "beside"  #: other bytes than the first of this UID; both are kept


class Found(NamedTuple):
    """A kept object, open for reading."""

    file: BinaryIO
    waits: bool  #: in the inbox


class _There(Enum):
    """What has a name already."""

    NOTHING = auto()
    WAITING = auto()  #: the same bytes, in the inbox
    SETTLED = auto()  #: the same bytes, in their study
    OTHER = auto()  #: other bytes


class Shelf(Protocol):
    """Where objects go: `ObjectStore`."""

    def check_room(self) -> None:
        """StoreFull when there is no room."""

    def naming(self, name: str) -> AbstractContextManager[None]:
        """Only who is inside looks for this name, seals a file with it, and takes it."""

    def open_kept(self, study_uid: str, name: str) -> Found | None:
        """What has this name already."""

    def admit(self, path: Path, name: str) -> None:
        """Give a sealed and synced file its name in the inbox."""


class Incoming:
    """One object being written; leaving its `with` block without `keep` discards it."""

    def __init__(self, shelf: Shelf, blank: FileIO) -> None:
        self.path = Path(os.fsdecode(blank.name))
        self.size = 0  #: bytes written so far
        self._shelf = shelf
        self._file = blank
        self._checksum: int | None = 0  #: None where the object is long
        self._kept = False  #: has it another name?
        self._room_checked_at = 0
        self._writing_started_to = 0

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
        self._add_to_checksum(pieces)
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

    def keep(self, study_uid: str, sop_instance_uid: str, *, keep_both: bool = False) -> Kept:
        """Put the object into the inbox, durably, and say whether it is new.

        Bytes that are there already go through the inbox once more, so that who sends a study
        again may count on them from then on, even where it is about to be removed. Other bytes
        under the same UID raise Conflict, or with `keep_both` get a name of their own beside the
        first.
        """
        with disk_errors(self.path), self._shelf.naming(sop_instance_uid):
            there = self._there(study_uid, sop_instance_uid)
            if there is not _There.OTHER:
                return self._keep_as(study_uid, sop_instance_uid, there, Kept.NEW)
            if not keep_both:
                raise Conflict(
                    "the SOP Instance UID is kept already, with other bytes; "
                    "receive.conflict = keep would keep both"
                )
            beside = f"{sop_instance_uid}.{dataset_sha256(self.path)[:12]}"
            return self._keep_as(study_uid, beside, self._there(study_uid, beside), Kept.BESIDE)

    def _there(self, study_uid: str, name: str) -> "_There":
        """What this name stands for already."""
        found = self._shelf.open_kept(study_uid, name)
        if found is None:
            return _There.NOTHING
        with found.file, self.path.open("rb") as ours:
            if not same_dataset(ours, found.file):
                return _There.OTHER
        return _There.WAITING if found.waits else _There.SETTLED

    def _keep_as(self, study_uid: str, name: str, there: "_There", as_what: Kept) -> Kept:
        """Put every byte on the disk, with a seal, and give the file its name."""
        if there is not _There.WAITING:
            self._seal(Seal(study_uid, name))
            self._shelf.admit(self.path, name)
            self._kept = True
        return as_what if there is _There.NOTHING else Kept.SAME

    def _add_to_checksum(self, pieces: Iterable[Bytes]) -> None:
        """A long object is synced once more instead: that is quicker than a checksum."""
        checksum = self._checksum
        if self.size > _CHECKED_BYTES:
            checksum = None
        elif checksum is not None:
            for piece in pieces:
                checksum = add_to_checksum(piece, checksum)
        self._checksum = checksum

    def _seal(self, seal: Seal) -> None:
        if self._checksum is None:
            os.fdatasync(self._file.fileno())
        write_seal(self._file, self._checksum, seal)
        os.fdatasync(self._file.fileno())

    def discard(self) -> None:
        """Forget what was not kept; what is left of it otherwise goes when the node starts."""
        with suppress(OSError):
            self._file.close()
        if not self._kept:
            with suppress(OSError):
                self.path.unlink()


def _after(pieces: list[Bytes], count: int) -> list[Bytes]:
    """What is left of `pieces` behind their first `count` bytes."""
    for number, piece in enumerate(pieces):
        if count < len(piece):
            return [memoryview(piece)[count:], *pieces[number + 1 :]]
        count -= len(piece)
    return []

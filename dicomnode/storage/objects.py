"""DICOM objects on disk: written whole or not at all, and durable before anyone is told.

`partial/` holds what is being written, `inbox/` what is kept and not yet in the worklist,
`studies/` what is in the worklist, `results/` what this node made. A received file is synced, moves
to the inbox, and its name is synced before the sender hears of it; once the worklist has it, it
moves to its study. One node works in a folder and holds its `lock`; its receivers, which are
processes of their own, write into it too. Nothing here knows what a dataset means.
"""

import fcntl
import hashlib
import heapq
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

from dicomnode.errors import BadUID, Conflict, StoreError, StoreFull, Unreadable
from dicomnode.storage.durable import (
    FolderLock,
    FolderSync,
    disk_errors,
    make_folder,
    sync_folder,
    take_name,
)

__all__ = ["Bytes", "Incoming", "Kept", "ObjectStore", "dataset_offset", "dataset_sha256"]

_CHUNK_BYTES = 1024 * 1024
_ROOM_CHECKED_EVERY_BYTES = 16 * 1024 * 1024
_MOST_PIECES = 256  #: in one call of the system; more are joined
_NAME = re.compile(r"[0-9]+(\.[0-9a-f]+)*")


Bytes = bytes | bytearray | memoryview


class Kept(StrEnum):
    """What became of an object that was handed in."""

    NEW = "new"
    SAME = "same"  #: these bytes were kept before; nothing was kept twice
    BESIDE = "beside"  #: other bytes than the first of this UID; both are kept


class ObjectStore:
    """The node's folder of objects."""

    def __init__(self, folder: Path, min_free_bytes: int = 0) -> None:
        self.folder = folder  #: where all of it lies
        self._partial = folder / "partial"
        self._inbox = folder / "inbox"
        self._studies = folder / "studies"
        self._results = folder / "results"
        self._min_free_bytes = min_free_bytes
        self._moving = FolderLock(self._inbox)  #: held while a name is looked for and taken
        self._inbox_sync = FolderSync(self._inbox)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder while the block runs: a second node would drop what the first one writes.

        Raises:
            StoreError: another node works here, or the folder cannot be had.
        """
        place = f"{self.folder} (storage.folder in node.toml)"
        try:
            with disk_errors():
                make_folder(self.folder)
                lock = (self.folder / "lock").open("ab")
        except StoreError as error:
            raise StoreError(f"cannot keep images in {place}: {error}") from error
        with lock:
            with disk_errors(self.folder / "lock"):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise StoreError(f"another dicomnode works in {place}; stop it first") from None
            yield

    def prepare(self) -> None:
        """Make the folders, and drop what was being written when the node last stopped."""
        with disk_errors():
            make_folder(self.folder)
            for folder in (self._partial, self._inbox, self._studies, self._results):
                folder.mkdir(mode=0o700, exist_ok=True)
            for left in self._partial.iterdir():
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            sync_folder(self.folder)

    def begin(self) -> "Incoming":
        """Open a new object for writing; StoreFull when there is no room for one."""
        self.check_room()
        return Incoming(self, self._partial / f"{os.getpid()}.{uuid4().hex}")

    def drop_partial(self, pid: int) -> None:
        """Drop what a process was writing when it died."""
        with disk_errors():
            for left in self._partial.glob(f"{pid}.*"):
                left.unlink(missing_ok=True)

    def waiting(self, limit: int) -> list[Path]:
        """Kept objects that are not in the worklist yet, oldest first; their names are durable."""
        with disk_errors():
            with os.scandir(self._inbox) as entries:
                aged = ((entry.stat().st_mtime_ns, entry.path) for entry in entries)
                oldest = heapq.nsmallest(limit, aged)
            if oldest:
                self._inbox_sync.sync()
        return [Path(path) for _, path in oldest]

    def settle(self, path: Path, study_uid: str) -> Path:
        """Move an object of the inbox to its study once the worklist has it; return its new path.

        May be called again after a crash. The move is not synced: after a power cut the object is
        in one place or the other, and `waiting` finds it in the first. Other bytes than the study
        has under this name go beside them, under a name of their own.
        """
        final = self.path_of(study_uid, path.stem)
        with disk_errors(), self._moving:
            final.parent.mkdir(mode=0o700, exist_ok=True)
            if path == final or (final.exists() and not path.exists()):
                return final
            if final.exists() and not _same_file(path, final):
                final = final.with_stem(f"{final.stem}.{dataset_sha256(path)[:12]}")
            path.rename(final)
        return final

    def path_of(self, study_uid: str, name: str) -> Path:
        """Where an object of the worklist lies; `name` is its UID, or the stem of its file."""
        return self._studies / _checked(study_uid) / f"{_checked(name)}.dcm"

    def find(self, study_uid: str, name: str) -> Path | None:
        """Where an object lies: in its study, or still in the inbox; None where it is gone."""
        places = (self.path_of(study_uid, name), self._inbox / f"{_checked(name)}.dcm")
        return next((place for place in places if place.exists()), None)

    def path_of_result(self, study_uid: str, uid: str) -> Path:
        """Where a result lies."""
        return self._results / _checked(study_uid) / f"{_checked(uid)}.dcm"

    def keep_result(self, study_uid: str, uid: str, data: bytes) -> Path:
        """Write a result once, durably; what was written first stays, whatever comes later."""
        final = self.path_of_result(study_uid, uid)
        with disk_errors():
            final.parent.mkdir(mode=0o700, exist_ok=True)
            with Incoming(self, self._partial / uuid4().hex) as incoming:
                incoming.write(data)
                incoming.finish()
                take_name(incoming.path, final)
            sync_folder(final.parent)
            sync_folder(self._results)
        return final

    def remove_study(self, study_uid: str) -> None:
        """Delete a study's objects and results, whole folders at once."""
        for folder in (self._studies, self._results):
            gone = self._partial / uuid4().hex
            with disk_errors():
                try:
                    with self._moving:
                        (folder / _checked(study_uid)).rename(gone)
                except FileNotFoundError:
                    continue
                shutil.rmtree(gone)

    def free_bytes(self) -> int:
        """Room on the disk, as far as this process may use it."""
        with disk_errors():
            found = os.statvfs(self._partial)
        return found.f_bavail * found.f_frsize

    def has_room(self, wanted_bytes: int) -> bool:
        """Is so much room left? A disk that does not say has none."""
        try:
            return self.free_bytes() >= wanted_bytes
        except StoreError:
            return False

    def check_room(self) -> None:
        """StoreFull when less room is left than the administrator wants to stay free."""
        free = self.free_bytes()
        if free < self._min_free_bytes:
            wanted = -(-self._min_free_bytes // 1_000_000)
            raise StoreFull(
                f"only {free // 1_000_000} MB free in {self.folder}, min_free_bytes wants "
                f"{wanted} MB"
            )

    def admit(self, partial: Path, study_uid: str, name: str) -> BinaryIO | None:
        """Move a synced file to the inbox; or, where its name is taken, open what is there."""
        final = f"{self._inbox}/{_checked(name)}.dcm"
        settled = f"{self._studies}/{_checked(study_uid)}/{name}.dcm"
        with self._moving:
            if os.path.exists(settled):  # noqa: PTH110  # ten times a Path's speed, for each object
                return Path(settled).open("rb")
            return None if take_name(partial, final) else Path(final).open("rb")

    def sync_inbox(self) -> None:
        """Make the names in the inbox durable."""
        self._inbox_sync.sync()


class Incoming:
    """One object being written; leaving its `with` block without `keep` discards it."""

    def __init__(self, store: ObjectStore, path: Path) -> None:
        self.path = path
        self.size = 0  #: bytes written so far
        self._store = store
        self._room_checked_at = 0
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
        if self.size - self._room_checked_at >= _ROOM_CHECKED_EVERY_BYTES:
            self._room_checked_at = self.size
            self._store.check_room()

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

        Bytes that are there already are not kept twice. Other bytes under the same UID raise
        Conflict, or with `keep_both` get a name of their own beside the first.
        """
        self.finish()
        with disk_errors():
            kept = self._admitted(study_uid, sop_instance_uid, Kept.NEW)
            if kept is None and keep_both:
                beside = f"{sop_instance_uid}.{dataset_sha256(self.path)[:12]}"
                kept = self._admitted(study_uid, beside, Kept.BESIDE)
            if kept is None:
                raise Conflict("the SOP Instance UID is kept already, with other bytes")
            self._store.sync_inbox()
        return kept

    def _admitted(self, study_uid: str, name: str, as_what: Kept) -> Kept | None:
        """Take the name; None when it belongs to other bytes."""
        taken = self._store.admit(self.path, study_uid, name)
        if taken is None:
            return as_what
        with taken, self.path.open("rb") as ours:
            return Kept.SAME if _same_dataset(ours, taken) else None

    def discard(self) -> None:
        """Forget what was not kept; what is left of it otherwise goes when the node starts."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self.path.unlink()


def dataset_offset(file: BinaryIO) -> int:
    """Where the dataset of a Part 10 file begins: after the file meta group (PS3.10 7.1)."""
    file.seek(0)
    head = file.read(144)
    if head[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00" or len(head) < 144:
        raise Unreadable("not a Part 10 file with a File Meta Information Group Length")
    return 144 + int.from_bytes(head[140:144], "little")


def dataset_sha256(path: Path) -> str:
    """SHA-256 of the dataset as received, hexadecimal; the file meta is left out."""
    with disk_errors(), path.open("rb") as file:
        file.seek(dataset_offset(file))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _after(pieces: list[Bytes], count: int) -> list[Bytes]:
    """What is left of `pieces` behind their first `count` bytes."""
    for number, piece in enumerate(pieces):
        if count < len(piece):
            return [memoryview(piece)[count:], *pieces[number + 1 :]]
        count -= len(piece)
    return []


def _same_dataset(one: BinaryIO, other: BinaryIO) -> bool:
    """Are the bytes after the file meta the same?"""
    starts = dataset_offset(one), dataset_offset(other)
    sizes = one.seek(0, os.SEEK_END) - starts[0], other.seek(0, os.SEEK_END) - starts[1]
    if sizes[0] != sizes[1]:
        return False
    one.seek(starts[0])
    other.seek(starts[1])
    while chunk := one.read(_CHUNK_BYTES):
        if chunk != other.read(_CHUNK_BYTES):
            return False
    return True


def _same_file(one: Path, other: Path) -> bool:
    with one.open("rb") as ours, other.open("rb") as theirs:
        return _same_dataset(ours, theirs)


def _checked(name: str) -> str:
    """A name made of digits, dots and hexadecimal letters leads nowhere but where it says."""
    if len(name) > 80 or not _NAME.fullmatch(name):
        raise BadUID("what should be a UID is not one, and cannot name a file")
    return name

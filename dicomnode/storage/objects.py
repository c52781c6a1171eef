"""DICOM objects on disk: written whole or not at all, and durable before anyone is told.

`landing/` holds what is being received, `inbox/` what is kept and not yet in the worklist,
`studies/` what is in the worklist, `results/` what this node made, `partial/` what is being written
of those. A received file is sealed, synced, and named in the inbox before the sender hears of it;
once the worklist has it, it moves to its study. One node works in a folder and holds its `lock`;
its receivers, which are processes of their own, write into it too. Nothing here knows what a
dataset means.
"""

import fcntl
import heapq
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from dicomnode.errors import BadUID, StoreError, StoreFull
from dicomnode.storage.durable import (
    FolderSync,
    NameLocks,
    disk_errors,
    make_folder,
    sync_folder,
    take_name,
    write_once,
)
from dicomnode.storage.incoming import Found, Incoming
from dicomnode.storage.landing import Landing
from dicomnode.storage.part10 import dataset_sha256, same_dataset, same_file
from dicomnode.storage.seal import read_seal

__all__ = ["ObjectStore"]

_NAME = re.compile(r"[0-9]+(\.[0-9a-f]+)*")


class ObjectStore:
    """The node's folder of objects."""

    def __init__(self, folder: Path, min_free_bytes: int = 0) -> None:
        self.folder = folder  #: where all of it lies
        self._partial = folder / "partial"
        self._inbox = folder / "inbox"
        self._studies = folder / "studies"
        self._results = folder / "results"
        self._min_free_bytes = min_free_bytes
        self._moving = threading.Lock()  #: held while a file or a folder of studies is moved
        self._inbox_sync = FolderSync(self._inbox)
        self._landing = Landing(folder / "landing", self._inbox_sync)
        self._names = NameLocks(folder / "names.lock")

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
        """Make the folders, take up what is whole of what was being received when the node last
        stopped, and drop the rest.
        """
        folders = (self._partial, self._inbox, self._studies, self._results, self._landing.folder)
        with disk_errors():
            make_folder(self.folder)
            for folder in folders:
                folder.mkdir(mode=0o700, exist_ok=True)
            for path in self._landing.left():
                self._take_up(path)
            self._landing.clear()
            for left in self._partial.iterdir():
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            sync_folder(self.folder)

    def begin(self) -> Incoming:
        """Open a new object for writing; StoreFull when there is no room for one."""
        self.check_room()
        with disk_errors(self._landing.folder):
            return Incoming(self, self._landing.take())

    def drop_partial(self, pid: int) -> None:
        """Drop what a process was writing when it died; what it acknowledged is in the inbox."""
        with disk_errors():
            self._landing.clear(pid)
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
        with disk_errors():
            # Before the lock, as receivers wait for that: two large files take a second.
            if final.exists() and path.exists() and not same_file(path, final):
                final = final.with_stem(f"{final.stem}.{dataset_sha256(path)[:12]}")
            with self._moving:
                if final.exists() and (path == final or not path.exists()):
                    return final
                try:
                    path.rename(final)
                except FileNotFoundError:
                    final.parent.mkdir(mode=0o700, exist_ok=True)
                    path.rename(final)
        return final

    def path_of(self, study_uid: str, name: str) -> Path:
        """Where an object of the worklist lies; `name` is its UID, or the stem of its file."""
        return self._studies / _checked(study_uid) / f"{_checked(name)}.dcm"

    def find(self, study_uid: str, name: str) -> Path | None:
        """Where an object lies: in its study, or still in the inbox; None where it is gone."""
        settled = self.path_of(study_uid, name)
        places = (settled, self._inbox / settled.name, settled)  # it may move between two looks
        return next((place for place in places if place.exists()), None)

    def path_of_result(self, study_uid: str, uid: str) -> Path:
        """Where a result lies."""
        return self._results / _checked(study_uid) / f"{_checked(uid)}.dcm"

    def keep_result(self, study_uid: str, uid: str, data: bytes) -> Path:
        """Write a result once, durably; what was written first stays, whatever comes later."""
        self.keep_results(study_uid, {uid: data})
        return self.path_of_result(study_uid, uid)

    def keep_results(self, study_uid: str, results: Mapping[str, bytes]) -> None:
        """The same of several results of a study, by their UIDs, with one sync for all names."""
        folder = self._results / _checked(study_uid)
        finals = {self.path_of_result(study_uid, uid): data for uid, data in results.items()}
        with disk_errors():
            folder.mkdir(mode=0o700, exist_ok=True)
            for final, data in finals.items():
                write_once(self._partial / uuid4().hex, final, data)
            sync_folder(folder)
            sync_folder(self._results)

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

    # --- for an object that comes in ------------------------------------------------------

    def naming(self, name: str) -> AbstractContextManager[None]:
        """See `Shelf`; of two objects of one name that come at once, the second finds the first."""
        return self._names.held(name)

    def open_kept(self, study_uid: str, name: str) -> Found | None:
        """See `Shelf`. What moves meanwhile leaves the inbox for its study, so that is seen last"""
        waiting = f"{self._inbox}/{_checked(name)}.dcm"
        settled = f"{self._studies}/{_checked(study_uid)}/{name}.dcm"
        for place in (waiting, settled):
            if os.path.exists(place):  # noqa: PTH110  # ten times a Path's speed, for each object
                with suppress(FileNotFoundError):
                    return Found(Path(place).open("rb"), waits=place == waiting)
        return None

    def admit(self, path: Path, name: str) -> None:
        """See `Shelf`."""
        if not take_name(path, f"{self._inbox}/{_checked(name)}.dcm"):
            raise StoreError(f"there is another file in inbox/ under the name of {path.name}")
        self._landing.landed(path)

    def _take_up(self, path: Path) -> None:
        """Name a whole file in the inbox that was not named yet, or whose name was lost."""
        if path.stat().st_nlink > 1 or (seal := read_seal(path)) is None:
            return
        found = self.open_kept(seal.study_uid, seal.name)
        if found is not None:
            with found.file, path.open("rb") as ours:
                if found.waits or not same_dataset(ours, found.file):
                    return
        take_name(path, f"{self._inbox}/{_checked(seal.name)}.dcm")


def _checked(name: str) -> str:
    """A name made of digits, dots and hexadecimal letters leads nowhere but where it says."""
    if len(name) > 80 or not _NAME.fullmatch(name):
        raise BadUID("what should be a UID is not one, and cannot name a file")
    return name

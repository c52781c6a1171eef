"""The disk's small promises: synced names, names taken once, and errors in our own words."""

import errno
import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from dicomnode.errors import StoreError, StoreFull

__all__ = [
    "FolderSync",
    "NameLocks",
    "disk_errors",
    "make_folder",
    "start_writing",
    "sync_folder",
    "take_name",
    "write_once",
]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NAME_LOCKS = 256
_LOCK = struct.Struct("hhqqi0q")  #: a struct flock, of fcntl(2)
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class FolderSync:
    """Makes the names in one folder durable; callers who wait together share one fsync."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._next: Future[None] | None = None  #: the fsync that is due and has not begun

    def sync(self) -> None:
        """Return when an fsync that began after this call has ended, or raise its OSError."""
        if self._disk.acquire(blocking=False):  # nobody else is here to share one with
            try:
                sync_folder(self._folder)
            finally:
                self._disk.release()
            return
        with self._lock:
            leads = self._next is None
            batch = self._next = self._next or Future()
        if leads:
            with self._disk:
                with self._lock:
                    self._next = None
                try:
                    sync_folder(self._folder)
                except OSError as error:
                    batch.set_exception(error)
                else:
                    batch.set_result(None)
                finally:
                    batch.cancel()  # where neither came, nobody waits for it for ever
        batch.result()


class NameLocks:
    """Locks by name, in a file: each is held by one thread of one process at a time.

    Two names may have one lock. A process that dies holds none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opening = threading.Lock()
        self._threads = [threading.Lock() for _ in range(_NAME_LOCKS)]
        self._handle = -1

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold the lock of a name while the block runs."""
        number = zlib.crc32(name.encode()) % _NAME_LOCKS
        with self._threads[number]:
            self._lock(fcntl.F_WRLCK, number)
            try:
                yield
            finally:
                self._lock(fcntl.F_UNLCK, number)

    def _lock(self, kind: int, number: int) -> None:
        """One byte of the file stands for each lock; they belong to the open file, not to the
        process, so that another may be opened and closed in it.
        """
        with self._opening:
            if self._handle < 0:
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.fcntl(self._handle, fcntl.F_OFD_SETLKW, _LOCK.pack(kind, os.SEEK_SET, number, 1, 0))

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder, and those that lead to it, under names that survive a power cut."""
    if not folder.is_dir():
        make_folder(folder.parent, 0o777)
        folder.mkdir(mode, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def start_writing(handle: int, start: int, end: int) -> None:
    """Let the disk begin with bytes that a sync will wait for; nothing is promised by it.

    Linux starts writing what it is told is not needed any more, and keeps it until it is written.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, start, end - start, os.POSIX_FADV_DONTNEED)


def take_name(partial: Path, final: Path | str) -> bool:
    """Give a file a name nobody has; False when somebody has it.

    The old name may stay beside the new one: whoever wrote the file removes it in the end.
    """
    try:
        os.link(partial, final)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if Path(final).exists():
            return False
        partial.rename(final)
    return True


def write_once(partial: Path, final: Path, data: bytes) -> None:
    """Write a file and sync it before it gets its name; what has that name already stays."""
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        take_name(partial, final)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path | None = None) -> Iterator[None]:
    """Turn what the operating system says of a disk into StoreFull or StoreError.

    The system names the file where it was given a name; `path` is named where it was not.
    """
    try:
        yield
    except OSError as error:
        kind = StoreFull if error.errno in _FULL else StoreError
        place = error.filename or path
        where = f": {place}" if place else ""
        words = error.strerror or type(error).__name__
        raise kind(f"the disk answered: {words}{where}") from error

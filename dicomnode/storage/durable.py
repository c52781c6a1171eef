"""The disk's small promises: synced names, names taken once, and errors in our own words."""

import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from dicomnode.errors import StoreError, StoreFull

__all__ = ["FolderSync", "disk_errors", "sync_folder", "take_name"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
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
        with self._lock:
            leads = self._next is None
            batch = self._next = self._next or Future()
        if leads:
            with self._disk:
                with self._lock:
                    self._next = None
                try:
                    sync_folder(self._folder)
                    batch.set_result(None)
                except OSError as error:
                    batch.set_exception(error)
        batch.result()


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_name(partial: Path, final: Path) -> bool:
    """Move a file to a name nobody has; False, and nothing moved, when somebody has it."""
    try:
        os.link(partial, final)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if final.exists():
            return False
        partial.rename(final)
    else:
        partial.unlink()
    return True


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

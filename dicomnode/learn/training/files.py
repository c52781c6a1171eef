"""Files of a run: whole or not there, whenever the machine stops."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicomnode.errors import StoreError, StoreFull

__all__ = ["disk_errors", "make_folder", "write_whole"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def write_whole(path: Path, data: bytes) -> None:
    """Write so that a kill or a power cut leaves the old file or the new one; StoreError."""
    part = path.with_name(f"{path.name}.part")
    with disk_errors(path):
        try:
            with part.open("wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


def make_folder(folder: Path) -> None:
    """Make a folder and those that lead to it; StoreError."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What the disk answers, as an error that names the file and says what to do."""
    try:
        yield
    except OSError as error:
        kind = StoreFull if error.errno in _FULL else StoreError
        words = error.strerror or type(error).__name__
        raise kind(
            f"{path}: the disk answered: {words}; make room and run the command again: "
            "training goes on where it was"
        ) from error

"""Audit messages in a file: one on each line, for its owner only, renamed when it is full."""

import os
from collections.abc import Sequence
from pathlib import Path

from dicomnode.audit.message import Message, as_xml
from dicomnode.errors import AuditAway

__all__ = ["AuditFile"]

_NAME = "audit.log"


class AuditFile:
    """`audit.log` in a folder; `audit.log.1` is the one before, and so on up to `kept`."""

    def __init__(self, folder: Path, *, most_bytes: int, kept: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._kept = kept

    def write(self, messages: Sequence[Message]) -> None:
        """Have all of them on the disk, or none.

        Raises:
            AuditAway: none was written.
        """
        data = "".join(f"{as_xml(message)}\n" for message in messages).encode()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._append(data)
        except OSError as error:
            raise AuditAway(f"{self._folder / _NAME}: {error.strerror}") from error

    def _append(self, data: bytes) -> None:
        descriptor = self._open(len(data))
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)

    def _open(self, coming: int) -> int:
        path = self._folder / _NAME
        descriptor = _opened(path)
        size = os.fstat(descriptor).st_size
        if size and size + coming > self._most_bytes:
            os.close(descriptor)
            self._rotate()
            return _opened(path)
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")  # a crash cut the line: its message comes again, whole
        return descriptor

    def _rotate(self) -> None:
        path = self._folder / _NAME
        for number in range(self._kept, 0, -1):
            older = path.with_name(f"{_NAME}.{number}")
            newer = path.with_name(f"{_NAME}.{number - 1}") if number > 1 else path
            if newer.exists():
                newer.replace(older)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]

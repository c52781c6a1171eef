"""What somebody uploads becomes files in a folder: bounded, and under names of our own."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from fastapi import HTTPException

__all__ = ["unpack"]

_MOST_FILES = 20_000
_PIECE_BYTES = 1 << 20
_MOST_LISTED_BYTES = 8 << 20  #: the list of files in a zip is read as a whole
#: What the library raises of archives that are broken, or made to break it.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError)


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Careful:
    """A file of which nobody reads much at once: the list in a zip may be as long as the zip."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1, /) -> bytes:
        most = _MOST_LISTED_BYTES + 1
        data = self._file.read(most if size < 0 else min(size, most))
        if len(data) == most:
            raise _too_many()
        return data


def unpack(uploads: Sequence[BinaryIO], folder: Path, most_bytes: int) -> int:
    """Write files, and the files in zips, into a folder; return how many there are.

    No name of an archive is used, nothing in it is opened in turn, and what it holds is counted as
    it comes out, whatever it says of itself.

    Raises:
        HTTPException: it is too much (413), or an archive cannot be read (422).
        OSError: the disk refused.
    """
    number, left = 0, most_bytes
    for upload in uploads:
        for source in _sources(upload):
            number += 1
            if number > _MOST_FILES:
                raise _too_many()
            left = _copy(source, folder / f"{number:05}", left, most_bytes)
    return number


def _copy(source: _Source, path: Path, left: int, most_bytes: int) -> int:
    with path.open("xb") as out:
        while piece := _read(source):
            left -= len(piece)
            if left < 0:
                words = f"it is more than {most_bytes} bytes (web.try_max_bytes), as it comes out"
                raise HTTPException(413, words)
            out.write(piece)
    return left


def _read(source: _Source) -> bytes:
    """A piece; what an archive gives may be broken anywhere."""
    if not isinstance(source, zipfile.ZipExtFile):
        return source.read(_PIECE_BYTES)
    try:
        return source.read(_PIECE_BYTES)
    except _BROKEN as error:
        raise _unreadable() from error


def _sources(upload: BinaryIO) -> Iterator[_Source]:
    """The file itself, or each file of a zip."""
    if _is_dicom(upload) or not zipfile.is_zipfile(upload):
        upload.seek(0)
        yield upload
        return
    upload.seek(0)
    try:
        archive = zipfile.ZipFile(_Careful(upload))
    except _BROKEN as error:
        raise _unreadable() from error
    with archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            if entry.flag_bits & 1:
                raise HTTPException(422, "the zip is locked with a password; send it without")
            try:
                source = archive.open(entry)
            except (*_BROKEN, NotImplementedError, RuntimeError) as error:
                raise _unreadable() from error
            with source:
                yield source


def _is_dicom(upload: BinaryIO) -> bool:
    """A DICOM file may end as a zip does (PS3.10 7.1)."""
    upload.seek(128)
    return upload.read(4) == b"DICM"


def _too_many() -> HTTPException:
    return HTTPException(413, f"there are more than {_MOST_FILES} files")


def _unreadable() -> HTTPException:
    return HTTPException(422, "the zip cannot be read: it is broken, or packed in an unusual way")

"""A seal says that a received file is whole, and under which name it is kept.

It is the Private Information of the File Meta Information (PS3.10 Table 7.1-1), where room is left
for it. A power cut may leave any part of a file that was not synced yet. So a seal that is synced
together with the rest holds a checksum of it, and is worth nothing without; one that is written
when all the rest was synced needs a checksum of itself only.
"""

import errno
import os
import zlib
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from dicomnode.errors import Unreadable
from dicomnode.storage.part10 import dataset_offset

__all__ = ["UNSEALED", "Seal", "add_to_checksum", "read_seal", "write_seal"]

_VALUE_BYTES = 160  #: a checksum, a UID, and a name of at most 80 characters
_ELEMENT = b"\x02\x00\x02\x01OB\x00\x00" + _VALUE_BYTES.to_bytes(4, "little")
_BLANK = bytes(_VALUE_BYTES)
_SYNCED, _TOGETHER = b"s", b"t"  #: was the rest synced before the seal, or with it?
_CHUNK_BYTES = 1024 * 1024

#: Private Information (0002,0102) with room for a seal; the File Meta Information ends with it.
UNSEALED = _ELEMENT + _BLANK

add_to_checksum = zlib.crc32  #: of more bytes, behind those that a checksum is of


class Seal(NamedTuple):
    """What a seal says."""

    study_uid: str
    name: str  #: of the object, without a suffix


def write_seal(file: FileIO, checksum: int | None, seal: Seal) -> None:
    """Seal a file, with the checksum of all its bytes before, or with None if they are synced.

    Raises:
        OSError: the disk refused.
        Unreadable: the file has no room for a seal.
    """
    names = f"{seal.study_uid} {seal.name}".encode("ascii")
    kind = _SYNCED if checksum is None else _TOGETHER
    value = b"%b%08x %b" % (kind, add_to_checksum(names, checksum or 0), names)
    value = value.ljust(_VALUE_BYTES, b"\x00")
    if os.pwrite(file.fileno(), value, _place(file)) < len(value):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_seal(path: Path) -> Seal | None:
    """The seal of a file that is whole; None where it has none, or where anything is missing."""
    with FileIO(path) as file:
        try:
            place = _place(file)
        except Unreadable:
            return None
        value = os.pread(file.fileno(), _VALUE_BYTES, place).rstrip(b"\x00")
        kind, said, names = value[:1], value[1:9], value[10:]
        checksum = _checksum(file, place) if kind == _TOGETHER else 0
    if kind not in (_SYNCED, _TOGETHER) or said != b"%08x" % add_to_checksum(names, checksum):
        return None
    study_uid, _, name = names.decode("ascii").partition(" ")
    return Seal(study_uid, name)


def _place(file: FileIO) -> int:
    """Where the seal's bytes lie.

    Raises:
        Unreadable: there is no room for one.
    """
    place = dataset_offset(file) - _VALUE_BYTES
    if os.pread(file.fileno(), len(_ELEMENT), place - len(_ELEMENT)) != _ELEMENT:
        raise Unreadable("the File Meta Information leaves no room for a seal")
    return place


def _checksum(file: FileIO, place: int) -> int:
    """The checksum of a file as it was before it was sealed."""
    file.seek(0)
    head = file.read(place)
    checksum = add_to_checksum(_BLANK, add_to_checksum(head))
    file.seek(place + _VALUE_BYTES)
    while chunk := file.read(_CHUNK_BYTES):
        checksum = add_to_checksum(chunk, checksum)
    return checksum

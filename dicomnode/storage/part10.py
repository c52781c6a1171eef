"""Part 10 files as containers: where the dataset begins, and whether two are the same (PS3.10 7.1).

What a dataset means is the business of `dicom/`.
"""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from dicomnode.errors import Unreadable
from dicomnode.storage.durable import disk_errors

__all__ = ["dataset_offset", "dataset_sha256", "same_dataset", "same_file"]

_CHUNK_BYTES = 1024 * 1024


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


def same_dataset(one: BinaryIO, other: BinaryIO) -> bool:
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


def same_file(one: Path, other: Path) -> bool:
    """Do two files hold the same dataset?"""
    with one.open("rb") as ours, other.open("rb") as theirs:
        return same_dataset(ours, theirs)

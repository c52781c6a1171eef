"""Objects for a store, and how they are kept, settled, and looked at afterwards."""

import os
from collections.abc import Callable
from pathlib import Path

from dicomnode.storage.incoming import Kept
from dicomnode.storage.objects import ObjectStore
from tests.factories import STUDY_UID, make_dataset, make_received, uid

__all__ = ["NAME", "ONE", "OTHER", "dataset", "failing", "files", "keep", "settle_oldest"]

NAME = uid("instance", 1)
ONE = make_received(make_dataset(1))
OTHER = make_received(make_dataset(1, PatientID="SYN-0002"))


def keep(store: ObjectStore, data: bytes, *, name: str = NAME, keep_both: bool = False) -> Kept:
    with store.begin() as incoming:
        incoming.write(data)
        return incoming.keep(STUDY_UID, name, keep_both=keep_both)


def settle_oldest(store: ObjectStore) -> Path:
    [path] = store.waiting(1)
    return store.settle(path, STUDY_UID)


def files(folder: Path) -> list[str]:
    """All that is kept: what lies in `landing/` is not, nor is the file of locks."""
    there = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in there if path.parts[0] not in ("landing", "names.lock"))


def dataset(file: Path | bytes) -> bytes:
    """What follows the File Meta Information, which is sealed."""
    data = file.read_bytes() if isinstance(file, Path) else file
    return data[144 + int.from_bytes(data[140:144], "little") :]


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail

"""Messages about storage commitment that are answered for and not yet worked through.

A receiver writes each into `commitments/`, a file of its own, and has it and its name synced before
it answers 0x0000; the node's main process takes them up from there, whenever it runs again.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from dicomnode.errors import StoreFull, Unreadable
from dicomnode.records import CommitmentMessage
from dicomnode.storage.durable import disk_errors, sync_folder, write_once

__all__ = ["Spool", "put_at"]

_MOST_WAITING = 1000  #: messages of one caller, who is then told to come again later
_TIME = "[0-9]" * 20  #: a file's name begins with it, in nanoseconds
_HEX = re.compile("([0-7][0-9a-f])+")


class Spool:
    """The folder of waiting messages below the node's folder of objects."""

    def __init__(self, folder: Path) -> None:
        self._storage = folder
        self._folder = folder / "commitments"
        self._partial = folder / "partial"

    def put(self, message: CommitmentMessage) -> None:
        """Keep a message durably.

        Raises:
            StoreError: the disk refused; StoreFull when there is no room, or too many wait.
        """
        name = f"{time.time_ns():020d}-{_hex(message.calling_ae)}-{uuid4().hex}"
        header = asdict(message)
        dataset = header.pop("dataset")
        partial = self._partial / f"{os.getpid()}.{name}"  # dropped when this process dies
        with disk_errors():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if len(self.waiting(message.calling_ae)) >= _MOST_WAITING:
                raise StoreFull(f"{_MOST_WAITING} messages about storage commitment wait already")
            data = json.dumps(header).encode() + b"\n" + dataset
            write_once(partial, self._folder / name, data)
            sync_folder(self._folder)
            sync_folder(self._storage)

    def waiting(self, calling_ae: str) -> list[Path]:
        """What came from this AE and waits, oldest first."""
        with disk_errors():
            return sorted(self._all(_hex(calling_ae)))

    def callers(self) -> set[str]:
        """Who sent what waits."""
        with disk_errors():
            found = {path.name.split("-")[1] for path in self._all("*")}
        return {bytes.fromhex(name).decode() for name in found if _HEX.fullmatch(name)}

    def read(self, path: Path) -> CommitmentMessage:
        """One message that waits.

        Raises:
            StoreError: it cannot be read.
            Unreadable: it is not what `put` wrote.
        """
        with disk_errors(path):
            header, _, dataset = path.read_bytes().partition(b"\n")
        try:
            return CommitmentMessage(**json.loads(header), dataset=dataset)
        except (TypeError, ValueError) as error:
            raise Unreadable(f"{path.name} in commitments/ is damaged") from error

    def remove(self, path: Path) -> None:
        """Forget a message that is done with; that it may come back does no harm."""
        with disk_errors():
            path.unlink(missing_ok=True)

    def _all(self, caller: str) -> Iterator[Path]:
        return self._folder.glob(f"{_TIME}-{caller}-*")


def put_at(path: Path) -> datetime:
    """When a message was put into the spool; aware, UTC."""
    return datetime.fromtimestamp(int(path.name.partition("-")[0]) / 1e9, UTC)


def _hex(calling_ae: str) -> str:
    """An AE title as it stands in the name of a file."""
    return calling_ae.encode().hex()

"""Where objects come down: blank files, made and named ahead of need.

An object that is written into a file whose name is durable already is durable with one sync, of its
bytes. The name it gets in the inbox need not be: if that is lost, the file is found here, and its
seal tells what it is. Once the inbox was synced, the name here goes. One thread makes blanks and
tidies up, for as long as there is something to do.
"""

import os
import threading
from collections import deque
from contextlib import suppress
from io import FileIO
from pathlib import Path
from uuid import uuid4

from dicomnode.storage.durable import FolderSync

__all__ = ["Landing"]

_BLANKS = 64  #: kept in stock
_MANY_LANDED = 64  #: these are tidied up at once
_REST_S = 0.5  #: fewer wait so long
_BROKEN_WAIT_S = 5.0  #: for a disk that refuses, unless another object comes


class Landing:
    """The blanks of one process in one folder; made when the first is taken."""

    def __init__(self, folder: Path, inbox: FolderSync) -> None:
        self.folder = folder
        self._names = FolderSync(folder)
        self._inbox = inbox
        self._stock: deque[Path] = deque()
        self._landed: list[Path] = []  #: files that have their name in the inbox
        self._thread: threading.Thread | None = None  #: that makes and tidies up; may have died
        self._changed = threading.Condition()

    def take(self) -> FileIO:
        """An empty file under a durable name, for an object; OSError where there can be none."""
        while (blank := self._from_stock()) is not None:
            with suppress(FileNotFoundError):  # somebody tidied up here
                return FileIO(blank, "r+")
        return FileIO(self._make(1).pop(), "r+")

    def _from_stock(self) -> Path | None:
        with self._changed:
            blank = self._stock.popleft() if self._stock else None
            self._see_to_it()
        return blank

    def landed(self, path: Path) -> None:
        """A file has its name in the inbox, which is not durable yet."""
        with self._changed:
            self._landed.append(path)
            self._see_to_it()

    def __del__(self) -> None:
        for blank in self._stock:
            with suppress(OSError):
                blank.unlink()

    def left(self) -> list[Path]:
        """What is here of processes that are gone, and of this one."""
        return list(self.folder.iterdir())

    def clear(self, pid: int | None = None) -> None:
        """Remove what a process left, or all did, when the inbox has what it should of it."""
        left = [path for path in self.left() if pid is None or path.name.startswith(f"{pid}.")]
        self._tidy(left)

    def _see_to_it(self) -> None:
        """Have a thread that does what is to be done."""
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._work, name="landing", daemon=True)
            with suppress(RuntimeError):  # no thread is to be had: the next object may have one
                thread.start()
                self._thread = thread
        elif self._is_urgent():
            self._changed.notify()

    def _is_urgent(self) -> bool:
        return len(self._stock) <= _BLANKS // 2 or len(self._landed) >= _MANY_LANDED

    def _work(self) -> None:
        """Fill the stock and tidy up, until nothing came for a while."""
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        """Do what is to be done, and rest; False where there is nothing."""
        with self._changed:
            landed = list(self._landed)
            wanted = _BLANKS - len(self._stock)
            if not landed and not wanted:
                self._thread = None
                return False
        try:
            self._fill(wanted)
            self._tidy(landed)
        except OSError:  # the next object will complain, if the disk is not well by then
            with self._changed:
                self._changed.wait(_BROKEN_WAIT_S)
        else:
            with self._changed:
                del self._landed[: len(landed)]
                self._changed.wait_for(self._is_urgent, _REST_S)
        return True

    def _fill(self, wanted: int) -> None:
        made = self._make(wanted) if wanted else []
        with self._changed:
            self._stock.extend(made)

    def _tidy(self, landed: list[Path]) -> None:
        """Make the names in the inbox durable, and remove those here."""
        if landed:
            self._inbox.sync()
        for path in landed:
            path.unlink(missing_ok=True)

    def _make(self, count: int) -> list[Path]:
        """So many blanks, with one sync."""
        made: list[Path] = []
        try:
            for _ in range(count):
                made.append(self.folder / f"{os.getpid()}.{uuid4().hex}")
                made[-1].touch(0o600, exist_ok=False)
            self._names.sync()
        except OSError:
            for blank in made:
                with suppress(OSError):
                    blank.unlink()
            raise
        return made

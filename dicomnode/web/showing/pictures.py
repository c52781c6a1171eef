"""Pictures of what the worklist has: drawn in processes of their own, and remembered for a while.

They are kept in memory only: a study that retention removes leaves no picture on the disk.
"""

import json
import subprocess
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from queue import Empty, LifoQueue

from dicomnode.errors import DicomnodeError, NotAnalysable, StoreError

__all__ = ["Busy", "Picture", "Pictures"]

_PAINTERS = 2
_LONGEST_S = 30.0  #: that a picture may take
_PATIENCE_S = 60.0  #: that somebody waits for a painter
_WAITING = 30  #: at once: each holds one of the 40 threads that answer requests
_KEPT_BYTES = 64 << 20
_BUSY = "too many pictures are drawn just now; try again in a minute"


class Busy(DicomnodeError):
    """So many pictures are being drawn that this one has to wait."""

    retry = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG."""

    data: bytes
    etag: str  #: follows from the object, the frame and the size


@dataclass(frozen=True, slots=True)
class _Key:
    path: Path
    changed_ns: int
    frame: int
    side: int


class Pictures:
    """Draws pictures, a few at a time; may be asked by many threads."""

    def __init__(self, painters: int = _PAINTERS, longest_s: float = _LONGEST_S) -> None:
        self._free: LifoQueue[_Painter] = LifoQueue()
        for _ in range(painters):
            self._free.put(_Painter(longest_s))
        self._waiting = threading.BoundedSemaphore(_WAITING)
        self._kept: OrderedDict[_Key, Picture] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def draw(self, path: Path, frame: int, side: int) -> Picture:
        """A frame (from 1) of an object; its longer side has `side` pixels at most, 0: all.

        Raises:
            StoreError: the object is gone.
            NotAnalysable: it cannot be drawn; says why.
            Busy: too many are drawn just now.
        """
        try:
            key = _Key(path, path.stat().st_mtime_ns, frame, side)
        except OSError as error:
            raise StoreError(f"the object cannot be read: {error.strerror}") from error
        if (known := self._remembered(key)) is not None:
            return known
        with self._painter() as painter:
            data = painter.paint(path, frame, side)
        name = f"{path.name}/{key.changed_ns}/{frame}/{side}"
        picture = Picture(data=data, etag=f'"{sha256(name.encode()).hexdigest()[:32]}"')
        self._remember(key, picture)
        return picture

    def close(self) -> None:
        """End its processes; they would be started again."""
        for painter in list(self._free.queue):
            painter.close()

    @contextmanager
    def _painter(self) -> Iterator["_Painter"]:
        if not self._waiting.acquire(blocking=False):
            raise Busy(_BUSY)
        try:
            painter = self._free.get(timeout=_PATIENCE_S)
        except Empty:
            raise Busy(_BUSY) from None
        finally:
            self._waiting.release()
        try:
            yield painter
        finally:
            self._free.put(painter)

    def _remembered(self, key: _Key) -> Picture | None:
        with self._lock:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
            return found

    def _remember(self, key: _Key, picture: Picture) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = picture
                self._bytes += len(picture.data)
            while self._bytes > _KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.data)


class _Painter:
    """One process, started when it is first needed, and again when it died."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        if self._process is not None:
            _end(self._process)

    def paint(self, path: Path, frame: int, side: int) -> bytes:
        process = self._running()
        late = threading.Timer(self._longest_s, process.kill)
        late.start()
        try:
            return _ask(process, {"path": str(path), "frame": frame, "side": side})
        finally:
            late.cancel()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dicomnode.web.showing.painter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what libraries say of an image may name a patient
        )
        weakref.finalize(self, _end, self._process)
        return self._process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()


def _ask(process: "subprocess.Popen[bytes]", order: dict[str, object]) -> bytes:
    """NotAnalysable where it cannot be drawn, or the painter died of it."""
    assert process.stdin is not None  # noqa: S101  both are pipes
    assert process.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
    line = process.stdout.readline()
    said = json.loads(line) if line.endswith(b"\n") else {}
    if "problem" in said:
        raise NotAnalysable(said["problem"])
    data = process.stdout.read(said["bytes"]) if said else b""
    if not said or len(data) < said["bytes"]:
        _end(process)
        raise NotAnalysable("the picture takes too long to draw, or too much memory")
    return data

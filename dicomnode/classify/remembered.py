"""Answers that were given early, while a study was still coming in: some, not all, and for a while.

Kept in memory only, the least recently used go first. Safe to use from several threads.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dicomnode.classify.samples.look import Look, Outcome
from dicomnode.classify.samples.preprocess import Prepared
from dicomnode.errors import NotAnalysable

__all__ = ["Known", "Remembered"]

_MOST_BYTES = 256 * 1024 * 1024
_LEAST_BYTES = 2048  #: that an image takes, whatever came of it

_Key = tuple[Path, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """What is known of one image."""

    frames: int  #: how many it has; 0: it is no image
    misfit: NotAnalysable | None = None  #: why its header is of no image that the model is for
    outcomes: Mapping[int, Outcome] | None = None  #: by number of the frame, from 1; None: not yet

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        looks = [told for told in (self.outcomes or {}).values() if isinstance(told, Look)]
        samples = [look.sample for look in looks if isinstance(look.sample, Prepared)]
        return _LEAST_BYTES * (1 + len(looks)) + sum(sample.tensor.nbytes for sample in samples)


class Remembered:
    """What is known of images, by file; a file that was replaced is another."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._known: OrderedDict[_Key, Known] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, image: object) -> Known | None:
        """What is known of an image; None where nothing is, or it is no file."""
        if (key := _key(image)) is None:
            return None
        with self._lock:
            if key not in self._known:
                return None
            self._known.move_to_end(key)
            return self._known[key]

    def keep(self, image: Path, known: Known) -> None:
        """Remember an image, and forget others if there is no room."""
        if (key := _key(image)) is None or known.size_bytes > self._most_bytes:
            return
        with self._lock:
            if (before := self._known.pop(key, None)) is not None:
                self._held_bytes -= before.size_bytes
            self._known[key] = known
            self._held_bytes += known.size_bytes
            while self._held_bytes > self._most_bytes:
                _, oldest = self._known.popitem(last=False)
                self._held_bytes -= oldest.size_bytes


def _key(image: object) -> _Key | None:
    if not isinstance(image, Path):
        return None
    try:
        found = image.stat()
    except OSError:
        return None
    return image, found.st_ino, found.st_size, found.st_mtime_ns

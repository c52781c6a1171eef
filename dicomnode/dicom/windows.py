"""An encoded dataset seen through a window that moves forwards: memory stays small, however large.

Knows nothing of elements: `dicom/walker.py` walks over what is shown.
"""

import zlib
from typing import BinaryIO, Protocol

from dicomnode.errors import TooLarge, Unreadable

__all__ = ["ENDLESS", "InflatedWindow", "PlainWindow", "Window"]

ENDLESS = 1 << 62  #: the size of what ends nobody knows where

_FIRST_BYTES = 16 * 1024  #: most headers are shorter
_MOST_BYTES = 256 * 1024
_AFTER_A_JUMP_BYTES = 1024  #: behind a long value comes another, as a rule

_FREELY_BYTES = 64 * 1024 * 1024  #: a deflated dataset may grow to this whatever its size
_MOST_GROWTH = 100  #: and beyond it to so many times the bytes it came as; images reach 10


class Window(Protocol):
    """Some bytes of a dataset, and where they stand in it."""

    data: bytes
    base: int  #: the position of the first byte shown; the dataset begins at 0
    end: int  #: the position behind the last byte shown
    size: int  #: of the dataset; ENDLESS where only reading it tells

    def show(self, at: int, count: int) -> None:
        """Move on, so that `count` bytes from `at` are shown, if there are so many.

        They are few: a header, or a UID.
        """


class PlainWindow:
    """A file, from where it stands to its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()
        self._next_bytes = _FIRST_BYTES
        self.size = file.seek(0, 2) - self._start
        self.data = b""
        self.base = self.end = 0

    def show(self, at: int, count: int) -> None:
        if at > self.end:
            self._next_bytes = _AFTER_A_JUMP_BYTES
        self._file.seek(self._start + at)
        self.data = self._file.read(max(count, self._next_bytes))
        self.base = at
        self.end = at + len(self.data)
        self._next_bytes = min(4 * self._next_bytes, _MOST_BYTES)


class InflatedWindow:
    """A deflated dataset (PS3.5 A.5), inflated a little at a time and never beyond its limits."""

    size = ENDLESS

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed = 0  #: how many bytes were read
        self.data = b""
        self.base = self.end = 0

    def show(self, at: int, count: int) -> None:
        while self.end < at + count:
            left = self.data[max(0, at - self.base) :]
            more = self._inflate()
            self.data = left + more
            self.end += len(more)
            self.base = self.end - len(self.data)
            if not more:
                return

    def _inflate(self) -> bytes:
        """The next bytes; none at the end of the stream."""
        more = b""
        while not more and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._read()
            try:
                more = self._inflater.decompress(packed, _MOST_BYTES)
            except zlib.error as error:
                raise Unreadable("the deflated dataset cannot be inflated") from error
            if not packed and not more:
                raise Unreadable("the deflated dataset ends before its declared length")
        inflated = self.end + len(more)
        if inflated > self._max_bytes:
            raise TooLarge(f"the dataset inflates to more than {self._max_bytes} bytes")
        if inflated > _FREELY_BYTES + _MOST_GROWTH * self._packed:
            raise TooLarge(f"the dataset inflates to more than {_MOST_GROWTH} times its size")
        return more

    def _read(self) -> bytes:
        packed = self._file.read(_MOST_BYTES)
        self._packed += len(packed)
        return packed

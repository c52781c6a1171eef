"""Walk over an encoded dataset: does it end where it says, and which object does it say it is?

Values are skipped, not read, so an object of gigabytes costs a few kilobytes; nothing recurses, so
no nesting can exhaust the stack. Sequences of defined length are skipped whole.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal, Protocol

from dicomnode.dicom.sop_classes import Encoding, encoding_of
from dicomnode.errors import TooLarge, Unreadable
from dicomnode.records import InstanceRef

__all__ = ["read_identity"]

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = 0xFFFE
_PIXEL_DATA = 0x7FE00010
_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_WANTED = frozenset({_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES})
_DEEPEST = 64  #: sequences inside sequences; real objects stay under 20
_MOST_ELEMENTS = 2_000_000  #: seconds of work; an enhanced CT of 5,000 frames has 500,000
_LONGEST_UID = 128  #: twice what PS3.5 section 9.1 allows, for padding

_SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)  #: with a length of 16 bits (PS3.5 Table 7.1-2)
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  #: 32 bits, Table 7.1-1


def read_identity(
    file: BinaryIO, start: int, transfer_syntax_uid: str, *, max_inflated_bytes: int
) -> InstanceRef:
    """Walk the dataset that begins at `start` to its end; return what it says it is.

    A UID that is missing comes back empty. Unreadable when an element reaches past the end, when
    two elements name different objects, or when this is no dataset at all.
    """
    encoding = encoding_of(transfer_syntax_uid)
    file.seek(start)
    source = _Inflated(file, max_inflated_bytes) if encoding.deflated else _Plain(file)
    found: dict[int, str] = {}
    for tag, value in _Walker(source, encoding).wanted():
        uid = value.rstrip(b"\x00 ").decode("ascii", "replace").strip()
        if found.setdefault(tag, uid) != uid:
            raise Unreadable("the dataset names itself twice, differently")
    return InstanceRef(
        sop_class_uid=found.get(_SOP_CLASS, ""),
        sop_instance_uid=found.get(_SOP_INSTANCE, ""),
        series_uid=found.get(_SERIES, ""),
        study_uid=found.get(_STUDY, ""),
    )


class _Source(Protocol):
    """Bytes that are read once, forwards."""

    def read(self, count: int) -> bytes:
        """As many bytes, or fewer at the end."""

    def skip(self, count: int) -> None:
        """Pass over bytes; Unreadable when there are fewer."""


class _Plain:
    """A file, passed over by seeking."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = file.tell()
        self._end = file.seek(0, 2)
        file.seek(self._at)

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        self._at += len(data)
        return data

    def skip(self, count: int) -> None:
        self._at += count
        if self._at > self._end:
            raise _ends_early()
        self._file.seek(self._at)


class _Inflated:
    """A deflated dataset (PS3.5 A.5), inflated a little at a time and never beyond a limit."""

    _STEP_BYTES = 64 * 1024

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ready = b""
        self._at = 0  #: how much of `_ready` was read
        self._inflated = 0

    def read(self, count: int) -> bytes:
        data = self._ready[self._at : self._at + count]
        self._at += len(data)
        while len(data) < count and self._inflate():
            self._at = min(count - len(data), len(self._ready))
            data += self._ready[: self._at]
        return data

    def skip(self, count: int) -> None:
        while count > len(self._ready) - self._at:
            count -= len(self._ready) - self._at
            if not self._inflate():
                raise _ends_early()
        self._at += count

    def _inflate(self) -> bool:
        """Make the next bytes ready; False at the end of the stream."""
        self._ready, self._at = b"", 0
        while not self._ready and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._file.read(self._STEP_BYTES)
            try:
                self._ready = self._inflater.decompress(packed, self._STEP_BYTES)
            except zlib.error as error:
                raise Unreadable("the deflated dataset cannot be inflated") from error
            if not packed and not self._ready:
                raise _ends_early()
        self._inflated += len(self._ready)
        if self._inflated > self._max_bytes:
            raise TooLarge(f"the dataset inflates to more than {self._max_bytes} bytes")
        return bool(self._ready)


@dataclass(frozen=True, slots=True)
class _Level:
    """One sequence or item that was entered and ends with a delimiter."""

    is_item: bool
    implicit_vr: bool
    little_endian: bool
    fragments: bool = False  #: encapsulated pixel data: its items hold bytes, not elements


class _Walker:
    """Goes from element to element, into sequences of undefined length and out again."""

    def __init__(self, source: _Source, encoding: Encoding) -> None:
        self._source = source
        self._top = _Level(True, encoding.implicit_vr, encoding.little_endian)
        self._open: list[_Level] = []
        self._first = True  #: is the next element the first of its item?

    def wanted(self) -> Iterator[tuple[int, bytes]]:
        """Walk to the end; give the wanted elements of the top level with their values."""
        seen = 0
        while header := self._header():
            seen += 1
            if seen > _MOST_ELEMENTS:
                raise Unreadable(f"the dataset has more than {_MOST_ELEMENTS} elements")
            level = self._open[-1] if self._open else self._top
            order = _order(level)
            tag = int.from_bytes(header[:2], order) << 16 | int.from_bytes(header[2:4], order)
            if tag >> 16 == _DELIMITERS:
                self._delimiter(tag, int.from_bytes(header[4:], order))
                continue
            if not level.is_item:
                raise Unreadable("a sequence holds something that is not an item")
            level = self._as_written(level, header)
            vr, length = self._vr_and_length(level, header)
            if length == _UNDEFINED:
                self._enter_sequence(level, tag, vr)
            elif tag in _WANTED and not self._open:
                yield tag, self._value(length)
            else:
                self._source.skip(length)

    def _header(self) -> bytes:
        """Tag, and VR and length or length; empty at the end of the dataset."""
        header = self._source.read(8)
        if len(header) == 8:
            return header
        if self._open or header.strip(b"\x00"):
            raise _ends_early()
        return b""

    def _value(self, length: int) -> bytes:
        if length > _LONGEST_UID:
            raise Unreadable("a UID of the dataset is longer than any UID")
        return _exactly(self._source, length)

    def _delimiter(self, tag: int, length: int) -> None:
        """Item, Item Delimitation or Sequence Delimitation (PS3.5 section 7.5)."""
        level = self._open[-1] if self._open else None
        if tag == _ITEM and level and not level.is_item and length == _UNDEFINED:
            if level.fragments:
                raise Unreadable("a fragment of encapsulated pixel data has no length")
            self._enter(_Level(True, level.implicit_vr, level.little_endian))
        elif length == _UNDEFINED:
            raise Unreadable("an item stands where none can be")
        else:
            self._source.skip(length)
            if tag == _SEQUENCE_END:
                self._leave_sequence()
            elif tag == _ITEM_END and level and level.is_item:
                self._open.pop()

    def _leave_sequence(self) -> None:
        """Some writers forget the delimiter of the last item; one at the top level is a stray."""
        if self._open and self._open[-1].is_item:
            self._open.pop()
        if self._open:
            self._open.pop()

    def _enter_sequence(self, level: _Level, tag: int, vr: bytes) -> None:
        """What has no length is a sequence, or pixel data in fragments (PS3.5 A.4).

        Inside an undefined-length UN everything is Implicit VR Little Endian (PS3.5 6.2.2).
        """
        unknown = vr == b"UN"
        self._enter(
            _Level(
                False,
                level.implicit_vr or unknown,
                level.little_endian or unknown,
                fragments=tag == _PIXEL_DATA,
            )
        )

    def _enter(self, level: _Level) -> None:
        self._open.append(level)
        self._first = True
        if len(self._open) > 2 * _DEEPEST:
            raise Unreadable(f"sequences are nested more than {_DEEPEST} deep")

    def _as_written(self, level: _Level, header: bytes) -> _Level:
        """Believe the first element of an item, not the transfer syntax, where they disagree."""
        if not self._first:
            return level
        self._first = False
        explicit = _is_vr(header[4:6])
        if level.implicit_vr != explicit or not level.little_endian:
            return level
        level = replace(level, implicit_vr=not explicit)
        if self._open:
            self._open[-1] = level
        else:
            self._top = level
        return level

    def _vr_and_length(self, level: _Level, header: bytes) -> tuple[bytes, int]:
        """The VR, empty where it is implicit, and the length (PS3.5 section 7.1)."""
        order = _order(level)
        vr = header[4:6]
        if level.implicit_vr or not _is_vr(vr):
            return b"", int.from_bytes(header[4:], order)
        short = int.from_bytes(header[6:], order)
        if vr in _SHORT_VRS or (vr not in _LONG_VRS and short):
            return vr, short
        return vr, int.from_bytes(_exactly(self._source, 4), order)


def _order(level: _Level) -> Literal["little", "big"]:
    return "little" if level.little_endian else "big"


def _is_vr(code: bytes) -> bool:
    return code.isalpha() and code.isupper()


def _exactly(source: _Source, count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise _ends_early()
    return data


def _ends_early() -> Unreadable:
    return Unreadable("the dataset ends before its declared length")

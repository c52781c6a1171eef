"""Walk over an encoded dataset: does it end where it says, and which object does it say it is?

Values are skipped, not read, so an object of gigabytes costs a few kilobytes; nothing recurses, so
no nesting can exhaust the stack. This runs for each object before it is acknowledged, so the common
element, one that is neither wanted nor a sequence, is passed over in a loop of few steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from struct import Struct
from typing import Any, BinaryIO, Literal

from pydicom._dicom_dict import DicomDictionary

from dicomnode.dicom.sop_classes import encoding_of
from dicomnode.dicom.windows import InflatedWindow, PlainWindow, Window
from dicomnode.errors import Unreadable
from dicomnode.records import InstanceRef

__all__ = ["read_identity"]

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = frozenset({_ITEM, _ITEM_END, _SEQUENCE_END})
_PIXEL_DATA = 0x7FE00010
_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_UIDS = frozenset({_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES})
_SAMPLES, _FRAMES, _ROWS, _COLUMNS, _BITS = (
    0x00280002,
    0x00280008,
    0x00280010,
    0x00280011,
    0x00280100,
)
_SIZES = frozenset({_SAMPLES, _FRAMES, _ROWS, _COLUMNS, _BITS})
_SEQUENCES = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")

_DEEPEST = 64  #: sequences inside sequences; real objects stay under 20
_MOST_ELEMENTS = 1_000_000  #: a second of work; an enhanced CT of 5,000 frames has 500,000
_LONGEST_UID = 128  #: twice what PS3.5 section 9.1 allows, for padding

_RLE_LOSSLESS = "1.2.840.10008.1.2.5"
_RLE_GROWTH = 64  #: two bytes become 128 at most (PS3.5 G.3.1)
_RLE_SLACK_BYTES = 64 * 1024

_SHORT_VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
_LONG_VRS = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()  #: 32 bits, PS3.5 Table 7.1-1


def read_identity(
    file: BinaryIO, start: int, transfer_syntax_uid: str, *, max_inflated_bytes: int
) -> InstanceRef:
    """Walk the dataset that begins at `start` to its end; return what it says it is.

    A UID that is missing comes back empty.

    Raises:
        Unreadable: an element or an item reaches past the end of what holds it, two elements name
            different objects, the pixels cannot be what they claim, or this is no dataset at all.
        TooLarge: it inflates beyond the limit, or beyond belief.
    """
    encoding = _encoding_of(transfer_syntax_uid)
    file.seek(start)
    window: Window
    window = InflatedWindow(file, max_inflated_bytes) if encoding.deflated else PlainWindow(file)
    rle = transfer_syntax_uid == _RLE_LOSSLESS
    coding = _coding(
        explicit=not encoding.implicit_vr,
        order="little" if encoding.little_endian else "big",
        wanted=_UIDS | _SIZES if rle else _UIDS,
    )
    walker = _Walker(window, coding)
    walker.walk()
    if rle:
        _check_rle(walker.found, walker.fragment_bytes)
    return InstanceRef(
        sop_class_uid=_uid(walker.found.get(_SOP_CLASS)),
        sop_instance_uid=_uid(walker.found.get(_SOP_INSTANCE)),
        series_uid=_uid(walker.found.get(_SERIES)),
        study_uid=_uid(walker.found.get(_STUDY)),
    )


_encoding_of = lru_cache(maxsize=256)(encoding_of)


def _uid(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\x00 ").decode("ascii", "replace").strip()


def _check_rle(found: dict[int, bytes], fragment_bytes: int) -> None:
    """Refuse an image that claims more pixels than its encoded bytes can hold."""
    numbers = {tag: int.from_bytes(found.get(tag, b""), "little") for tag in _SIZES}
    frames = found.get(_FRAMES, b"").strip(b"\x00 ")
    pixels = numbers[_ROWS] * numbers[_COLUMNS] * (numbers[_SAMPLES] or 1)
    claimed = pixels * (numbers[_BITS] or 8) // 8 * (int(frames) if frames.isdigit() else 1)
    if fragment_bytes and claimed > _RLE_GROWTH * fragment_bytes + _RLE_SLACK_BYTES:
        raise Unreadable("the image claims more pixels than its encoded bytes can hold")


@dataclass(frozen=True, slots=True, eq=False)
class _Coding:
    """How elements are written (PS3.5 section 7.1), made ready for a quick loop.

    Tags and VRs are the numbers that `header` makes of their bytes.
    """

    explicit: bool
    order: Literal["little", "big"]
    wanted: frozenset[int]  #: tags as in the standard
    header: Callable[..., tuple[Any, ...]]  #: tag, VR and short length; or tag and length
    long_length: Callable[..., tuple[Any, ...]]
    tag: Callable[..., tuple[Any, ...]]  #: group and element number
    short_vrs: frozenset[int]  #: elements that can be passed over, but for these tags:
    special: frozenset[int]  #: delimiters, wanted ones, and sequences where no VR names them


@lru_cache
def _coding(*, explicit: bool, order: Literal["little", "big"], wanted: frozenset[int]) -> _Coding:
    mark = "<" if order == "little" else ">"
    special = _DELIMITERS | wanted | (frozenset() if explicit else _SEQUENCES)
    swapped = {(tag & 0xFFFF) << 16 | tag >> 16 for tag in special}
    return _Coding(
        explicit=explicit,
        order=order,
        wanted=wanted,
        header=Struct(mark + ("IHH" if explicit else "II")).unpack_from,
        long_length=Struct(mark + "I").unpack_from,
        tag=Struct(mark + "HH").unpack_from,
        short_vrs=frozenset(int.from_bytes(vr, order) for vr in _SHORT_VRS),
        special=frozenset(swapped) if order == "little" else special,
    )


def _pass_explicit(coding: _Coding, data: bytes, at: int, stop: int) -> tuple[int, int]:
    """Go on while elements are plain and begin before `stop`; where that ends, and how many."""
    header, short_vrs, special = coding.header, coding.short_vrs, coding.special
    count = 0
    while at < stop:
        tag, vr, length = header(data, at)
        if vr not in short_vrs or tag in special:
            break
        at += 8 + length
        count += 1
    return at, count


def _pass_implicit(coding: _Coding, data: bytes, at: int, stop: int) -> tuple[int, int]:
    """The same where the VR is not written."""
    header, special = coding.header, coding.special
    count = 0
    while at < stop:
        tag, length = header(data, at)
        if length == _UNDEFINED or tag in special:
            break
        at += 8 + length
        count += 1
    return at, count


class _Kind(Enum):
    """What the inside of a level is made of."""

    ELEMENTS = auto()  #: the dataset itself, or an item
    ITEMS = auto()  #: a sequence
    FRAGMENTS = auto()  #: encapsulated pixel data: its items hold bytes (PS3.5 A.4)


@dataclass(slots=True)
class _Level:
    """The dataset, or one sequence or item that was entered."""

    kind: _Kind
    end: int  #: the position behind it; that of what holds it, where a delimiter ends it
    defined: bool  #: has it a length?
    coding: _Coding


class _Walker:
    """Goes from element to element, into sequences and out again."""

    def __init__(self, window: Window, coding: _Coding) -> None:
        self.found: dict[int, bytes] = {}  #: wanted elements of the top level
        self.fragment_bytes = 0
        self._window = window
        self._at = 0
        self._count = 0
        self._open: list[_Level] = []  #: what holds the present level
        self._level = _Level(_Kind.ELEMENTS, window.size, True, coding)
        self._believe_the_first_element()

    def walk(self) -> None:
        """Go to the end of the dataset."""
        while self._another():
            self._count += 1
            if self._count > _MOST_ELEMENTS:
                raise Unreadable(f"the dataset has more than {_MOST_ELEMENTS} elements")
            self._element()

    # --- from one element to the next -------------------------------------------------------

    def _another(self) -> bool:
        """Pass over plain elements to one that needs a look; False at the end of the dataset."""
        window = self._window
        while True:
            level = self._level
            stop = min(level.end, window.end) - 7
            if level.kind is _Kind.ELEMENTS and self._at < stop:
                self._pass(level.coding, stop)
            if self._at < stop:
                return True
            if level.end - self._at >= 8:
                window.show(self._at, 8)
                if window.end - self._at < 8:
                    return self._end()
            elif not self._leave_at_the_end(level):
                return False

    def _pass(self, coding: _Coding, stop: int) -> None:
        window = self._window
        over = _pass_explicit if coding.explicit else _pass_implicit
        at, count = over(coding, window.data, self._at - window.base, stop - window.base)
        self._at = window.base + at
        self._count += count

    def _leave_at_the_end(self, level: _Level) -> bool:
        """Leave the level that ends here, with what it holds; False where all is at its end."""
        if self._at > level.end:
            raise _reaches_past_the_end()
        if self._at < level.end:
            self._padding(level.end)
        while not self._level.defined:
            self._level = self._open.pop()
        if not self._open:
            if self._level is not level:
                raise _ends_early()
            return False
        self._level = self._open.pop()
        return True

    def _end(self) -> bool:
        """The bytes end in the midst of a level that does not say where it ends."""
        if self._open or self._at > self._window.end:
            raise _ends_early()
        self._padding(self._window.end)
        return False

    def _padding(self, end: int) -> None:
        """Fewer bytes than an element needs are forgiven when they are zeros."""
        if self._bytes(end - self._at).strip(b"\x00"):
            raise _ends_early()
        self._at = end

    def _bytes(self, count: int) -> bytes:
        """The next bytes, or fewer at the end."""
        window = self._window
        if self._at + count > window.end:
            window.show(self._at, count)
        start = self._at - window.base
        return window.data[start : start + count]

    # --- one element ------------------------------------------------------------------------

    def _element(self) -> None:
        level = self._level
        coding = level.coding
        header = self._bytes(12)
        group, number = coding.tag(header)
        if group == 0xFFFE:
            self._at += 8
            self._delimiter(level, number, coding.long_length(header, 4)[0])
            return
        if level.kind is not _Kind.ELEMENTS:
            raise Unreadable("a sequence holds something that is not an item")
        tag = group << 16 | number
        vr, length, size = _vr_and_length(coding, header)
        self._at += size
        if length == _UNDEFINED:
            self._enter_sequence(tag, vr, None)
        elif tag in coding.wanted and not self._open:
            self._note(tag, length)
        elif vr == b"SQ" or (tag in _SEQUENCES and self._an_item_follows(length)):
            self._enter_sequence(tag, vr, length)
        else:
            self._at += length

    def _an_item_follows(self, length: int) -> bool:
        """Where no VR says so, the bytes tell a sequence from a value."""
        return length >= 8 and self._bytes(4) == b"\xfe\xff\x00\xe0"

    def _note(self, tag: int, length: int) -> None:
        if length > _LONGEST_UID:
            raise Unreadable("a UID of the dataset is longer than any UID")
        value = self._bytes(length)
        if len(value) < length:
            raise _ends_early()
        self._at += length
        if _uid(self.found.setdefault(tag, value)) != _uid(value):
            raise Unreadable("the dataset names itself twice, differently")

    def _delimiter(self, level: _Level, number: int, length: int) -> None:
        """Item, Item Delimitation or Sequence Delimitation (PS3.5 section 7.5)."""
        in_sequence = level.kind is _Kind.ITEMS
        if number == _ITEM & 0xFFFF and in_sequence:
            self._enter_item(level.coding, None if length == _UNDEFINED else length)
            return
        if length == _UNDEFINED:
            raise Unreadable("an item or a fragment has no length where it needs one")
        self._at += length
        if level.kind is _Kind.FRAGMENTS:
            self.fragment_bytes += length
        if number == _SEQUENCE_END & 0xFFFF:
            self._leave_sequence()
        elif number == _ITEM_END & 0xFFFF and level.kind is _Kind.ELEMENTS and not level.defined:
            self._level = self._open.pop()

    def _leave_sequence(self) -> None:
        """Some writers forget the delimiter of the last item.

        One that ends nothing is a stray, as are those of sequences and items that have a length.
        """
        if not self._level.defined and self._level.kind is _Kind.ELEMENTS:
            self._level = self._open.pop()
        if not self._level.defined:
            self._level = self._open.pop()

    def _enter_sequence(self, tag: int, vr: bytes, length: int | None) -> None:
        """What has no length is a sequence, or pixel data in fragments (PS3.5 A.4).

        Inside a UN everything is Implicit VR Little Endian (PS3.5 6.2.2).
        """
        coding = self._level.coding
        if vr == b"UN":
            coding = _coding(explicit=False, order="little", wanted=coding.wanted)
        fragments = tag == _PIXEL_DATA and length is None
        self._enter(_Kind.FRAGMENTS if fragments else _Kind.ITEMS, coding, length)

    def _enter_item(self, coding: _Coding, length: int | None) -> None:
        self._enter(_Kind.ELEMENTS, coding, length)
        if length is None or length >= 8:
            self._believe_the_first_element()

    def _enter(self, kind: _Kind, coding: _Coding, length: int | None) -> None:
        end = self._level.end
        if length is not None:
            if self._at + length > end:
                raise _reaches_past_the_end()
            end = self._at + length
        self._open.append(self._level)
        self._level = _Level(kind, end, length is not None, coding)
        if len(self._open) > 2 * _DEEPEST:
            raise Unreadable(f"sequences are nested more than {_DEEPEST} deep")

    def _believe_the_first_element(self) -> None:
        """The bytes of an item, not the transfer syntax, tell whether a VR is written."""
        coding = self._level.coding
        header = self._bytes(8)
        if coding.order == "big" or header[:2] == b"\xfe\xff":
            return
        explicit = _is_vr(header[4:6])
        if explicit != coding.explicit:
            self._level.coding = _coding(explicit=explicit, order="little", wanted=coding.wanted)


def _vr_and_length(coding: _Coding, header: bytes) -> tuple[bytes, int, int]:
    """The VR, empty where it is not written, the length, and the size of the element's header."""
    vr = header[4:6]
    if not coding.explicit or not _is_vr(vr):
        return b"", coding.long_length(header, 4)[0], 8
    short = int.from_bytes(header[6:8], coding.order)
    if vr in _SHORT_VRS or (vr not in _LONG_VRS and short):
        return vr, short, 8
    if len(header) < 12:
        raise _ends_early()
    return vr, coding.long_length(header, 8)[0], 12


def _is_vr(code: bytes) -> bool:
    return code.isalpha() and code.isupper()


def _ends_early() -> Unreadable:
    return Unreadable("the dataset ends before its declared length")


def _reaches_past_the_end() -> Unreadable:
    return Unreadable("an element reaches past the end of its item: what holds it ends before it")

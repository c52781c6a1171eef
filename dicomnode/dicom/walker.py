"""Walk over an encoded dataset from element to element, into sequences and out again.

Values are skipped, not read, so an object of gigabytes costs a few kilobytes; nothing recurses, so
no nesting can exhaust the stack. This runs for each object before it is acknowledged, so the common
element, one that is neither wanted nor a sequence, is passed over in a loop of few steps.
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from dicomnode.dicom.coding import (
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    SEQUENCES,
    UNDEFINED,
    Coding,
    coding_of,
    ends_early,
    is_vr,
)
from dicomnode.dicom.sop_classes import Encoding
from dicomnode.dicom.windows import Window
from dicomnode.errors import Unreadable

__all__ = ["Element", "Walker"]

_PIXEL_DATA = 0x7FE00010
_DEEPEST = 64  #: sequences inside sequences; real objects stay under 20
_MOST_ELEMENTS = 1_250_000  #: a second of work; an enhanced CT of 5,000 frames has 500,000
_A_LOOK = 2  #: for so many elements counts one that cannot be passed over: a sequence, an item


class Element(NamedTuple):
    """One element of the dataset itself, not of its items."""

    tag: int
    vr: bytes  #: empty where it is not written
    value: bytes | None  #: None of a sequence, of fragments, and of a value that is too long
    little_endian: bool


class _Kind(Enum):
    """What the inside of a level is made of."""

    ELEMENTS = auto()  #: the dataset itself, or an item
    ITEMS = auto()  #: a sequence
    FRAGMENTS = auto()  #: encapsulated pixel data: its items hold bytes (PS3.5 A.4)


#: The dataset, or one sequence or item that was entered: its kind; the position behind it (that of
#: what holds it, where a delimiter ends it); whether it has a length; and how it is written.
_Level = tuple[_Kind, int, bool, Coding]


class Walker:
    """Goes through the dataset behind a window, once; `wanted` None means every element."""

    def __init__(
        self, window: Window, encoding: Encoding, wanted: frozenset[int] | None, longest_bytes: int
    ) -> None:
        self.fragment_bytes = 0  #: of encapsulated pixel data, so far
        self._window = window
        self._wanted = wanted
        self._longest_bytes = longest_bytes
        self._at = 0
        self._weight = 0
        self._open: list[_Level] = []  #: what holds the present level
        coding = coding_of(
            explicit=not encoding.implicit_vr,
            order="little" if encoding.little_endian else "big",
            wanted=wanted or frozenset(),
        )
        self._level: _Level = (_Kind.ELEMENTS, window.size, True, coding)

    def elements(self) -> Iterator[Element]:
        """Walk to the end; give the wanted elements of the dataset itself, and its sequences.

        A sequence is given before it is entered.

        Raises:
            Unreadable: something reaches past the end of what holds it, or there is too much of it.
            TooLarge: the dataset is deflated and grows beyond its limits.
        """
        self._believe_the_first_element()
        while self._another():
            self._weight += _A_LOOK
            kind, _, _, coding = self._level
            tag, vr, length, size = coding.header(self._bytes(12))
            self._at += size
            if tag >> 16 == ITEM >> 16:
                self._delimiter(kind, tag, length)
            elif kind is not _Kind.ELEMENTS:
                raise Unreadable("a sequence holds something that is not an item")
            elif (element := self._element(tag, vr, length)) is not None:
                yield element

    # --- from one element to the next -------------------------------------------------------

    def _another(self) -> bool:
        """Pass over plain elements to one that needs a look; False at the end of the dataset."""
        window = self._window
        while True:
            if self._weight > _MOST_ELEMENTS:
                raise Unreadable(f"the dataset has more than {_MOST_ELEMENTS} elements")
            kind, end, _, coding = self._level
            stop = min(end, window.end) - 7
            if kind is _Kind.ELEMENTS and (self._open or self._wanted is not None):
                self._pass(coding, stop - 4)
            if self._at < stop:
                return True
            if end - self._at >= 8:
                window.show(self._at, 8)
                if window.end - self._at < 8:
                    return self._end()
            elif not self._leave_at(end):
                return False

    def _pass(self, coding: Coding, stop: int) -> None:
        """Pass over plain elements that begin before `stop`."""
        window = self._window
        base = window.base
        at, count = coding.pass_over(window.data, self._at - base, stop - base)
        self._at = base + at
        self._weight += count

    def _leave_at(self, end: int) -> bool:
        """Leave the level that ends here, with what it holds; False where all is at its end."""
        if self._at > end:
            raise self._too_long(end)
        if self._at < end:
            self._padding(end)
        whole = True
        while not self._level[2]:
            self._level = self._open.pop()
            whole = False
        if self._open:
            self._level = self._open.pop()
            return True
        if not whole:
            raise ends_early()
        return False

    def _too_long(self, end: int) -> Unreadable:
        """The error for what reaches past the end of what holds it."""
        if end == self._window.size:
            return ends_early()
        return Unreadable("an element or item reaches past the end of what holds it")

    def _end(self) -> bool:
        """The bytes end in the midst of a level that does not say where it ends."""
        if self._open or self._at > self._window.end:
            raise ends_early()
        self._padding(self._window.end)
        return False

    def _padding(self, end: int) -> None:
        """Fewer bytes than an element needs are forgiven when they are zeros."""
        if self._bytes(end - self._at).strip(b"\x00"):
            raise ends_early()
        self._at = end

    def _bytes(self, count: int) -> bytes:
        """The next bytes, or fewer at the end."""
        window = self._window
        if self._at + count > window.end:
            window.show(self._at, count)
        start = self._at - window.base
        return window.data[start : start + count]

    # --- one element ------------------------------------------------------------------------

    def _element(self, tag: int, vr: bytes, length: int) -> Element | None:
        """Enter the sequence, read the wanted value, or pass over it."""
        top = not self._open
        value = None
        wanted = top and (self._wanted is None or tag in self._wanted)
        coding = self._level[3]
        if self._is_sequence(tag, vr, length):
            self._enter_sequence(tag, vr, length)
        elif wanted and length <= self._longest_bytes:
            value = self._value(length)
        else:
            self._at += length
        return Element(tag, vr, value, coding.order == "little") if wanted else None

    def _is_sequence(self, tag: int, vr: bytes, length: int) -> bool:
        """By its VR, by its lack of a length, or by its tag where the bytes do not object."""
        if length == UNDEFINED:
            return True
        if length == 0 or vr == b"SQ":
            return length > 0
        if tag not in SEQUENCES or vr not in (b"", b"UN"):
            return False
        return length >= 8 and self._bytes(4) == b"\xfe\xff\x00\xe0"

    def _value(self, length: int) -> bytes:
        value = self._bytes(length)  # too short at the end: the next step finds it
        self._at += length
        return value

    def _delimiter(self, kind: _Kind, tag: int, length: int) -> None:
        """Item, Item Delimitation or Sequence Delimitation (PS3.5 section 7.5)."""
        if tag == ITEM and kind is _Kind.ITEMS:
            if length:
                self._enter(_Kind.ELEMENTS, self._level[3], length)
                self._believe_the_first_element()
            return
        if length == UNDEFINED:
            raise Unreadable("an item or a fragment has no length where it needs one")
        self._at += length
        if kind is _Kind.FRAGMENTS:
            self.fragment_bytes += length
        if tag == SEQUENCE_END:
            self._leave_sequence()
        elif tag == ITEM_END and kind is _Kind.ELEMENTS and not self._level[2]:
            self._level = self._open.pop()

    def _leave_sequence(self) -> None:
        """Some writers forget the delimiter of the last item.

        One that ends nothing is a stray, as are those of sequences and items that have a length.
        """
        if not self._level[2] and self._level[0] is _Kind.ELEMENTS:
            self._level = self._open.pop()
        if not self._level[2]:
            self._level = self._open.pop()

    def _enter_sequence(self, tag: int, vr: bytes, length: int) -> None:
        """What has no length is a sequence, or pixel data in fragments (PS3.5 A.4).

        Inside a UN everything is Implicit VR Little Endian (PS3.5 6.2.2).
        """
        coding = self._level[3]
        if vr == b"UN":
            coding = coding_of(explicit=False, order="little", wanted=coding.wanted)
        fragments = tag == _PIXEL_DATA and length == UNDEFINED
        self._enter(_Kind.FRAGMENTS if fragments else _Kind.ITEMS, coding, length)

    def _enter(self, kind: _Kind, coding: Coding, length: int) -> None:
        defined = length != UNDEFINED
        end = self._at + length if defined else self._level[1]
        if end > self._level[1]:
            raise self._too_long(self._level[1])
        self._open.append(self._level)
        self._level = (kind, end, defined, coding)
        if len(self._open) > 2 * _DEEPEST:
            raise Unreadable(f"sequences are nested more than {_DEEPEST} deep")

    def _believe_the_first_element(self) -> None:
        """The bytes of an item, not the transfer syntax, tell whether a VR is written."""
        kind, end, defined, coding = self._level
        header = self._bytes(6)
        if coding.order == "big" or header[:2] == b"\xfe\xff":
            return
        explicit = is_vr(header[4:])
        if explicit != coding.explicit:
            coding = coding_of(explicit=explicit, order="little", wanted=coding.wanted)
            self._level = (kind, end, defined, coding)

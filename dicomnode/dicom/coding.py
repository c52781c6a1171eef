"""How the elements of a dataset are written (PS3.5 section 7.1), made ready for quick loops.

Knows single elements only: `dicom/walker.py` walks over whole datasets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any, Literal

from pydicom._dicom_dict import DicomDictionary

from dicomnode.errors import Unreadable

__all__ = [
    "ITEM",
    "ITEM_END",
    "LONG_VRS",
    "SEQUENCES",
    "SEQUENCE_END",
    "SHORT_VRS",
    "UNDEFINED",
    "Coding",
    "ElementHeader",
    "coding_of",
    "ends_early",
    "is_vr",
]

UNDEFINED = 0xFFFFFFFF  #: a length
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D  #: Item Delimitation
SEQUENCE_END = 0xFFFEE0DD  #: Sequence Delimitation

#: Public tags whose VR is SQ, for where the VR is not written.
SEQUENCES = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")

#: VRs by how long the length is that follows them: 16 or 32 bits (PS3.5 Tables 7.1-1 and 7.1-2).
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


#: What stands before a value: its tag, its VR (empty where it is not written), its length, and the
#: size of all this in bytes.
ElementHeader = tuple[int, bytes, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """One of the ways of writing elements; its functions unpack from bytes at a position.

    Tags and VRs are the numbers that `short_header` makes of their bytes.
    """

    explicit: bool
    order: Literal["little", "big"]
    wanted: frozenset[int]  #: tags as in the standard
    short_header: Callable[..., tuple[Any, ...]]  #: tag, VR and short length; or tag and length
    long_length: Callable[..., tuple[Any, ...]]
    group_and_number: Callable[..., tuple[Any, ...]]
    short_vrs: frozenset[int]
    long_vrs: frozenset[int]  #: but for SQ
    special: frozenset[int]  #: tags that are never passed over: delimiters, wanted, sequences

    def pass_over(self, data: bytes, at: int, stop: int) -> tuple[int, int]:
        """Go on while elements are plain and begin before `stop`; where that ends, and how many.

        Plain is what has a length, is no sequence, and is not wanted. Twelve bytes must be there
        behind each position before `stop`.
        """
        over = _pass_explicit if self.explicit else _pass_implicit
        return over(self, data, at, stop)

    def header(self, data: bytes) -> ElementHeader:
        """The header of the element that begins with these 12 bytes; fewer at the end."""
        group, number = self.group_and_number(data)
        tag = group << 16 | number
        vr = data[4:6]
        if group == 0xFFFE or not self.explicit or not is_vr(vr):
            return tag, b"", self.long_length(data, 4)[0], 8
        short = int.from_bytes(data[6:8], self.order)
        if vr in SHORT_VRS or (vr not in LONG_VRS and short):
            return tag, vr, short, 8
        if len(data) < 12:
            raise ends_early()
        return tag, vr, self.long_length(data, 8)[0], 12


@lru_cache
def coding_of(*, explicit: bool, order: Literal["little", "big"], wanted: frozenset[int]) -> Coding:
    """A coding that passes over no element whose tag is wanted; made once for each."""
    mark = "<" if order == "little" else ">"
    special = {ITEM, ITEM_END, SEQUENCE_END} | wanted | SEQUENCES
    swapped = {(tag & 0xFFFF) << 16 | tag >> 16 for tag in special}
    return Coding(
        explicit=explicit,
        order=order,
        wanted=wanted,
        short_header=Struct(mark + ("IHH" if explicit else "II")).unpack_from,
        long_length=Struct(mark + "I").unpack_from,
        group_and_number=Struct(mark + "HH").unpack_from,
        short_vrs=frozenset(int.from_bytes(vr, order) for vr in SHORT_VRS),
        long_vrs=frozenset(int.from_bytes(vr, order) for vr in LONG_VRS if vr != b"SQ"),
        special=frozenset(swapped if order == "little" else special),
    )


def is_vr(code: bytes) -> bool:
    """Could these two bytes be a VR, today's or a future one?"""
    return code.isalpha() and code.isupper()


def ends_early() -> Unreadable:
    """The error for a dataset whose bytes end too soon."""
    return Unreadable("the dataset ends before its declared length")


def _pass_explicit(coding: Coding, data: bytes, at: int, stop: int) -> tuple[int, int]:
    header, short_vrs, special = coding.short_header, coding.short_vrs, coding.special
    count = 0
    while at < stop:
        tag, vr, length = header(data, at)
        if tag in special:
            break
        if vr in short_vrs:
            at += 8 + length
        elif vr in coding.long_vrs:
            (length,) = coding.long_length(data, at + 8)
            if length == UNDEFINED:
                break
            at += 12 + length
        else:
            break
        count += 1
    return at, count


def _pass_implicit(coding: Coding, data: bytes, at: int, stop: int) -> tuple[int, int]:
    header, special = coding.short_header, coding.special
    count = 0
    while at < stop:
        tag, length = header(data, at)
        if length == UNDEFINED or tag in special:
            break
        at += 8 + length
        count += 1
    return at, count

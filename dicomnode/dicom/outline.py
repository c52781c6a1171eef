"""The few attributes of a kept object that a worklist asks for, read as cheaply as can be.

What is usual (little endian, not deflated, elements in order, those asked for in the first bytes of
the file) is read by a short loop. Anything else goes to the careful readers: the walker names the
object, as it did before the object was acknowledged, and pydicom reads the rest. Where pydicom
cannot, the rest is empty: what was acknowledged has its UIDs, whatever else is broken.
"""

import struct
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag

from dicomnode.dicom import attributes
from dicomnode.dicom.coding import ITEM, ITEM_END, LONG_VRS, SHORT_VRS, UNDEFINED
from dicomnode.dicom.elements import (
    IDENTITY,
    SERIES,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    read_identity,
)
from dicomnode.dicom.sop_classes import encoding_of
from dicomnode.dicom.uids import is_uid
from dicomnode.errors import StoreError, Unreadable
from dicomnode.records import InstanceRef

__all__ = ["Outline", "read_outline"]

_WINDOW_BYTES = 64 * 1024
_FILE_META_AT = 132  #: behind preamble and prefix (PS3.10 7.1)
_TRANSFER_SYNTAX, _SOURCE_AE = 0x00020010, 0x00020016
_CHARACTER_SET = 0x00080005
_ALWAYS = IDENTITY | {_CHARACTER_SET}
_DELIMITERS = ITEM >> 16  #: their group
_HEADER = struct.Struct("<HHL")
_PLAIN_VRS = frozenset({"AE", "CS", "DA", "LO", "SH", "UI"})  #: one line, no special rules

_Elements = dict[int, RawDataElement]


class Outline:
    """Who sent an object, what it is, and the attributes that were asked for."""

    def __init__(
        self, calling_ae: str, ref: InstanceRef, elements: _Elements, header: Dataset | None = None
    ) -> None:
        self.calling_ae = calling_ae  #: Source Application Entity Title (0002,0016)
        self.ref = ref
        self._elements = elements
        self._careful = header  #: where the short loop did not do

    @cached_property
    def header(self) -> Dataset:
        """The attributes as a dataset, with perhaps others."""
        return _dataset(self._elements) if self._careful is None else self._careful

    def text(self, keyword: str) -> str:
        """A value as `attributes.text` reads it."""
        if self._careful is None:
            raw = self._elements.get(tag_for_keyword(keyword) or 0)
            line = "" if raw is None else _plain(raw)
            if line is not None:
                return line
        return attributes.text(self.header, keyword)


def read_outline(path: Path, keywords: Iterable[str] = ()) -> Outline:
    """Read a Part 10 file that this node wrote; `keywords` are the attributes asked for.

    UIDs may be missing or wrong: then they come as they are.

    Raises:
        Unreadable: it is no such file, or not even its UIDs can be read.
        StoreError: the disk does not give the file.
    """
    wanted = _ALWAYS.union(filter(None, map(tag_for_keyword, keywords)))
    try:
        with path.open("rb", buffering=0) as file:
            return _read(file, path, wanted)
    except OSError as error:
        raise StoreError(f"the file cannot be read: {error.strerror}") from error


def _read(file: BinaryIO, path: Path, wanted: frozenset[int]) -> Outline:
    window = file.read(_WINDOW_BYTES)
    start, syntax, calling_ae = _file_meta(window)
    try:
        encoding = encoding_of(syntax)
        if encoding.deflated or not encoding.little_endian:
            raise _Unusual
        elements = _chosen(window, start, len(window), wanted, implicit=encoding.implicit_vr)
        return Outline(calling_ae, _ref(elements), elements)
    except (_Unusual, struct.error):
        # It was inflated before it was acknowledged, within the limits of that time.
        ref = read_identity(file, start, syntax, max_inflated_bytes=sys.maxsize)
        return Outline(calling_ae, ref, {}, _carefully(path))


def _carefully(path: Path) -> Dataset:
    try:
        return attributes.read_header(path)
    except Unreadable:
        return Dataset()


def _file_meta(window: bytes) -> tuple[int, str, str]:
    """Where the dataset begins, its transfer syntax, and who sent it (PS3.10 Table 7.1-1)."""
    try:
        if window[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
            raise _Unusual
        start = 144 + int.from_bytes(window[140:144], "little")
        wanted = frozenset({_TRANSFER_SYNTAX, _SOURCE_AE})
        found = _chosen(window, _FILE_META_AT, start, wanted, implicit=False)
    except (_Unusual, struct.error) as error:
        raise Unreadable("not a Part 10 file as this node writes it") from error
    return start, _line(found, _TRANSFER_SYNTAX), _line(found, _SOURCE_AE)


# --- the short loop -------------------------------------------------------------------------


class _Unusual(Exception):
    """The short loop does not know what this is; a careful reader may."""


def _chosen(
    window: bytes, at: int, end: int, wanted: frozenset[int], *, implicit: bool
) -> _Elements:
    """The wanted elements among the top level ones; empty ones and absent ones are left out."""
    found: _Elements = {}
    last = max(wanted)
    for tag, vr, value_at, length in _top_level(window, at, end, implicit=implicit):
        if tag > last:
            break
        if tag in wanted and length:
            value = window[value_at : value_at + length]
            if length == UNDEFINED or vr == b"SQ" or len(value) < length:
                raise _Unusual
            name = None if implicit else vr.decode()
            found[tag] = RawDataElement(
                BaseTag(tag), name, length, value, value_at, implicit, is_little_endian=True
            )
    return found


def _top_level(
    window: bytes, at: int, end: int, *, implicit: bool
) -> Iterator[tuple[int, bytes, int, int]]:
    """Tag, VR, and where the value begins and how long it is, of one element after the other."""
    if implicit and window[at + 4 : at + 6] in SHORT_VRS:
        raise _Unusual  # it is not implicit
    before = 0
    while at < end or end == _WINDOW_BYTES:
        tag, vr, value_at, length = _element(window, at, implicit=implicit)
        if tag <= before or tag >> 16 == _DELIMITERS:
            raise _Unusual
        yield tag, vr, value_at, length
        before = tag
        at = value_at + length
        if length == UNDEFINED:
            at = _behind_sequence(window, value_at, vr, implicit=implicit)


def _element(window: bytes, at: int, *, implicit: bool) -> tuple[int, bytes, int, int]:
    group, number, length = _HEADER.unpack_from(window, at)
    tag = group << 16 | number
    if implicit or group == _DELIMITERS:
        return tag, b"", at + 8, length
    vr = window[at + 4 : at + 6]
    if vr in SHORT_VRS:
        return tag, vr, at + 8, length >> 16
    if vr in LONG_VRS:
        return tag, vr, at + 12, int.from_bytes(window[at + 8 : at + 12], "little")
    raise _Unusual


def _behind_sequence(window: bytes, at: int, vr: bytes, *, implicit: bool) -> int:
    """Where the element behind a sequence of undefined length begins (PS3.5 section 7.5)."""
    if vr == b"UN":
        raise _Unusual  # its inside is written in another way (PS3.5 6.2.2)
    depth = 1  #: odd in a sequence, even in an item
    while depth:
        tag, vr, at, length = _element(window, at, implicit=implicit)
        of_an_item = tag >> 16 != _DELIMITERS or tag == ITEM_END
        if of_an_item != (depth % 2 == 0) or vr == b"UN":
            raise _Unusual
        if tag >> 16 == _DELIMITERS and tag != ITEM:
            depth -= 1
        elif length == UNDEFINED:
            depth += 1
        else:
            at += length
    return at


# --- from bytes to text ---------------------------------------------------------------------


def _ref(elements: _Elements) -> InstanceRef:
    uids = [_line(elements, tag) for tag in (SOP_CLASS, SOP_INSTANCE, SERIES, STUDY)]
    if not all(map(is_uid, uids)):
        raise _Unusual
    sop_class, sop_instance, series, study = uids
    return InstanceRef(
        sop_class_uid=sop_class, sop_instance_uid=sop_instance, series_uid=series, study_uid=study
    )


def _line(elements: _Elements, tag: int) -> str:
    raw = elements.get(tag)
    return "" if raw is None else _plain(raw) or ""


def _plain(raw: RawDataElement) -> str | None:
    """One value in ASCII as `attributes.text` reads it; None where that takes more."""
    value = (raw.value or b"").rstrip(b"\x00 ")
    vr = raw.VR or dictionary_VR(raw.tag)
    if vr not in _PLAIN_VRS or not value.isascii() or b"\\" in value:
        return None
    line = value.decode("ascii")
    return " ".join(line.split()) if line.isprintable() else None


def _dataset(elements: _Elements) -> Dataset:
    """As pydicom makes a dataset of elements that it reads."""
    ds = Dataset({raw.tag: raw for raw in elements.values()})
    charset = elements.get(_CHARACTER_SET)
    if charset is not None:
        with warnings.catch_warnings(), suppress(LookupError, ValueError):
            warnings.simplefilter("ignore")
            names = convert_raw_data_element(charset).value
            ds.set_original_encoding(charset.is_implicit_VR, True, convert_encodings(names))
    return ds

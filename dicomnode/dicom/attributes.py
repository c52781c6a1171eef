"""Careful reading of a dataset: without its pixels, without surprises.

A header is everything before group 5000: curves, functional groups, waveforms, overlays and pixels
come after, and nobody who asks who, what and when needs them. Long values are left out as well.
"""

import warnings
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, FileDataset, Sequence
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from dicomnode.dicom.sop_classes import encoding_of
from dicomnode.errors import StoreError, Unreadable

__all__ = ["MANUFACTURER", "Header", "made_by_us", "read_header", "text"]

#: Manufacturer (0008,0070) of everything this node makes; by it results that come back are known.
MANUFACTURER = "dicomnode"

Header = FileDataset

_HEADER_ENDS = 0x50000000
_UNDEFINED = 0xFFFFFFFF
_LONGEST_VALUE_BYTES = 1024 * 1024
_LONGEST_HEADER_BYTES = 64 * 1024 * 1024  #: of a deflated dataset, inflated
_FILE_META_STARTS = 132 + 12  #: preamble, prefix, and File Meta Information Group Length


def read_header(path: Path) -> Header:
    """Read a Part 10 file up to group 5000, with its file meta.

    Raises:
        Unreadable: it is no DICOM file, or cannot be parsed.
        StoreError: the disk does not give the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(path)
    except OSError as error:
        raise StoreError(f"the file cannot be read: {error.strerror}") from error
    except Exception as error:  # pydicom raises whatever a broken file makes Python raise
        raise Unreadable(f"the header cannot be parsed: {type(error).__name__}") from error


def text(ds: Dataset, keyword: str) -> str:
    """A value as one printable line, many values joined by backslashes; empty when it has none.

    Never raises. Bytes outside ASCII without a declared character set are UTF-8 where they can be.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = _undeclared(ds, keyword) or ds.get(keyword)
            if isinstance(value, MultiValue):
                value = "\\".join(str(each) for each in value)
            line = "" if value is None or isinstance(value, bytes | Sequence) else str(value)
    except Exception:  # noqa: BLE001  # a broken value is an empty one
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in line).split())


def made_by_us(ds: Dataset) -> bool:
    """Is this a result of this software, that came back?"""
    return text(ds, "Manufacturer") == MANUFACTURER


def _read(path: Path) -> Header:
    meta = read_file_meta_info(path)
    encoding = encoding_of(str(meta.TransferSyntaxUID))
    too_long: list[BaseTag] = []

    def ends(tag: BaseTag, vr: str | None, length: int) -> bool:
        if _LONGEST_VALUE_BYTES < length < _UNDEFINED:
            too_long.append(tag)
        return int(tag) >= _HEADER_ENDS

    with path.open("rb") as file:
        file.seek(_FILE_META_STARTS + int(meta.FileMetaInformationGroupLength))
        ds = read_dataset(
            _inflated(file) if encoding.deflated else file,
            encoding.implicit_vr,
            encoding.little_endian,
            stop_when=ends,
            defer_size=_LONGEST_VALUE_BYTES,
        )
    for tag in too_long:
        ds.pop(tag, None)
    return FileDataset(
        path,
        ds,
        file_meta=meta,
        is_implicit_VR=encoding.implicit_vr,
        is_little_endian=encoding.little_endian,
    )


def _inflated(file: BinaryIO) -> BinaryIO:
    """The beginning of a deflated dataset; a header is never as long as the limit."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    out = BytesIO()
    while not inflater.eof and (left := _LONGEST_HEADER_BYTES - out.tell()) > 0:
        packed = inflater.unconsumed_tail or file.read(64 * 1024)
        if not packed:
            break
        out.write(inflater.decompress(packed, left))
    out.seek(0)
    return out


def _undeclared(ds: Dataset, keyword: str) -> str | None:
    """Text in UTF-8 that does not say so (no Specific Character Set), else None."""
    raw = ds.get_item(keyword)
    if "SpecificCharacterSet" in ds or not isinstance(raw, RawDataElement) or not raw.value:
        return None
    if raw.value.isascii() or b"\x00" in raw.value.rstrip(b"\x00"):
        return None
    try:
        return raw.value.decode("utf-8")
    except UnicodeDecodeError:
        return None

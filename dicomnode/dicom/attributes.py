"""Careful reading of a dataset: without its pixels, without surprises.

A header is everything before group 5000: curves, functional groups, waveforms, overlays and pixels
come after, and nobody who asks who, what and when needs them. Private elements, sequences and long
values are left out as well, so that no object can make reading it costly.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset, FileDataset
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_file_meta_info
from pydicom.tag import BaseTag

from dicomnode.dicom.charsets import text_of
from dicomnode.dicom.elements import IDENTITY, read_elements
from dicomnode.dicom.sop_classes import encoding_of
from dicomnode.dicom.walker import Element
from dicomnode.errors import ObjectRefused, StoreError, Unreadable

__all__ = ["MANUFACTURER", "Header", "read_header", "text"]

#: Manufacturer (0008,0070) of everything this node makes; by it results that come back are known.
MANUFACTURER = "dicomnode"

Header = FileDataset

_HEADER_ENDS = 0x50000000
_PRIVATE = 0x00010000  #: the bit that makes a group number odd (PS3.5 section 7.8)
_LONGEST_VALUE_BYTES = 64 * 1024
_LONGEST_HEADER_BYTES = 16 * 1024 * 1024
_MOST_ELEMENTS = 100_000  #: of a header; each costs half a kilobyte of memory
_FILE_META_STARTS = 132 + 12  #: preamble, prefix, and File Meta Information Group Length


def read_header(path: Path) -> Header:
    """Read a Part 10 file up to group 5000, with its file meta; public elements, no sequences.

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
    except ObjectRefused as error:
        raise Unreadable(str(error)) from error
    except Exception as error:  # pydicom raises whatever a broken file makes Python raise
        raise Unreadable(f"the header cannot be parsed: {type(error).__name__}") from error


def text(ds: Dataset, keyword: str) -> str:
    """A value as one printable line, many values joined by backslashes; empty when it has none.

    Never raises, and leaves the dataset as it came (`dicom/charsets.py`).
    """
    line = text_of(ds, keyword)
    return " ".join("".join(c if c.isprintable() else " " for c in line).split())


def _read(path: Path) -> Header:
    meta = read_file_meta_info(path)
    syntax = str(meta.TransferSyntaxUID)
    encoding = encoding_of(syntax)
    start = _FILE_META_STARTS + int(meta.FileMetaInformationGroupLength)
    with path.open("rb") as file:
        elements = read_elements(file, start, syntax, longest_bytes=_LONGEST_VALUE_BYTES)
        ds = Dataset({element.tag: element for element in _header(elements)})
    charset = ds.get("SpecificCharacterSet")
    ds.set_original_encoding(
        encoding.implicit_vr, encoding.little_endian, convert_encodings(charset)
    )
    return FileDataset(
        path,
        ds,
        file_meta=meta,
        is_implicit_VR=encoding.implicit_vr,
        is_little_endian=encoding.little_endian,
    )


def _header(elements: Iterator[Element]) -> Iterator[RawDataElement]:
    """As pydicom wants them; none that is long, and not so many that they fill the memory.

    What names the object is a UID, whatever VR is written.
    """
    count, size, missing = 0, 0, set(IDENTITY)
    for tag, vr, value, little_endian in elements:
        if tag >= _HEADER_ENDS:
            if not missing:
                break
            continue  # elements out of order: what names the object is yet to come
        if value is None or tag & _PRIVATE:
            continue
        count, size = count + 1, size + len(value)
        if count > _MOST_ELEMENTS or size > _LONGEST_HEADER_BYTES:
            raise Unreadable("the header is larger than any")
        known = "UI" if tag in IDENTITY else vr.decode() or None
        missing.discard(tag)
        yield RawDataElement(BaseTag(tag), known, len(value), value, 0, not vr, little_endian)

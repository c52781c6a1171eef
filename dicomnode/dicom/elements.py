"""What the encoded elements of a dataset say: which object it is, and its values.

`dicom/walker.py` does the walking.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

from dicomnode.dicom.sop_classes import encoding_of
from dicomnode.dicom.walker import Element, Walker
from dicomnode.dicom.windows import ENDLESS, InflatedWindow, PlainWindow, Window
from dicomnode.errors import Unreadable
from dicomnode.records import InstanceRef

__all__ = [
    "IDENTITY",
    "SERIES",
    "SOP_CLASS",
    "SOP_INSTANCE",
    "STUDY",
    "read_elements",
    "read_identity",
]

SOP_CLASS = 0x00080016
SOP_INSTANCE = 0x00080018
STUDY = 0x0020000D
SERIES = 0x0020000E

#: Tags of the UIDs that say which object a dataset is.
IDENTITY = frozenset({SOP_CLASS, SOP_INSTANCE, STUDY, SERIES})

_SAMPLES, _FRAMES, _ROWS = 0x00280002, 0x00280008, 0x00280010
_COLUMNS, _BITS = 0x00280011, 0x00280100
_SIZES = frozenset({_SAMPLES, _FRAMES, _ROWS, _COLUMNS, _BITS})
_LONGEST_BYTES = 128  #: of a wanted value: twice what PS3.5 section 9.1 allows, for padding

_RLE_LOSSLESS = "1.2.840.10008.1.2.5"
_RLE_GROWTH = 64  #: two bytes become 128 at most (PS3.5 G.3.1)
_RLE_SLACK_BYTES = 64 * 1024


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
    rle = transfer_syntax_uid == _RLE_LOSSLESS
    window = _window(file, start, transfer_syntax_uid, max_inflated_bytes)
    wanted = IDENTITY | _SIZES if rle else IDENTITY
    walker = Walker(window, _encoding_of(transfer_syntax_uid), wanted, _LONGEST_BYTES)
    found: dict[int, bytes] = {}
    for tag, _, value, _ in walker.elements():
        if value is None:
            raise Unreadable("a UID of the dataset is longer than any UID")
        said = value.rstrip(b"\x00 ") if tag in IDENTITY else value
        if found.setdefault(tag, said) != said:
            raise Unreadable("the dataset names itself twice, differently")
    if rle:
        _check_rle(found, walker.fragment_bytes)
    return InstanceRef(
        sop_class_uid=_uid(found.get(SOP_CLASS, b"")),
        sop_instance_uid=_uid(found.get(SOP_INSTANCE, b"")),
        series_uid=_uid(found.get(SERIES, b"")),
        study_uid=_uid(found.get(STUDY, b"")),
    )


def read_elements(
    file: BinaryIO, start: int, transfer_syntax_uid: str, *, longest_bytes: int
) -> Iterator[Element]:
    """The elements of the dataset that begins at `start`, in their order; items are passed over.

    Nothing is read beyond what is asked for. A value longer than `longest_bytes` is left out.

    Raises:
        Unreadable, TooLarge: as `read_identity`, once the walk comes so far.
    """
    window = _window(file, start, transfer_syntax_uid, ENDLESS)
    return Walker(window, _encoding_of(transfer_syntax_uid), None, longest_bytes).elements()


_encoding_of = lru_cache(maxsize=256)(encoding_of)


def _window(file: BinaryIO, start: int, transfer_syntax_uid: str, max_bytes: int) -> Window:
    file.seek(start)
    if _encoding_of(transfer_syntax_uid).deflated:
        return InflatedWindow(file, max_bytes)
    return PlainWindow(file)


def _uid(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" ")


def _check_rle(found: dict[int, bytes], fragment_bytes: int) -> None:
    """Refuse an image that claims more pixels than its encoded bytes can hold."""
    numbers = {tag: int.from_bytes(found.get(tag, b""), "little") for tag in _SIZES}
    frames = found.get(_FRAMES, b"").strip(b"\x00 ")
    pixels = numbers[_ROWS] * numbers[_COLUMNS] * (numbers[_SAMPLES] or 1)
    claimed = pixels * (numbers[_BITS] or 8) // 8 * (int(frames) if frames.isdigit() else 1)
    if fragment_bytes and claimed > _RLE_GROWTH * fragment_bytes + _RLE_SLACK_BYTES:
        raise Unreadable("the image claims more pixels than its encoded bytes can hold")

"""Which captures lie over which frames, pixel on pixel: read from the captures themselves.

A capture of ours is its source's frame with heat and outlines drawn into it, top left, its pixels
made square, and a panel right of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydicom import Dataset, dcmread

from dicomnode.dicom.attributes import read_header, text
from dicomnode.errors import StoreError, Unreadable
from dicomnode.storage.objects import ObjectStore

__all__ = ["Layer", "Stack", "stacks"]

_PLAIN = "frame:"  #: how the description of a capture begins that has nothing drawn into it
_SQUARE, _LARGEST_ASPECT = 0.01, 4.0  #: as `report/drawn/capture.py` has them


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A capture over its source."""

    uid: str
    words: str  #: what it shows, as it says itself
    columns: int  #: of the whole capture
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A frame, and the captures that lie over it."""

    source_uid: str
    frame: int  #: from 1
    columns: int  #: with square pixels, as in the captures
    rows: int
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """What a capture lies over."""

    source_uid: str
    frame: int


def stacks(store: ObjectStore, study_uid: str, captures: Iterable[str]) -> list[Stack]:
    """Frames with what lies over them, in the order of the captures; of those that are here."""
    found: dict[_Place, list[Layer]] = {}
    for uid in captures:
        try:
            read = _read(store.path_of_result(study_uid, uid))
        except OSError:
            continue  # it was removed
        if read is not None:
            place, layer = read
            found.setdefault(place, []).append(layer)
    made = (_stack(store, study_uid, place, layers) for place, layers in found.items())
    return [stack for stack in made if stack is not None]


def _stack(store: ObjectStore, study_uid: str, place: _Place, layers: list[Layer]) -> Stack | None:
    size = _size(store.find(study_uid, place.source_uid))
    if size is None:
        return None
    columns, rows = size
    fitting = [layer for layer in layers if layer.columns >= columns and layer.rows >= rows]
    if not fitting:
        return None
    return Stack(
        source_uid=place.source_uid,
        frame=place.frame,
        columns=columns,
        rows=rows,
        layers=tuple(fitting),
    )


@lru_cache(maxsize=512)
def _read(path: Path) -> tuple[_Place, Layer] | None:
    """A result never changes once it is written."""
    header = dcmread(path, stop_before_pixels=True)
    sources = header.get("SourceImageSequence") or []
    words = text(header, "DerivationDescription")
    if len(sources) != 1 or words.startswith(_PLAIN):
        return None
    place = _Place(
        text(sources[0], "ReferencedSOPInstanceUID"),
        _number(sources[0], "ReferencedFrameNumber") or 1,
    )
    layer = Layer(
        uid=text(header, "SOPInstanceUID"),
        words=words,
        columns=_number(header, "Columns"),
        rows=_number(header, "Rows"),
    )
    return place, layer


def _size(path: Path | None) -> tuple[int, int] | None:
    """Columns and rows of a source that is here, with square pixels: by adding to one side."""
    if path is None:
        return None
    try:
        header = read_header(path)
    except (StoreError, Unreadable):
        return None
    columns, rows = _number(header, "Columns"), _number(header, "Rows")
    tall = _aspect(header)
    if abs(tall - 1) >= _SQUARE and 1 / _LARGEST_ASPECT <= tall <= _LARGEST_ASPECT:
        columns, rows = (columns, round(rows * tall)) if tall > 1 else (round(columns / tall), rows)
    return (columns, rows) if columns and rows else None


def _aspect(header: Dataset) -> float:
    """Height to width of a pixel, read as for the captures."""
    said = ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing")
    found = next((value for name in said if (value := text(header, name))), "")
    try:
        high, wide = (float(part) for part in found.split("\\"))
        return high / wide
    except (ValueError, ZeroDivisionError):
        return 1.0


def _number(dataset: Dataset, keyword: str) -> int:
    found = text(dataset, keyword).partition("\\")[0]
    return int(found) if found.isdecimal() else 0

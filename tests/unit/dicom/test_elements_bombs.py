"""Datasets that are small to send and large to read: nested, deflated, or claiming too much."""

import tracemalloc
import zlib
from typing import Any

import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from dicomnode.dicom import walker
from dicomnode.errors import ObjectRefused, TooLarge, Unreadable
from tests.factories import encode, make_dataset
from tests.unit.dicom.encoded import (
    EXPECTED,
    HEADER_ONLY,
    IN_ITEM,
    ITEM_END,
    MEBIBYTE,
    SEQUENCE_END,
    UNDEFINED,
    element,
    item,
    walk,
)

# --- nesting --------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2000, 200_000])
def test_endless_nesting_is_refused_at_once(depth: int) -> None:
    start = element(0x00400275, b"SQ", item(length=UNDEFINED), UNDEFINED)
    with pytest.raises(Unreadable, match="nested"):
        walk(start * depth)


@pytest.mark.parametrize("depth", [65, 2000])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_nesting_with_lengths_is_refused_as_well(syntax: UID, depth: int) -> None:
    inner = b""
    for _ in range(depth):
        inner = item(inner)
        head = b"\x40\x00\x75\x02" + (b"SQ\x00\x00" if syntax == ExplicitVRLittleEndian else b"")
        inner = head + len(inner).to_bytes(4, "little") + inner
    with pytest.raises(Unreadable, match="nested"):
        walk(inner, syntax)


def test_nesting_as_deep_as_is_allowed_is_read() -> None:
    tail = b""
    for _ in range(64):
        tail = element(0x00400275, b"SQ", item(tail))
    assert walk(HEADER_ONLY + tail) == EXPECTED


# --- bombs, and what is none ----------------------------------------------------------------


def test_a_deflation_bomb_is_too_large_and_needs_no_memory() -> None:
    bomb = zlib.compress(bytes(4 * MEBIBYTE), 9, wbits=-zlib.MAX_WBITS)
    with pytest.raises(TooLarge):
        walk(bomb, DeflatedExplicitVRLittleEndian, limit=MEBIBYTE)


@pytest.mark.parametrize(
    "one",
    [
        bytes(8),
        IN_ITEM,
        element(0x00400275, b"SQ", b""),
        element(0x00400275, b"SQ", item(item())),
        element(0x00400275, b"SQ", item(length=UNDEFINED) + ITEM_END + SEQUENCE_END, UNDEFINED),
        SEQUENCE_END,
    ],
    ids=["zeros", "values", "empty sequences", "items", "items with delimiters", "delimiters"],
)
def test_more_elements_than_anyone_needs_are_refused(
    monkeypatch: pytest.MonkeyPatch, one: bytes
) -> None:
    monkeypatch.setattr(walker, "_MOST_ELEMENTS", 1000)
    with pytest.raises(Unreadable, match="more than 1000 elements"):
        walk(HEADER_ONLY + one * 30_000)


@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
def test_five_thousand_frames_are_no_bomb(undefined: bool) -> None:
    def sequence(tag: int, *items: bytes) -> bytes:
        if not undefined:
            return element(tag, b"SQ", b"".join(map(item, items)))
        inside = b"".join(item(each + ITEM_END, UNDEFINED) for each in items)
        return element(tag, b"SQ", inside + SEQUENCE_END, UNDEFINED)

    values = b"".join(element(0x00189000 + n, b"FD", b"")[:6] + b"\x00\x00" for n in range(7))
    frame = b"".join(sequence(0x00209100 + n, values) for n in range(10))
    groups = sequence(0x52009230, *[frame] * 5000)
    assert walk(HEADER_ONLY + groups) == EXPECTED


def test_sixty_five_thousand_elements_are_no_bomb() -> None:
    tail = b"".join(element(0x00110000 + number, b"UT", b"ab") for number in range(65_000))
    assert walk(HEADER_ONLY + tail) == EXPECTED


def rle(fragment: bytes, **changes: Any) -> bytes:
    """An image in RLE Lossless that claims what it is told to."""
    header = encode(make_dataset(PixelData=None, **changes))
    return header + element(0x7FE00010, b"OB", item() + item(fragment) + SEQUENCE_END, UNDEFINED)


@pytest.mark.parametrize(
    "claim",
    [
        {"Rows": 65535, "Columns": 65535},
        {"Rows": 4096, "Columns": 4096, "NumberOfFrames": 5000},
        {"NumberOfFrames": 2**31 - 1},
    ],
    ids=["rows and columns", "many large frames", "frames"],
)
def test_pixels_that_cannot_come_out_of_so_few_bytes_are_refused(claim: dict[str, Any]) -> None:
    with pytest.raises(Unreadable, match="claims more pixels"):
        walk(rle(bytes(1000), **claim), RLELossless)


def test_an_image_that_rle_packs_as_tightly_as_it_can_is_taken() -> None:
    size = 4096 * 4096 * 2 // 64
    assert walk(rle(bytes(size), Rows=4096, Columns=4096), RLELossless) == EXPECTED


def test_an_object_without_pixels_claims_nothing() -> None:
    data = encode(make_dataset(PixelData=None, Rows=65535, Columns=65535))
    assert walk(data, RLELossless) == EXPECTED


@pytest.mark.parametrize("name", ["one value", "elements", "items"])
def test_bombs_are_refused_in_little_memory(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(walker, "_MOST_ELEMENTS", 100_000)  # tracing memory is slow
    start = element(0x00091001, b"OB", b"", 1 << 30)
    unit = {"one value": bytes(8), "elements": IN_ITEM, "items": item()}[name]
    head = {
        "one value": start,
        "elements": b"",
        "items": element(0x00081140, b"SQ", b"", UNDEFINED),
    }
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = packer.compress(HEADER_ONLY + head[name])
    for _ in range(256):
        bomb += packer.compress(unit * (MEBIBYTE // len(unit)))
    bomb += packer.flush()
    tracemalloc.start()
    with pytest.raises(ObjectRefused, match=r"inflates|elements"):
        walk(bomb, DeflatedExplicitVRLittleEndian, limit=1 << 40)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * MEBIBYTE


def test_a_dataset_that_deflates_well_is_no_bomb() -> None:
    plain = HEADER_ONLY + element(0x00091001, b"OB", bytes(32 * MEBIBYTE))
    packed = zlib.compress(plain, 9, wbits=-zlib.MAX_WBITS)
    assert len(plain) > 900 * len(packed)
    assert walk(packed, DeflatedExplicitVRLittleEndian) == EXPECTED

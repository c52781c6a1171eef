"""The walk over encoded datasets: real ones pass, broken ones are named, all get an answer."""

import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from dicomnode.dicom.elements import read_identity
from dicomnode.dicom.sop_classes import encoding_of
from dicomnode.errors import ObjectRefused, Unreadable
from tests.factories import encode, make_dataset
from tests.timing import soon_done
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

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_finds_what_the_dataset_says_it_is(syntax: UID) -> None:
    assert walk(encode(make_dataset(), syntax), syntax) == EXPECTED


def test_starts_where_it_is_told(tmp_path: Path) -> None:
    data = b"something else" + encode(make_dataset())
    found = read_identity(BytesIO(data), 14, ExplicitVRLittleEndian, max_inflated_bytes=0)
    assert found == EXPECTED


@pytest.mark.parametrize("syntax", SYNTAXES[:3], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("missing", [1, 2, 100, 500])
def test_a_dataset_that_ends_early_is_unreadable(syntax: UID, missing: int) -> None:
    with pytest.raises(Unreadable):
        walk(encode(make_dataset(), syntax)[:-missing], syntax)


def test_a_deflated_dataset_that_ends_early_is_unreadable() -> None:
    packed = encode(make_dataset(), DeflatedExplicitVRLittleEndian)
    with pytest.raises(Unreadable):
        walk(packed[: len(packed) // 2], DeflatedExplicitVRLittleEndian)


def test_a_deflated_dataset_shorter_than_it_says_is_unreadable() -> None:
    short = HEADER_ONLY + element(0x00091001, b"OB", b"ab", 3)
    with pytest.raises(Unreadable, match="ends before"):
        walk(zlib.compress(short, wbits=-zlib.MAX_WBITS), DeflatedExplicitVRLittleEndian)


def test_bytes_that_are_not_deflated_are_unreadable() -> None:
    with pytest.raises(Unreadable):
        walk(b"\xff" * 50, DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize(
    "tail",
    [
        element(0xFFFCFFFC, b"OB", bytes(16)),
        element(0x00091001, b"LO", b"")[:6] + b"\x03\x00odd",
        element(0x00091001, b"OB", b"odd"),
        element(0x00091001, b"ZZ", bytes(70000)),
        element(0x00091001, b"ZZ", b"")[:6] + b"\x02\x00ab",
        element(0x00091001, b"SQ", item(IN_ITEM)),
        element(0x00091001, b"SQ", item(IN_ITEM, UNDEFINED)),
        element(0x00091001, b"SQ", item(IN_ITEM) + SEQUENCE_END, UNDEFINED),
        element(0x00091001, b"SQ", item(IN_ITEM + ITEM_END, UNDEFINED) + SEQUENCE_END, UNDEFINED),
        element(0x00091001, b"SQ", item(IN_ITEM, UNDEFINED) + SEQUENCE_END, UNDEFINED),
        element(
            0x00091001,
            b"UN",
            item(b"\x40\x00\x99\x99\x02\x00\x00\x00ab" + ITEM_END, UNDEFINED) + SEQUENCE_END,
            UNDEFINED,
        ),
        element(0x00091001, b"UN", item(IN_ITEM + ITEM_END, UNDEFINED) + SEQUENCE_END, UNDEFINED),
        element(0x7FE00010, b"OB", item() + item(b"ab") + SEQUENCE_END, UNDEFINED),
        b"\x40\x00\x99\x99\x02\x00\x00\x00ab",
        SEQUENCE_END,
        ITEM_END,
        bytes(7),
    ],
    ids=[
        "trailing padding",
        "odd length",
        "odd long length",
        "unknown VR of 32 bits",
        "unknown VR of 16 bits",
        "sequence of defined length",
        "sequence of defined length without delimiters inside",
        "sequence of undefined length",
        "item of undefined length",
        "item without its delimiter",
        "private sequence as UN, implicit inside",
        "private sequence as UN, explicit inside",
        "encapsulated pixel data",
        "an implicit element among explicit ones",
        "stray sequence delimiter",
        "stray item delimiter",
        "zeros at the end",
    ],
)
def test_takes_what_real_senders_send(tail: bytes) -> None:
    assert walk(HEADER_ONLY + tail) == EXPECTED


def test_takes_group_lengths() -> None:
    data = encode(make_dataset())
    group_length = b"\x08\x00\x00\x00UL\x04\x00\x64\x00\x00\x00"
    assert walk(group_length + data) == EXPECTED


@pytest.mark.parametrize(
    ("written", "declared"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
    ],
)
def test_believes_the_bytes_where_the_transfer_syntax_is_wrong(written: UID, declared: UID) -> None:
    assert walk(encode(make_dataset(), written), declared) == EXPECTED


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        (element(0x7FE00010, b"OB", item(b"ab"), UNDEFINED), "ends before"),
        (element(0x7FE00010, b"OB", item(b"ab", 4), UNDEFINED), "ends before"),
        (element(0x7FE00010, b"OB", item(length=UNDEFINED), UNDEFINED), "no length"),
        (element(0x00091001, b"SQ", IN_ITEM, UNDEFINED), "not an item"),
        (element(0x00091001, b"OB", b"ab", 3), "ends before"),
        (element(0x00091001, b"OB", b"")[:10], "ends before"),
        (item(length=UNDEFINED), "no length"),
        (b"\x01", "ends before"),
    ],
)
def test_names_what_is_wrong(tail: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        walk(HEADER_ONLY + tail)


def test_a_dataset_that_names_itself_twice_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="twice"):
        walk(HEADER_ONLY + encode(make_dataset(2)))


def test_a_uid_longer_than_any_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="longer"):
        walk(b"\x08\x00\x18\x00UI\x00\x02" + b"1" * 512)


def test_padding_is_no_part_of_a_uid() -> None:
    assert walk(b"\x08\x00\x18\x00UI\x06\x001.2\x00 \x00").sop_instance_uid == "1.2"


def test_a_uid_inside_a_sequence_is_not_the_datasets_own() -> None:
    inner = b"\x08\x00\x18\x00UI\x04\x009.9\x00"
    tail = element(0x00082112, b"SQ", item(inner + ITEM_END, UNDEFINED) + SEQUENCE_END, UNDEFINED)
    assert walk(tail + HEADER_ONLY) == EXPECTED


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        (element(0x00400275, b"SQ", item(IN_ITEM, 1000)) + IN_ITEM, "past the end"),
        (element(0x00400275, b"SQ", item(element(0x00091001, b"OB", b"ab", 9))) + IN_ITEM, "past"),
        (element(0x00400275, b"SQ", item(IN_ITEM), 5) + IN_ITEM, "ends before"),
        (element(0x00400275, b"SQ", IN_ITEM), "not an item"),
        (element(0x00400275, b"SQ", item(IN_ITEM), 1000), "ends before"),
    ],
    ids=["item", "element of an item", "sequence", "no item", "sequence and dataset"],
)
def test_lengths_must_fit_what_holds_them(tail: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        walk(HEADER_ONLY + tail)


@pytest.mark.parametrize("vr", [b"UN", b""], ids=["unknown", "implicit"])
def test_a_value_that_does_not_look_like_items_is_none(vr: bytes) -> None:
    value = b"12 bytes long"[:12]
    head = b"\x40\x00\x75\x02" + (vr and vr + b"\x00\x00")
    assert walk(HEADER_ONLY + head + len(value).to_bytes(4, "little") + value) == EXPECTED


def test_an_object_far_larger_than_any_window_is_walked_by_seeking(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:  # sparse: nearly all of its 8 GiB are a hole
        file.write(HEADER_ONLY)
        for _ in range(4):
            file.write(element(0x00091001, b"OB", b"", 1 << 31))
            file.seek(1 << 31, 1)
        file.write(IN_ITEM)
    with path.open("rb") as file:
        found = read_identity(file, 0, ExplicitVRLittleEndian, max_inflated_bytes=0)
    assert found == EXPECTED


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_elements_lie_across_the_borders_of_windows(syntax: UID) -> None:
    for padding in range(12):
        ds = make_dataset(PixelData=None, ImageComments="x" * (2 * padding))
        ds.EncapsulatedDocument = bytes(300 * 1024)
        ds.ContentSequence = [make_dataset(PixelData=None)] * 200
        assert walk(encode(ds, syntax), syntax) == EXPECTED


@given(data=st.binary(max_size=300), syntax=st.sampled_from([*SYNTAXES, JPEGBaseline8Bit]))
@settings(deadline=None)
def test_any_bytes_get_an_answer(data: bytes, syntax: UID) -> None:
    with soon_done(), suppress(ObjectRefused):
        walk(data, syntax)


@given(cut=st.integers(0, len(HEADER_ONLY) - 1), new=st.binary(min_size=1, max_size=8))
@settings(deadline=None)
def test_any_damage_gets_an_answer(cut: int, new: bytes) -> None:
    with soon_done(), suppress(ObjectRefused):
        walk(HEADER_ONLY[:cut] + new + HEADER_ONLY[cut + len(new) :])


def real_files() -> list[Path]:
    """Part 10 files that pydicom ships and reads."""
    folder = Path(pydicom.__file__).parent / "data"
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in found if path.read_bytes()[128:132] == b"DICM"]


#: Files of pydicom that end before their declared length, and one whose last item does.
TRUNCATED = {"MR_truncated.dcm", "rtplan_truncated.dcm", "DICOMDIR-nooffset"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_reads_every_whole_file_that_pydicom_ships() -> None:
    refused = set()
    files = real_files()
    for path in files:
        ds, start = _read(path)
        if start is None:
            continue
        with path.open("rb") as file:
            try:
                syntax = str(ds.file_meta.TransferSyntaxUID)
                found = read_identity(file, start, syntax, max_inflated_bytes=64 * MEBIBYTE)
            except Unreadable:
                refused.add(path.name)
                continue
        assert found.sop_instance_uid == str(ds.get("SOPInstanceUID", "")), path.name
    assert len(files) > 50
    assert refused == TRUNCATED


def _read(path: Path) -> tuple[Dataset, int | None]:
    """The dataset, and where it begins if its file meta says so."""
    ds = dcmread(path, stop_before_pixels=True)
    meta = ds.file_meta
    if "TransferSyntaxUID" not in meta or "FileMetaInformationGroupLength" not in meta:
        return ds, None
    start = 144 + int(meta.FileMetaInformationGroupLength)
    deflated = encoding_of(str(meta.TransferSyntaxUID)).deflated
    right = deflated or path.read_bytes()[start : start + 1] in (b"\x08", b"\x00", b"\x04")
    return ds, start if right else None

"""Headers of files as they are found, not as they should be."""

import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomnode.dicom.attributes import read_header, text
from dicomnode.errors import StoreError, Unreadable
from tests.factories import encode, make_dataset, make_part10, uid, write_part10

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_reads_everything_but_the_pixels(tmp_path: Path, syntax: UID) -> None:
    header = read_header(write_part10(make_dataset(7), tmp_path / "one.dcm", syntax))
    assert header.SOPInstanceUID == uid("instance", 7)
    assert header.PatientName == "SYNTHETIC^ONE"
    assert header.file_meta.TransferSyntaxUID == syntax
    assert "PixelData" not in header


def test_long_values_are_left_out(tmp_path: Path) -> None:
    ds = make_dataset(EncapsulatedDocument=bytes(2 * 1024 * 1024))
    header = read_header(write_part10(ds, tmp_path / "one.dcm"))
    assert "EncapsulatedDocument" not in header
    assert header.Modality == "CT"


def test_a_deflation_bomb_is_inflated_no_further_than_its_header(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = packer.compress(encode(make_dataset(PixelData=None)))
    bomb += packer.compress(b"\xe0\x7f\x10\x00OW\x00\x00\x00\x00\x80\x00")
    bomb += packer.compress(bytes(8 * 1024 * 1024)) + packer.flush()
    whole = make_part10(make_dataset(), DeflatedExplicitVRLittleEndian)
    path = tmp_path / "bomb.dcm"
    path.write_bytes(whole[: 144 + int.from_bytes(whole[140:144], "little")] + bomb)
    tracemalloc.start()
    header = read_header(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert header.PatientID == "SYN-0001"
    assert peak_bytes < 4 * 1024 * 1024


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(200), make_part10(make_dataset())[:150]])
def test_what_is_no_dicom_file_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "none.dcm"
    path.write_bytes(content)
    with pytest.raises(Unreadable):
        read_header(path)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_a_file_cut_short_in_its_header_is_unreadable(tmp_path: Path, syntax: UID) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(make_part10(make_dataset(), syntax)[:500])
    with pytest.raises(Unreadable, match="ends before"):
        read_header(path)


def test_a_file_cut_short_in_its_pixels_still_shows_its_header(tmp_path: Path) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(make_part10(make_dataset())[:-200])
    assert read_header(path).SOPInstanceUID == uid("instance", 1)


def test_sequences_are_left_out_however_they_are_written(tmp_path: Path) -> None:
    code = Dataset()
    code.CodeValue = "1"
    for undefined in (False, True):
        ds = make_dataset(ProcedureCodeSequence=[code], RequestAttributesSequence=[code] * 3)
        ds["ProcedureCodeSequence"].is_undefined_length = undefined
        header = read_header(write_part10(ds, tmp_path / "one.dcm"))
        assert "ProcedureCodeSequence" not in header
        assert header.PatientID == "SYN-0001"


def test_private_elements_are_left_out(tmp_path: Path) -> None:
    ds = make_dataset()
    ds.private_block(0x0011, "TESTS", create=True).add_new(1, "LO", "hidden")
    header = read_header(write_part10(ds, tmp_path / "one.dcm"))
    assert not [element.tag for element in header if element.tag.is_private]
    assert header.PatientID == "SYN-0001"


def test_what_names_the_object_is_found_whatever_its_vr_and_place(tmp_path: Path) -> None:
    whole = make_part10(make_dataset())
    start = 144 + int.from_bytes(whole[140:144], "little")
    curve = b"\x00\x50\x00\x30OB\x00\x00\x02\x00\x00\x00ab"
    path = tmp_path / "odd.dcm"
    odd = whole[start:].replace(b"\x0d\x00UI", b"\x0d\x00LO")
    path.write_bytes(whole[:start] + curve + odd)
    assert text(read_header(path), "StudyInstanceUID") == make_dataset().StudyInstanceUID


def test_a_header_that_would_fill_the_memory_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "large.dcm"
    wide = b"".join(b"\x12\x00" + n.to_bytes(2, "little") + b"LO\xff\xff" for n in range(1, 300))
    path.write_bytes(
        make_part10(make_dataset(PixelData=None))
        + wide.replace(b"\xff\xff", b"\xfe\xff" + bytes(0xFFFE))
    )
    tracemalloc.start()
    with pytest.raises(Unreadable, match="larger"):
        read_header(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 40 * 1024 * 1024


def test_a_file_that_is_gone_is_the_disks_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        read_header(tmp_path / "gone.dcm")


def test_endless_nesting_is_unreadable(tmp_path: Path) -> None:
    sequence = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path = tmp_path / "deep.dcm"
    path.write_bytes(make_part10(make_dataset(PixelData=None)) + sequence * 2000)
    with pytest.raises(Unreadable, match="nested"):
        read_header(path)


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PatientID", "SYN-0001", "SYN-0001"),
        ("PatientID", " padded  twice ", "padded twice"),
        ("StudyDescription", "two\r\nlines\x1b", "two lines"),
        ("ImageType", ["ORIGINAL", "PRIMARY"], "ORIGINAL\\PRIMARY"),
        ("PatientName", "SYNTHETIC^Ö", "SYNTHETIC^Ö"),
        ("InstanceNumber", 12, "12"),
        ("AccessionNumber", "", ""),
        ("StudyID", None, ""),
    ],
)
def test_text_is_one_line(tmp_path: Path, keyword: str, value: Any, expected: str) -> None:
    header = read_header(write_part10(make_dataset(**{keyword: value}), tmp_path / "one.dcm"))
    assert text(header, keyword) == expected


@pytest.mark.parametrize(
    ("charset", "raw", "expected"),
    [
        (None, "MÜLLER^JÖRG".encode(), "MÜLLER^JÖRG"),
        (None, "MÜLLER^JÖRG".encode("latin-1"), "MÜLLER^JÖRG"),
        ("ISO_IR 100", "MÜLLER^JÖRG".encode("latin-1"), "MÜLLER^JÖRG"),
        ("ISO_IR 192", "MÜLLER^JÖRG".encode(), "MÜLLER^JÖRG"),
        ("ISO_IR 999", b"MULLER^JORG", "MULLER^JORG"),
    ],
)
def test_text_is_decoded_as_declared_or_as_it_can_be(
    tmp_path: Path, charset: str | None, raw: bytes, expected: str
) -> None:
    raw += b" " * (len(raw) % 2)
    ds = make_dataset(SpecificCharacterSet=charset and "ISO_IR 100", PatientName="X" * len(raw))
    whole = make_part10(ds).replace(b"X" * len(raw), raw)
    whole = whole.replace(b"ISO_IR 100", (charset or "ISO_IR 100").encode())
    path = tmp_path / "one.dcm"
    path.write_bytes(whole)
    assert text(read_header(path), "PatientName") == expected


def test_text_never_raises() -> None:
    ds = Dataset()
    ds.StudyDate = "20250102"
    assert text(ds, "NoSuchKeyword") == ""
    assert text(ds, "PixelData") == ""


def test_odd_values_are_read_without_a_warning(tmp_path: Path) -> None:
    whole = make_part10(make_dataset(StudyDate="20250102", SeriesNumber=1234))
    path = tmp_path / "odd.dcm"
    path.write_bytes(whole.replace(b"20250102", b"notadate").replace(b"1234", b"12x4"))
    header = read_header(path)
    assert text(header, "StudyDate") == "notadate"
    assert text(header, "SeriesNumber") == "12x4"


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "rtplan.dcm"])
def test_reads_the_headers_of_other_makers(name: str) -> None:
    path = get_testdata_file(name)
    assert text(read_header(Path(str(path))), "SOPInstanceUID")

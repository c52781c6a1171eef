"""Sizes in the first bytes of compressed frames."""

from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames

from dicomnode.dicom.codestream import codestream_size

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
SOF = bytes.fromhex("ffc0 0011 08 0102 0304 03")


@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm",
        "JPEG2000.dcm",
        "GDCMJ2K_TextGBR.dcm",
        "JPEGLSNearLossless_16.dcm",
        "JPGExtended.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
    ],
)
def test_a_codestream_says_how_large_it_is(name: str) -> None:
    ds = dcmread(FILES / name)
    (data,) = generate_frames(ds.PixelData, number_of_frames=1)
    assert codestream_size(data) == (ds.Rows, ds.Columns)


def test_segments_and_fill_before_the_frame_are_passed() -> None:
    before = bytes.fromhex("ffd8 ffe0 0004 ffc0 ffff ffdb 0003 00")
    assert codestream_size(before + SOF) == (0x0102, 0x0304)


def test_an_offset_of_the_picture_counts() -> None:
    numbers = (100, 80, 10, 20)  # right, bottom, left, top
    data = bytes.fromhex("ff4f ff51 0029 0000") + b"".join(n.to_bytes(4, "big") for n in numbers)
    assert codestream_size(data) == (60, 90)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8" + SOF[:6],
        b"\xff\xd8\xff\xe0\x00\x00" + b"\0" * 20,
        bytes.fromhex("ffd8 ffc0 0011 08 0000 0304 03"),  # the number of rows comes later
        b"\xff\x4f\xff\x51\x00\x29",
        b"no image at all",
    ],
)
def test_what_does_not_say_is_not_guessed(data: bytes) -> None:
    assert codestream_size(data) is None

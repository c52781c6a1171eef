"""Where an image lies: wholly told, or not at all."""

from typing import Any

import pytest

from dicomnode.report.marks.plane import plane_of
from tests.unit.report.samples import make_header, raw_header

TOLD: dict[str, Any] = {
    "FrameOfReferenceUID": "2.25.77",
    "ImagePositionPatient": ["-1.5", "2", "33"],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": ["0.5", "0.25"],
    "SliceThickness": "3",
}


def test_reads_the_plane_of_a_slice() -> None:
    plane = plane_of(make_header(**TOLD))
    assert plane is not None
    assert plane.frame_of_reference == "2.25.77"
    assert plane.position == "-1.5\\2.0\\33.0"
    assert plane.spacing == "0.5\\0.25"
    assert plane.thickness == "3.0"


@pytest.mark.parametrize("keyword", sorted(TOLD.keys() - {"SliceThickness"}))
def test_without_one_part_there_is_no_plane(keyword: str) -> None:
    assert plane_of(make_header(**TOLD | {keyword: None})) is None


def test_the_thickness_may_be_unknown() -> None:
    plane = plane_of(make_header(**TOLD | {"SliceThickness": None}))
    assert plane is not None
    assert plane.thickness == ""


def test_what_are_no_numbers_is_no_plane() -> None:
    told = {
        "FrameOfReferenceUID": b"2.25.77",
        "ImageOrientationPatient": b"1\\0\\0\\0\\1\\0",
        "PixelSpacing": b"0.5\\0.5",
    }
    for odd in (b"1\\2", b"1\\2\\left", b"1\\2\\", b"1\\2\\nan", b"1\\2\\3\\4", b""):
        assert plane_of(raw_header(**told, ImagePositionPatient=odd)) is None
    assert plane_of(raw_header(**told, ImagePositionPatient=b"1\\2\\3")) is not None


def test_a_number_of_too_many_digits_is_written_in_the_sixteen_that_fit() -> None:
    position = b"-123.45678901234567890\\0.1\\0.2"
    header = raw_header(
        FrameOfReferenceUID=b"2.25.77",
        ImageOrientationPatient=b"1\\0\\0\\0\\1\\0",
        PixelSpacing=b"0.5\\0.5",
        ImagePositionPatient=position,
    )
    plane = plane_of(header)
    assert plane is not None
    assert all(len(part) <= 16 for part in plane.position.split("\\"))
    assert float(plane.position.split("\\")[0]) == pytest.approx(-123.456789012345)

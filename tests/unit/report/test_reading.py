"""Reading a source's header: every character set, and values that are none."""

import pytest
from pydicom import Dataset

from dicomnode.dicom.attributes import text
from dicomnode.dicom.patient import disagreement
from dicomnode.report.reading import value
from tests.unit.report.samples import make_header, raw_header

JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"


@pytest.mark.parametrize(
    ("charset", "raw", "read"),
    [
        (None, b"DOE^JANE", "DOE^JANE"),
        (None, "MÜLLER^JÖRG".encode(), "MÜLLER^JÖRG"),
        (None, "MÜLLER^JÖRG".encode("latin-1"), "MÜLLER^JÖRG"),
        (b"ISO_IR 100", "MÜLLER^JÖRG".encode("latin-1"), "MÜLLER^JÖRG"),
        (b"ISO_IR 192", "王^小東".encode(), "王^小東"),
        (b"ISO_IR 144", "Жук^Юля".encode("iso8859_5"), "Жук^Юля"),
        (b"GB18030", "王^小東".encode("gb18030"), "王^小東"),
        (b"\\ISO 2022 IR 87", JAPANESE, "Yamada^Tarou=山田^太郎"),
        (b"NO SUCH SET", "MÜLLER".encode(), "MÜLLER"),
        (b"ISO_IR 192", "MÜLLER".encode("latin-1"), "MÜLLER"),
        (b"\xff\xfe", b"DOE", "DOE"),
        (b"", "MÜLLER".encode(), "MÜLLER"),
    ],
)
def test_reads_a_name_in_the_character_set_it_was_written_in(
    charset: bytes | None, raw: bytes, read: str
) -> None:
    declared = {} if charset is None else {"SpecificCharacterSet": charset}
    assert value(raw_header(PatientName=raw, **declared), "PatientName") == read


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID"])
def test_reads_undeclared_utf8_that_pydicom_has_already_taken_for_latin1(keyword: str) -> None:
    header = raw_header(**{keyword: "MÜLLER".encode()})
    assert str(header[keyword].value) != "MÜLLER"

    assert value(header, keyword) == "MÜLLER"


@pytest.mark.parametrize(
    ("charset", "raw", "read"),
    [
        (b"NO SUCH SET", "MÜLLER".encode(), "MÜLLER"),
        (b"ISO_IR 192", "MÜLLER".encode("latin-1"), "MÜLLER"),
        (b"\\ISO 2022 IR 87", JAPANESE, "Yamada^Tarou=山田^太郎"),
    ],
)
def test_reads_the_same_after_others_have_read_it(charset: bytes, raw: bytes, read: str) -> None:
    header = raw_header(SpecificCharacterSet=charset, PatientName=raw)
    assert text(header, "PatientName") == disagreement([header]) + read
    assert value(header, "PatientName") == read


def test_leaves_undeclared_text_alone_that_never_was_latin1() -> None:
    assert value(make_header(SpecificCharacterSet=None, PatientID="王"), "PatientID") == "王"


@pytest.mark.parametrize(
    ("keyword", "raw", "read"),
    [
        ("StudyDate", b"20250102", "20250102"),
        ("StudyDate", b"2025.01.02", "20250102"),
        ("StudyDate", b"2025-01-02", "20250102"),
        ("StudyDate", b"20251302", ""),
        ("StudyDate", b"2025", ""),
        ("StudyDate", b"yesterday", ""),
        ("StudyDate", b"\x00\x00\x00\x00\x00\x00\x00\x00", ""),
        ("StudyTime", b"030405.123456", "030405.123456"),
        ("StudyTime", b"03:04:05", "030405"),
        ("StudyTime", b"0304", "0304"),
        ("StudyTime", b"250000", ""),
        ("PatientSex", b"m", "M"),
        ("PatientSex", b"m\xc3\xa4nnlich", ""),
        ("PatientAge", b"055Y", "055Y"),
        ("PatientAge", b"55", ""),
        ("FrameOfReferenceUID", b"1.2.3\x00", "1.2.3"),
        ("FrameOfReferenceUID", b"one.two", ""),
        ("PixelSpacing", b"0.1\\0.25", "0.1\\0.25"),
        ("PixelSpacing", b"0.1234567890123456789\\1", "0.123456789\\1"),
        ("PixelSpacing", b"0,1\\0,2", ""),
        ("PixelAspectRatio", b"1\\ 2", "1\\2"),
        ("PixelAspectRatio", b"1:2", ""),
        ("PatientID", b"AB\x00\x00", "AB"),
        ("PatientID", b" 12\r\n3 ", " 123"),
        ("PatientID", b"", ""),
    ],
)
def test_reads_a_value_only_where_it_is_one(keyword: str, raw: bytes, read: str) -> None:
    assert value(raw_header(**{keyword: raw}), keyword) == read


def test_reads_values_that_were_set_and_not_received() -> None:
    header = make_header(OtherPatientNames=["A^B", "C^D"], PatientSex=None, StudyID="")
    header.AccessionNumber = None

    assert value(header, "OtherPatientNames") == "A^B\\C^D"
    assert value(header, "PatientSex") == ""
    assert value(header, "StudyID") == ""
    assert value(header, "AccessionNumber") == ""


def test_reads_a_character_set_that_was_set_as_a_list() -> None:
    header = Dataset()
    header.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    header.PatientID = "17"

    assert value(header, "PatientID") == "17"

"""Who the patient is survives into every kind of result, whatever character set it came in."""

from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword

from dicomnode.dicom.patient import disagreement
from dicomnode.report.gate import check as gate
from dicomnode.report.identity import copied
from dicomnode.report.part10 import encoded
from dicomnode.report.results import make_results
from tests.unit.report.every_kind import EVERY_KIND
from tests.unit.report.samples import ORDER, make_prediction, make_source, raw_header

JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
KATAKANA = (
    b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^"
    b"\x1b$B$?$m$&\x1b(J"
)
KOREAN = (
    b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
)
CHINESE = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="

# PS3.5 Annexes H, I, J and K; then what senders do.
NAMES: list[tuple[str, bytes, str]] = [
    ("", b"DOE^JANE", "DOE^JANE"),
    ("", "MÜLLER^JÖRG".encode(), "MÜLLER^JÖRG"),
    ("", "王^小東".encode(), "王^小東"),
    ("ISO_IR 6", "MÜLLER^JÖRG".encode("latin-1"), "MÜLLER^JÖRG"),
    ("ISO_IR 100", "MÜLLER^JÖRG".encode("latin-1"), "MÜLLER^JÖRG"),
    ("ISO_IR 101", "Wałęsa^Łucja".encode("iso8859_2"), "Wałęsa^Łucja"),
    ("ISO_IR 144", "Жук^Юля".encode("iso8859_5"), "Жук^Юля"),
    ("ISO_IR 126", "Διονυσιος".encode("iso8859_7"), "Διονυσιος"),
    ("ISO_IR 127", "قباني^لنزار".encode("iso8859_6"), "قباني^لنزار"),
    ("ISO_IR 138", "שרון^דבורה".encode("iso8859_8"), "שרון^דבורה"),
    ("ISO_IR 166", "นามสกุล".encode("tis_620"), "นามสกุล"),
    ("ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("\\ISO 2022 IR 87", JAPANESE, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("ISO 2022 IR 13\\ISO 2022 IR 87", KATAKANA, "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    ("\\ISO 2022 IR 149", KOREAN, "Hong^Gildong=洪^吉洞=홍^길동"),
    ("\\ISO 2022 IR 58", CHINESE, "Zhang^XiaoDong=张^小东"),
    ("ISO 2022 IR 6\\ISO 2022 IR 58", CHINESE, "Zhang^XiaoDong=张^小东"),
    ("GB18030", "Wang^XiaoDong=王^小东=".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    ("GB18030", "俓^誠".encode("gb18030"), "俓^誠"),  # its second byte is a backslash
    ("GBK", "Wang^XiaoDong=王^小东=".encode("gbk"), "Wang^XiaoDong=王^小东"),
    ("ISO_IR 192", "Wang^XiaoDong=王^小東=".encode(), "Wang^XiaoDong=王^小東"),
    ("ISO_IR 192", "MÜLLER".encode("latin-1"), "MÜLLER"),
    ("NO SUCH SET", "MÜLLER".encode(), "MÜLLER"),
    ("ISO_IR 192", "Ödön^Éva^Ä^Dr.^Jr.=王=ﾜﾝ".encode(), "Ödön^Éva^Ä^Dr.^Jr.=王=ﾜﾝ"),
    ("ISO_IR 192", ("é" * 70 + "^" + "x" * 70).encode(), "é" * 70 + "^" + "x" * 70),
    ("ISO_IR 192", b"a^b^c^d^e^f^g", "a^b^c^d^e^f^g"),
    ("ISO_IR 192", "D'Ätre-Côte^Jean Paul".encode(), "D'Ätre-Côte^Jean Paul"),
]


def held(ds: Dataset, keyword: str) -> bytes:
    """The bytes of a value in a file that was read."""
    element = ds.get_item(tag_for_keyword(keyword) or 0)
    assert element is not None
    assert isinstance(element.value, bytes)
    return element.value.rstrip(b" ")


@pytest.mark.parametrize(("charset", "raw", "name"), NAMES)
def test_a_name_is_the_same_characters_in_utf8(charset: str, raw: bytes, name: str) -> None:
    declared = {"SpecificCharacterSet": charset.encode()} if charset else {}
    header = raw_header(PatientName=raw, PatientID=b"7", **declared)
    assert disagreement([header]) == ""  # it is read by others first

    copy = dcmread(BytesIO(encoded(copied(header))), force=True)

    assert held(copy, "PatientName") == name.encode()
    assert copy.SpecificCharacterSet == "ISO_IR 192"


def test_the_identity_stands_in_every_kind_of_result() -> None:
    values = {
        "SpecificCharacterSet": b"ISO 2022 IR 13\\ISO 2022 IR 87",
        "PatientName": KATAKANA,
        "PatientID": b" 0000\\12-A/3",
        "IssuerOfPatientID": b"HOSPITAL",
        "ReferringPhysicianName": JAPANESE,
        "AccessionNumber": b"0" * 20,
        "StudyID": b"S1",
        "Manufacturer": b"M" * 70,
        "StudyDescription": b"D" * 70,
    }
    header = raw_header(**values)
    header.add_new(0x00091001, "LO", "of a modality")
    source = make_source(header)
    order = replace(ORDER, kinds=frozenset(EVERY_KIND))

    results = make_results(source, make_prediction(source), order)

    assert {result.kind for result in results} == set(EVERY_KIND)
    for result in results:
        ds = dcmread(BytesIO(result.part10))
        assert held(ds, "PatientName") == "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう".encode()
        assert held(ds, "PatientID") == b" 0000\\12-A/3"
        assert held(ds, "IssuerOfPatientID") == b"HOSPITAL"
        assert held(ds, "ReferringPhysicianName").decode().endswith("=やまだ^たろう")
        assert held(ds, "AccessionNumber") == b"0" * 20
        assert held(ds, "PatientBirthDate") == b""
        assert 0x00091001 not in ds


letters = st.characters(
    exclude_categories=["Cc", "Cs", "Cn", "Co"], exclude_characters="\\^= \u00a0"
)
part = st.text(letters, max_size=20)
name = st.lists(st.lists(part, min_size=1, max_size=5).map("^".join), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(name.map("=".join), st.text(letters, max_size=80))
def test_any_name_and_number_survive(name: str, number: str) -> None:
    header = raw_header(
        SpecificCharacterSet=b"ISO_IR 192", PatientName=name.encode(), PatientID=number.encode()
    )
    ds = copied(header)
    copy = dcmread(BytesIO(encoded(ds)), force=True)
    assert held(copy, "PatientName").rstrip(b"=") == name.encode().rstrip(b"=")
    assert held(copy, "PatientID") == number.encode()
    gate.belongs(copy, header)

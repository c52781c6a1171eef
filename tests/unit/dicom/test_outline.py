"""The attributes a worklist asks for: the short way and the careful way tell the same."""

import warnings
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.data import get_charset_files, get_testdata_files
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomnode.dicom import attributes, outline
from dicomnode.dicom.outline import Outline, read_outline
from dicomnode.errors import DicomnodeError, StoreError, Unreadable
from dicomnode.receive.intake import file_header
from tests.factories import STUDY_UID, encode, make_dataset, make_request, uid, write_part10

KEYWORDS = (
    *("PatientID", "AccessionNumber", "StudyDate", "Modality", "Manufacturer", "StationName"),
    *("BodyPartExamined", "StudyDescription", "InstitutionName", "PatientName", "ImageType"),
)
UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
SAMPLES = sorted(
    Path(name) for name in {*get_testdata_files(), *get_charset_files()} if Path(name).is_file()
)


def kept(folder: Path, ds: Dataset, data: bytes | None = None, syntax: str = "") -> Path:
    """A file as the receiver writes it."""
    syntax = syntax or str(ExplicitVRLittleEndian)
    path = folder / "kept.dcm"
    data = encode(ds, syntax) if data is None else data
    path.write_bytes(file_header(make_request(ds, transfer_syntax_uid=syntax)) + data)
    return path


def tells_the_same(found: Outline, path: Path) -> None:
    header = attributes.read_header(path)
    for keyword in KEYWORDS:
        assert found.text(keyword) == attributes.text(header, keyword), keyword
        assert attributes.text(found.header, keyword) == attributes.text(header, keyword), keyword
    ref = found.ref
    uids = (ref.sop_class_uid, ref.sop_instance_uid, ref.series_uid, ref.study_uid)
    assert uids == tuple(attributes.text(header, keyword) for keyword in UIDS)


@pytest.fixture
def careful(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read the careful way."""
    read: list[Path] = []
    real = outline._carefully

    def noted(path: Path) -> Dataset:
        read.append(path)
        return real(path)

    monkeypatch.setattr(outline, "_carefully", noted)
    return read


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_other_peoples_files_are_read_as_pydicom_reads_them(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            attributes.read_header(path)
        except DicomnodeError:
            return  # there is nothing to compare with
        tells_the_same(read_outline(path, KEYWORDS), path)


@pytest.mark.parametrize(
    ("syntax", "short"),
    [
        (ExplicitVRLittleEndian, True),
        (ImplicitVRLittleEndian, True),
        (ExplicitVRBigEndian, False),
        (DeflatedExplicitVRLittleEndian, False),
    ],
    ids=lambda value: getattr(value, "keyword", None),
)
def test_every_transfer_syntax_is_read_and_the_usual_ones_by_the_short_loop(
    syntax: str, short: bool, tmp_path: Path, careful: list[Path]
) -> None:
    path = kept(tmp_path, make_dataset(StationName="ROOM1"), syntax=str(syntax))

    tells_the_same(read_outline(path, KEYWORDS), path)

    assert bool(careful) is not short


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_what_stands_in_a_sequence_is_not_the_objects_own(
    syntax: str, undefined: bool, tmp_path: Path, careful: list[Path]
) -> None:
    inner = Dataset()
    inner.PatientID, inner.StudyInstanceUID = "OTHER", uid("other study")
    inner.is_undefined_length_sequence_item = undefined
    outer = Dataset()
    outer.PatientID, outer.ReferencedImageSequence = "OUTER", Sequence([inner, inner])
    ds = make_dataset(ReferencedStudySequence=Sequence([outer]), PatientID=None)
    for each in (ds["ReferencedStudySequence"], outer["ReferencedImageSequence"]):
        each.is_undefined_length = undefined
    path = kept(tmp_path, ds, syntax=str(syntax))

    found = read_outline(path, KEYWORDS)

    assert found.text("PatientID") == ""
    assert found.ref.study_uid == STUDY_UID
    assert careful == []


def test_the_sender_is_the_one_in_the_file_meta(tmp_path: Path) -> None:
    path = kept(tmp_path, make_dataset())

    assert read_outline(path).calling_ae == "MODALITY"
    assert read_outline(write_part10(make_dataset(), tmp_path / "other.dcm")).calling_ae == ""


def test_what_was_not_asked_for_is_not_there(tmp_path: Path) -> None:
    found = read_outline(kept(tmp_path, make_dataset()), ["Modality", "NoSuchKeyword"])

    assert found.text("Modality") == "CT"
    assert found.text("PatientID") == found.text("NoSuchKeyword") == ""


def test_a_character_set_nobody_knows_does_no_harm(tmp_path: Path) -> None:
    ds = make_dataset(PatientName="SYNTHETIC^\xc4")
    data = encode(ds).replace(b"ISO_IR 192", b"ISO_IR ???")
    found = read_outline(kept(tmp_path, ds, data), KEYWORDS)

    assert found.text("PatientID") == "SYN-0001"
    assert found.header.Modality == "CT"
    assert found.text("PatientName").startswith("SYNTHETIC^")


def test_a_value_behind_the_window_is_read_the_careful_way(
    tmp_path: Path, careful: list[Path]
) -> None:
    ds = make_dataset()
    ds.add_new(0x00091010, "OB", bytes(100_000))
    path = kept(tmp_path, ds)

    tells_the_same(read_outline(path, KEYWORDS), path)

    assert careful


_ODD = encode(make_dataset())
_PATIENT = b"\x10\x00\x20\x00LO\x08\x00SYN-0001"
_SEQUENCE = b"\x08\x00\x40\x11%s\x00\x00\xff\xff\xff\xff\xfe\xff\xdd\xe0\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (_ODD, ImplicitVRLittleEndian),
        (_PATIENT + _ODD.replace(_PATIENT, b""), ExplicitVRLittleEndian),
        (_ODD.replace(b"\x10\x00\x10\x00PN", _SEQUENCE % b"UN" + b"\x10\x00\x10\x00PN"), None),
        (_ODD.replace(b"LO\x08\x00", b"LX\x08\x00"), None),
    ],
    ids=["explicit-after-all", "out-of-order", "unknown-sequence", "unknown-vr"],
)
def test_what_is_unusual_is_left_to_the_careful_readers(
    data: bytes, syntax: str | None, tmp_path: Path, careful: list[Path]
) -> None:
    path = kept(tmp_path, make_dataset(), data, str(syntax or ExplicitVRLittleEndian))
    try:
        tells_the_same(read_outline(path, KEYWORDS), path)
    except Unreadable:
        return  # the receiver would have refused it, as the walker does here
    assert careful


def test_an_acknowledged_object_that_pydicom_cannot_read_has_its_uids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = make_dataset()
    path = kept(tmp_path, ds, syntax=str(DeflatedExplicitVRLittleEndian))

    def unreadable(path: Path) -> Dataset:
        raise Unreadable("the header cannot be parsed: KeyError")

    monkeypatch.setattr(attributes, "read_header", unreadable)
    found = read_outline(path, KEYWORDS)

    assert found.ref.sop_instance_uid == ds.SOPInstanceUID
    assert found.ref.study_uid == STUDY_UID
    assert found.text("PatientID") == ""
    assert found.calling_ae == "MODALITY"


@pytest.mark.parametrize("data", [b"", b"DICM", bytes(200)], ids=["empty", "short", "zeros"])
def test_no_file_of_ours_is_unreadable(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(data)

    with pytest.raises(Unreadable):
        read_outline(path)


def test_a_file_that_the_disk_does_not_give_is_the_disks_trouble(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        read_outline(tmp_path / "gone.dcm")


@pytest.mark.parametrize("length", range(0, 400, 7))
def test_a_file_cut_anywhere_is_read_or_refused(length: int, tmp_path: Path) -> None:
    ds = make_dataset()
    path = kept(tmp_path, ds, encode(ds)[:length])
    try:
        found = read_outline(path, KEYWORDS)
    except Unreadable:
        return
    assert found.ref.sop_instance_uid in ("", ds.SOPInstanceUID)

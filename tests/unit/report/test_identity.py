"""Identity: copied exactly, never mixed, and times in the zone they claim."""

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread, dcmwrite

from dicomnode.errors import DicomnodeError, PatientsDiffer, ReportError
from dicomnode.report import identity
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    make_header,
    make_prediction,
    make_source,
    raw_header,
)

NOON = datetime(2025, 6, 30, 23, 30, tzinfo=UTC)


def written(ds: Dataset) -> Dataset:
    out = BytesIO()
    dcmwrite(out, ds, implicit_vr=False, little_endian=True)
    return dcmread(BytesIO(out.getvalue()), force=True)


def test_copies_patient_and_study_byte_for_byte() -> None:
    values = {
        "SpecificCharacterSet": b"ISO_IR 192",
        "PatientName": "Núñez^María=王^小東".encode(),
        "PatientID": b"0000 12-A/3",
        "IssuerOfPatientID": b"HOSPITAL",
        "PatientBirthDate": b"19700229"[:4] + b"0228",
        "PatientSex": b"F",
        "StudyDate": b"20250102",
        "StudyTime": b"030405.6",
        "AccessionNumber": b"0042",
        "ReferringPhysicianName": "Doktor^Ärztin".encode(),
        "StudyID": b"S1",
        "StudyDescription": "Röntgen Thorax p.a.".encode(),
    }
    copy = written(identity.copied(raw_header(**values)))

    for keyword, raw in values.items():
        held = copy.get_item(keyword)
        assert held is not None
        assert isinstance(held.value, bytes | str)
        sent = held.value.encode() if isinstance(held.value, str) else held.value
        assert sent.rstrip(b" ") == raw, keyword


def test_writes_the_character_set_it_writes_in() -> None:
    header = raw_header(
        SpecificCharacterSet=b"\\ISO 2022 IR 87",
        PatientName=b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
    )
    copy = written(identity.copied(header))

    assert copy.SpecificCharacterSet == "ISO_IR 192"
    assert str(copy.PatientName) == "Yamada^Tarou=山田^太郎"


def test_an_identity_that_is_too_long_is_not_cut() -> None:
    long = "X" * 100
    assert written(identity.copied(make_header(PatientID="1"))).PatientID == "1"
    assert (
        written(identity.copied(raw_header(PatientID=long.encode()))).get_item("PatientID").value
        == long.encode()
    )


def test_type_2_attributes_are_there_even_where_the_source_has_none() -> None:
    copy = identity.copied(raw_header())
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "ReferringPhysicianName", "StudyID", "AccessionNumber",
    ):  # fmt: skip
        assert keyword in copy
        assert not copy[keyword].value
    assert "PatientAge" not in copy


@pytest.mark.parametrize(("sent", "kept"), [("M", "M"), ("O", "O"), ("U", ""), ("W", "")])
def test_a_sex_the_standard_does_not_know_is_left_empty(sent: str, kept: str) -> None:
    assert identity.copied(make_header(PatientSex=sent)).PatientSex == kept


def test_says_that_the_identity_was_removed_and_how() -> None:
    told = make_header(PatientIdentityRemoved="YES", DeidentificationMethod="By hand")
    silent = make_header(PatientIdentityRemoved="YES")

    assert identity.copied(told).DeidentificationMethod == "By hand"
    assert identity.copied(silent).DeidentificationMethod == "See source images"


@pytest.mark.parametrize(
    ("keyword", "error"), [("PatientID", PatientsDiffer), ("StudyInstanceUID", ReportError)]
)
def test_refuses_images_of_two_patients_or_studies(
    keyword: str, error: type[DicomnodeError]
) -> None:
    changed = make_header(2)
    setattr(changed, keyword, "1.2.3")
    with pytest.raises(error, match=keyword) as raised:
        identity.one_patient([make_header(1), changed])
    assert "SYN-0001" not in str(raised.value)


@pytest.mark.parametrize("keyword", ["PatientName", "PatientBirthDate"])
def test_without_a_patient_id_the_name_and_the_birth_date_must_agree(keyword: str) -> None:
    same = [make_header(1, PatientID=""), make_header(2, PatientID="")]
    assert identity.one_patient(same) is same[0]

    setattr(same[1], keyword, "19010101")
    with pytest.raises(PatientsDiffer, match=keyword):
        identity.one_patient(same)


def test_refuses_what_has_no_image_or_no_study() -> None:
    with pytest.raises(ReportError):
        identity.one_patient([])
    with pytest.raises(ReportError):
        identity.one_patient([make_header(StudyInstanceUID=None)])


@pytest.mark.parametrize(
    ("zone", "hour", "kept"),
    [("+0200", "20250701 0130", True), ("-0330", "20250630 2000", True),
     ("+9900", "20250630 2330", False), ("CET", "20250630 2330", False),
     (None, "20250630 2330", False)],
)  # fmt: skip
def test_declares_a_zone_only_if_its_own_times_are_in_it(
    zone: str | None, hour: str, kept: bool
) -> None:
    copy = identity.copied(make_header(TimezoneOffsetFromUTC=zone))

    moment = identity.local_time(NOON, copy)

    assert f"{moment:%Y%m%d %H%M}" == hour
    assert ("TimezoneOffsetFromUTC" in copy) is kept


def test_series_description_says_what_matters_before_it_is_cut() -> None:
    source = make_source()
    prediction = make_prediction(source)
    named = replace(prediction, model=replace(MODEL, name="n" * 90))
    order = replace(ORDER, partial=True, revision=12)
    ds = identity.copied(source.headers[0])

    identity.add_series(ds, named, order, "1.2.3", "AI report", "1")

    assert ds.SeriesDescription.startswith("AI report, PARTIAL STUDY, revision 12: nnn")
    assert len(ds.SeriesDescription) == 64
    assert ds.SeriesNumber == 90121


def test_names_the_node_the_model_and_the_modality_that_took_the_image() -> None:
    header = make_header(Manufacturer="Maker", DeviceSerialNumber="77")
    ds = Dataset()

    identity.add_equipment(ds, header, MODEL, ORDER)

    assert ds.Manufacturer == "dicomnode"
    acquisition, processing = ds.ContributingEquipmentSequence
    assert acquisition.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    assert (acquisition.Manufacturer, acquisition.DeviceSerialNumber) == ("Maker", "77")
    assert processing.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert processing.ManufacturerModelName == "demonstration"
    assert processing.ContributionDateTime == "20250304233000+0000"


def test_what_a_modality_says_too_long_or_too_often_is_cut_to_its_room() -> None:
    ds = Dataset()
    header = raw_header(
        Manufacturer=b"M" * 80, StationName=b"S" * 20, InstitutionName=b"Here\\There"
    )
    identity.add_equipment(ds, header, MODEL, ORDER)
    acquisition = ds.ContributingEquipmentSequence[0]
    assert acquisition.Manufacturer == "M" * 64
    assert acquisition.StationName == "S" * 16
    assert acquisition.InstitutionName == "Here/There"


@pytest.mark.parametrize(
    ("keyword", "raw", "kept"),
    [
        ("StudyDescription", b"x" * 70, "x" * 64),
        ("StudyDescription", b"A\\B", "A/B"),
        ("PatientIdentityRemoved", b"PERHAPS", None),
        ("LongitudinalTemporalInformationModified", b"SHIFTED", None),
        ("LongitudinalTemporalInformationModified", b"MODIFIED", "MODIFIED"),
        ("PatientAge", b"55 years", None),
        ("PatientID", b"A\\B", ["A", "B"]),
        ("AccessionNumber", b"0" * 20, "0" * 20),
    ],
)
def test_what_describes_is_made_to_fit_and_what_names_is_not(
    keyword: str, raw: bytes, kept: str | list[str] | None
) -> None:
    assert identity.copied(raw_header(**{keyword: raw})).get(keyword) == kept


@pytest.mark.parametrize(("side", "kept"), [("L", "L"), ("R", "R"), ("B", ""), ("", "")])
def test_a_side_that_is_none_is_left_empty(side: str, kept: str) -> None:
    ds = Dataset()
    identity.add_body_part(ds, make_header(BodyPartExamined=None, Laterality=side))
    assert ds.Laterality == kept


def test_leaves_out_a_modality_that_does_not_say_who_made_it() -> None:
    ds = Dataset()
    identity.add_equipment(ds, make_header(Manufacturer=None), MODEL, ORDER)
    (only,) = ds.ContributingEquipmentSequence
    assert only.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"


@pytest.mark.parametrize(
    ("told", "kept"),
    [(b"L\\F", ["L", "F"]), (b"P\\FL", ["P", "FL"]), (b"L", ""), (b"X\\Y", ""), (b"L\\F\\A", "")],
)
def test_an_orientation_that_is_none_is_left_empty(told: bytes, kept: str | list[str]) -> None:
    ds = Dataset()
    identity.add_orientation(ds, raw_header(PatientOrientation=told))
    assert (ds.PatientOrientation or "") == kept


def test_of_two_body_parts_none_is_the_one() -> None:
    ds = Dataset()
    identity.add_body_part(ds, raw_header(BodyPartExamined=b"HAND\\FOOT"))
    assert "BodyPartExamined" not in ds
    assert ds.Laterality == ""


@pytest.mark.parametrize("nothing", [b"\\", b" \\ "])
def test_values_that_are_all_empty_are_as_if_absent(nothing: bytes) -> None:
    header = raw_header(Manufacturer=nothing, DeidentificationMethod=nothing)
    assert "DeidentificationMethod" not in identity.copied(header)
    ds = Dataset()
    identity.add_equipment(ds, header, MODEL, ORDER)
    assert len(ds.ContributingEquipmentSequence) == 1

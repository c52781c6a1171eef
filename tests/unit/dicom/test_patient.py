"""Whether the images of one study name one patient; what is said of it names nobody."""

from typing import Any

import pytest
from pydicom import Dataset

from dicomnode.dicom.attributes import read_header
from dicomnode.dicom.patient import differences, disagreement
from tests.factories import make_dataset, write_part10

SAME: dict[str, Any] = {
    "PatientID": "SYN-0001",
    "PatientName": "Synthetic^One",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
}


def headers(*changes: dict[str, Any]) -> list[Dataset]:
    return [make_dataset(n, **(SAME | change)) for n, change in enumerate(changes, 1)]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"PatientName": "SYNTHETIC^ONE^^^"},
        {"PatientName": " synthetic ^one "},
        {"PatientName": "Synthetic^One=合成^一"},
        {"PatientName": "Synthetic^One"},
        {"PatientName": ""},
        {"PatientName": None},
        {"PatientBirthDate": ""},
        {"PatientSex": None},
        {"PatientID": "SYN-0001 "},
        {"IssuerOfPatientID": "HOSPITAL"},
    ],
)
def test_one_patient_may_be_written_in_many_ways(change: dict[str, Any]) -> None:
    assert disagreement(headers({}, change)) == ""


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"PatientID": "SYN-0002"}, "PatientID"),
        ({"PatientID": "syn-0001"}, "PatientID"),
        ({"PatientID": ""}, "PatientID"),
        ({"PatientID": None}, "PatientID"),
        ({"PatientName": "Synthetic^Two"}, "PatientName (alphabetic)"),
        ({"PatientName": "Synthetic One"}, "PatientName (alphabetic)"),
        ({"PatientBirthDate": "19700102"}, "PatientBirthDate"),
        ({"PatientSex": "F"}, "PatientSex"),
    ],
)
def test_what_differs_is_named_with_counts_and_no_value(change: dict[str, Any], name: str) -> None:
    told = disagreement(headers({}, {}, change))

    assert told == (f"the images disagree about the patient: {name}, 2 values in 2 and 1 images")


def test_issuers_and_ideographic_names_are_compared_where_both_give_one() -> None:
    told = disagreement(
        headers(
            {"IssuerOfPatientID": "A", "PatientName": "Synthetic^One=合成^一"},
            {"IssuerOfPatientID": "B", "PatientName": "Synthetic^One=合成^二"},
            {},
        )
    )

    assert "IssuerOfPatientID, 2 values in 1 and 1 images" in told
    assert "PatientName (ideographic), 2 values in 1 and 1 images" in told
    assert "alphabetic" not in told


def test_everything_that_differs_is_told_at_once() -> None:
    told = disagreement(headers({}, {"PatientID": "2", "PatientSex": "F"}, {"PatientID": "3"}))

    assert told.endswith(
        "PatientID, 3 values in 1, 1 and 1 images; PatientSex, 2 values in 2 and 1 images"
    )


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Mül^Ör".encode("latin-1")),
        (None, "Mül^Ör".encode("latin-1")),
        (None, "Mül^Ör".encode()),
        ("GB18030", "Mül^Ör".encode("gb18030")),
        ("ISO_IR 192", "Mu\u0308l^O\u0308r".encode()),
    ],
)
def test_a_name_is_the_same_in_every_character_set(
    charset: str | None, name: bytes, tmp_path: Any
) -> None:
    files = []
    for number, (said, raw) in enumerate([("ISO_IR 192", "Mül^Ör".encode()), (charset, name)]):
        ds = make_dataset(number, SpecificCharacterSet=said, PatientName="PLACEHOLDER^")
        path = write_part10(ds, tmp_path / f"{number}.dcm")
        whole = path.read_bytes()
        padded = raw.ljust(12)
        assert len(padded) == 12
        assert whole.count(b"PLACEHOLDER^") == 1
        path.write_bytes(whole.replace(b"PLACEHOLDER^", padded))
        files.append(path)

    assert disagreement(map(read_header, files)) == ""


def test_values_are_told_apart_from_the_reason_with_the_images_that_have_them() -> None:
    found = differences(
        headers({"PatientID": ""}, {}, {"PatientName": "SYNTHETIC^ONE"}, {"PatientName": "A^B"})
    )

    assert [(each.attribute, each.values) for each in found] == [
        ("PatientID", {"SYN-0001": [1, 2, 3], "": [0]}),
        ("PatientName (alphabetic)", {"Synthetic^One": [0, 1, 2], "A^B": [3]}),
    ]


def test_nothing_disagrees_with_nothing() -> None:
    assert disagreement([]) == ""

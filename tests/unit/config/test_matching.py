"""Which images a pipeline takes, hand-worked."""

from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from dicomnode.config.matching import matches
from dicomnode.config.pipelines import PipelineSettings
from tests.factories import make_dataset


def pipeline(**match: Any) -> PipelineSettings:
    return PipelineSettings.model_validate({"destinations": ["pacs"], "match": match})


def image(**changes: Any) -> Dataset:
    usual = {
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "StationName": "ROOM 1",
        "ImageType": ["ORIGINAL", "PRIMARY"],
    }
    return make_dataset(**(usual | changes))


def test_no_conditions_take_every_image() -> None:
    assert matches(pipeline(), image(), "ANY")


def test_a_pipeline_that_is_off_takes_none() -> None:
    off = PipelineSettings.model_validate({"destinations": ["pacs"], "enabled": False})

    assert not matches(off, image(), "ANY")


@pytest.mark.parametrize(
    "match",
    [
        {"modality": ["DX"]},
        {"modality": ["CR", "dx"]},
        {"modality": ["D*"]},
        {"body_part": ["chest"]},
        {"sop_class": ["CTImageStorage"]},
        {"sop_class": ["1.2.840.10008.5.1.4.1.1.2"]},
        {"calling_ae": ["XRAY"]},
        {"attributes": {"StationName": ["*1"]}},
        {"attributes": {"StationName": ["room*"]}},
        {"attributes": {"ImageType": ["PRIMARY"]}},
        {"attributes": {"Rows": ["16"]}},
        {"attributes": {"PatientName": ["SYNTHETIC*"]}},
        {"attributes": {"RescaleIntercept": ["-1024"]}},
        {"attributes": {"Laterality": []}},
        {"modality": ["DX"], "body_part": ["CHEST"], "attributes": {"StationName": ["*"]}},
    ],
)
def test_these_conditions_take_the_image(match: dict[str, Any]) -> None:
    assert matches(pipeline(**match), image(), "XRAY")


@pytest.mark.parametrize(
    "match",
    [
        {"modality": ["CR"]},
        {"modality": ["D"]},
        {"modality": ["D?"]},
        {"modality": ["[DX][DX]"]},
        {"body_part": ["HAND"]},
        {"sop_class": ["MRImageStorage"]},
        {"calling_ae": ["xray"]},
        {"calling_ae": ["X*"]},
        {"attributes": {"StationName": ["ROOM"]}},
        {"attributes": {"ImageType": ["ORIGINAL\\PRIMARY"]}},
        {"attributes": {"Laterality": ["*"]}},
        {"modality": ["DX"], "body_part": ["HAND"]},
        {"body_part": ["CHEST"], "attributes": {"BodyPartExamined": ["HAND"]}},
        {"body_part": ["HAND"], "attributes": {"BodyPartExamined": ["CHEST"]}},
    ],
)
def test_these_conditions_leave_the_image(match: dict[str, Any]) -> None:
    assert not matches(pipeline(**match), image(), "XRAY")


@pytest.mark.parametrize("value", ["", None, " "])
def test_an_empty_value_matches_nothing_not_even_a_star(value: str | None) -> None:
    header = image()
    header.BodyPartExamined = value

    assert not matches(pipeline(body_part=["*"]), header, "XRAY")


def test_a_value_that_cannot_be_read_does_not_match() -> None:
    header = image()
    tag = Tag("Rows")
    header[tag] = RawDataElement(tag, "US", 3, b"\x01\x02\x03", 0, False, True)

    assert not matches(pipeline(attributes={"Rows": ["*"]}), header, "XRAY")


def test_the_spaces_round_a_calling_title_do_not_count() -> None:
    assert matches(pipeline(calling_ae=["XRAY"]), image(), " XRAY ")


@pytest.mark.filterwarnings("ignore:Invalid value for VR IS")
@pytest.mark.parametrize("raw", [b"1e999 ", b"inf ", b"many"])
def test_a_number_that_is_none_does_not_match_and_stops_nobody(raw: bytes) -> None:
    ds = image()
    tag = Tag("SeriesNumber")
    ds[tag] = RawDataElement(tag, "IS", len(raw), raw, 0, False, True)
    assert not matches(pipeline(attributes={"SeriesNumber": ["1"]}), ds, "ANY")

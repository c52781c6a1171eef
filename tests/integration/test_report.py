"""Results read back by highdicom, and built from frames of every size."""

from io import BytesIO

import pytest
from highdicom import sr
from pydicom import Dataset

from dicomnode.answers import Result
from tests.unit.report.samples import made, make_ct, make_header, make_source, picture_of


def read_back(results: tuple[Result, ...]) -> Dataset:
    document: Dataset = sr.srread(BytesIO(results[-1].part10))
    return document


@pytest.mark.parametrize("regions", [0, 1, 3])
def test_highdicom_reads_the_report_and_finds_its_regions(regions: int) -> None:
    document = read_back(made(regions=regions))
    groups = document.content.get_planar_roi_measurement_groups()
    assert len(groups) == regions + 1
    assert groups[0].tracking_identifier == "Whole image"
    assert len(groups[0].get_measurements()) == 4


def test_highdicom_finds_the_algorithm_and_the_image_of_a_ct_region() -> None:
    document = read_back(made(make_ct(5)))
    _, region = document.content.get_planar_roi_measurement_groups()
    assert region.tracking_identifier == "Pleural effusion, region 1"
    assert region.get_measurements()[0].value == 97.0


def test_a_large_radiograph_keeps_every_pixel_and_gets_a_panel() -> None:
    picture = picture_of(made(make_source(make_header(rows=4000, columns=3000))))
    assert picture.Rows == 4000
    assert 4500 < picture.Columns < 6500
    assert len(picture.PixelData) == picture.Rows * picture.Columns * 3


def test_a_small_image_gets_a_panel_that_can_be_read() -> None:
    picture = picture_of(made(make_source(make_header(rows=128, columns=128))))
    assert picture.Columns == 128 + 350
    assert picture.Rows > 400
    assert not picture.pixel_array[128:, :128].any()

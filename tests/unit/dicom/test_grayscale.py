"""From stored values to what is seen: numbers worked by hand from PS3.3 C.7.6.3, C.11.1, C.11.2."""

from typing import Any

import numpy as np
import pytest
from pydicom import DataElement
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from tests.unit.dicom.images import image, only, shown, table


def test_spreads_the_full_range_of_values_where_there_is_no_window() -> None:
    assert shown(image([[100, 200], [300, 500]])) == [[0, 0.25], [0.5, 1]]


def test_shows_an_image_of_one_value_as_black() -> None:
    assert shown(image([[7, 7], [7, 7]])) == [[0, 0], [0, 0]]


def test_a_linear_window_is_that_of_the_standard() -> None:
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5), c=2048, w=4096
    assert shown(image([[0, 1024], [2048, 4095]], WindowCenter=2048, WindowWidth=4096)) == [
        [0, round(1024 / 4095, 5)],
        [round(2048 / 4095, 5), 1],
    ]


def test_a_linear_exact_window_has_no_half_pixel_in_it() -> None:
    ds = image([[0, 10], [20, 30]], WindowCenter=20, WindowWidth=20, VOILUTFunction="LINEAR_EXACT")
    assert shown(ds) == [[0, 0], [0.5, 1]]


def test_a_sigmoid_window_never_quite_ends() -> None:
    # PS3.3 C.11.2.1.3.1: 1 / (1 + exp(-4 (x - c) / w))
    ds = image(
        [[50, 100], [150, 65535]], WindowCenter=100, WindowWidth=200, VOILUTFunction="SIGMOID"
    )
    low = 1 / (1 + np.e)
    assert shown(ds) == [[round(low, 5), 0.5], [round(1 - low, 5), 1]]


def test_a_window_one_wide_is_a_step() -> None:
    ds = image([[9, 10], [11, 12]], WindowCenter=10.5, WindowWidth=1)
    assert shown(ds) == [[0, 0], [1, 1]]


def test_the_first_of_several_windows_counts() -> None:
    ds = image([[0, 255], [0, 255]], WindowCenter=[128, 40], WindowWidth=[256, 80])
    assert shown(ds)[0] == [0, 1]


@pytest.mark.parametrize("width", [0, -5, 0.5])
def test_a_window_that_cannot_be_is_passed_over(width: float) -> None:
    ds = image([[100, 200], [300, 500]], WindowCenter=40, WindowWidth=width)
    assert shown(ds) == [[0, 0.25], [0.5, 1]]


def test_rescales_before_the_window() -> None:
    # 0, 1024, 1064, 3000 with intercept -1024: -1024, 0, 40, 1976 HU; window 40 of 401 wide
    ds = image(
        [[0, 1024], [1064, 3000]],
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=40.5,
        WindowWidth=401,
    )
    assert shown(ds) == [[0, 0.4], [0.5, 1]]


def test_a_rescale_slope_without_intercept_still_scales() -> None:
    ds = image([[0, 1], [2, 4]], RescaleSlope=0.5, WindowCenter=1.5, WindowWidth=3)
    assert shown(ds) == [[0, 0.25], [0.5, 1]]


def test_monochrome1_is_inverted() -> None:
    ds = image([[100, 200], [300, 500]], PhotometricInterpretation="MONOCHROME1")
    assert shown(ds) == [[1, 0.75], [0.5, 0]]


def test_reads_signed_values_of_fewer_bits_than_allocated() -> None:
    # 12 bits in 16: 0xF800 is -2048 whatever the four unused bits hold
    ds = image(
        [[0x0800, 0xF800], [0x0000, 0x07FF]],
        PixelRepresentation=1,
        WindowCenter=0,
        WindowWidth=4096,
    )
    assert shown(ds) == [[0, 0], [round(2048.5 / 4095 - 0.5 / 4095, 5), 1]]


def test_ignores_what_stands_in_unused_bits() -> None:
    ds = image([[0xF000, 0x3800], [0x0000, 0x0FFF]], WindowCenter=2048, WindowWidth=4096)
    assert shown(ds) == [[0, round(0x800 / 4095, 5)], [0, 1]]


def test_reads_eight_bit_images() -> None:
    ds = image(
        [[0, 51], [102, 255]],
        dtype="u1",
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        WindowCenter=128,
        WindowWidth=256,
    )
    assert shown(ds) == [[0, 0.2], [0.4, 1]]


def test_a_modality_lut_comes_before_the_window() -> None:
    # Values 2, 3, 4, 5 through a table that begins at 3 and has three entries.
    ds = image(
        [[2, 3], [4, 5]],
        ModalityLUTSequence=table(3, [10, 20, 50]),
        WindowCenter=30.5,
        WindowWidth=41,
    )
    assert shown(ds) == [[0, 0], [0.25, 1]]


def test_a_modality_lut_may_begin_below_zero() -> None:
    ds = image(
        [[-2, -1], [0, 1]],
        dtype="<i2",
        PixelRepresentation=1,
        ModalityLUTSequence=table(-1, [0, 100, 200]),
    )
    assert shown(ds) == [[0, 0], [0.5, 1]]


def test_a_voi_lut_wins_over_a_window_and_is_scaled_by_its_bits() -> None:
    ds = image(
        [[0, 1], [2, 9]],
        VOILUTSequence=table(0, [0, 255, 1023], bits=10),
        WindowCenter=5,
        WindowWidth=2,
    )
    assert shown(ds) == [[0, round(255 / 1023, 5)], [1, 1]]


def test_a_voi_lut_may_pack_entries_of_eight_bits_in_bytes() -> None:
    tables = table(0, [0, 0, 0, 0])
    tables[0].LUTData = bytes([0, 51, 102, 255])
    assert shown(image([[0, 1], [2, 3]], VOILUTSequence=tables)) == [[0, 0.2], [0.4, 1]]


def test_a_voi_lut_may_be_a_list_of_numbers() -> None:
    tables = table(0, [0, 0])
    tables[0]["LUTData"] = DataElement("LUTData", "US", [0, 255])
    assert shown(image([[0, 1], [0, 1]], VOILUTSequence=tables)) == [[0, 1], [0, 1]]


def test_reads_a_big_endian_table() -> None:
    tables = table(0, [0, 0, 0, 0], bits=16)
    tables[0].LUTData = np.array([0, 13107, 26214, 65535], dtype=">u2").tobytes()
    ds = image([[0, 1], [2, 3]], dtype=">u2", syntax=ExplicitVRBigEndian, VOILUTSequence=tables)
    assert shown(ds) == [[0, 0.2], [0.4, 1]]


def test_padding_is_black_and_does_not_stretch_the_range() -> None:
    ds = image([[0, 100], [200, 300]], PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    ds["PixelPaddingValue"].VR = "US"
    assert shown(ds) == [[0, 1], [0.5, 0]]


def test_padding_may_be_a_range() -> None:
    ds = image([[0, 10], [20, 30]], PixelPaddingValue=0, PixelPaddingRangeLimit=10)
    ds["PixelPaddingValue"].VR = ds["PixelPaddingRangeLimit"].VR = "US"
    assert shown(ds) == [[0, 0], [0, 1]]


@pytest.mark.parametrize("dtype", ["<u2", "<i2", ">u2", "u1"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"WindowCenter": 90, "WindowWidth": 120, "VOILUTFunction": "SIGMOID"},
        {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 7},
        {"PixelPaddingValue": 7, "PixelPaddingRangeLimit": 200},
        {"ModalityLUTSequence": table(3, [0, 50, 10, 255]), "RescaleSlope": 2},
    ],
    ids=["full range", "window", "padding", "only padding", "table"],
)
def test_a_large_image_is_shown_value_by_value_like_a_small_one(
    dtype: str, changes: dict[str, Any]
) -> None:
    small = np.array([[3, 200, 7, 90], [5, 7, 60, 31]])
    told = changes | {
        "BitsAllocated": 8 * np.dtype(dtype).itemsize,
        "BitsStored": 8 * np.dtype(dtype).itemsize,
        "HighBit": 8 * np.dtype(dtype).itemsize - 1,
        "PixelRepresentation": int("i" in dtype),
        "syntax": ExplicitVRBigEndian if ">" in dtype else ExplicitVRLittleEndian,
        "dtype": dtype,
    }
    large = only(image(np.tile(small, (150, 75)), **told)).pixels
    assert (large == np.tile(only(image(small, **told)).pixels, (150, 75))).all()


@pytest.mark.parametrize(
    ("attribute", "values", "aspect"),
    [
        ("PixelSpacing", [0.8, 0.4], 2.0),
        ("ImagerPixelSpacing", [0.2, 0.4], 0.5),
        ("NominalScannedPixelSpacing", [0.3, 0.2], 1.5),
        ("PixelAspectRatio", [4, 1], 4.0),
        ("PixelSpacing", [0, 1], 1.0),
        ("PixelSpacing", [0.5], 1.0),
    ],
)
def test_knows_the_shape_of_a_pixel(attribute: str, values: list[float], aspect: float) -> None:
    spacing: dict[str, Any] = {attribute: values}
    assert only(image([[0, 1]], **spacing)).aspect == pytest.approx(aspect)

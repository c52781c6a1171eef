"""What a presentation state says gives the grey values that `frames` gives: PS3.3 C.11."""

from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian

from dicomnode.dicom.appearance import appearance
from dicomnode.dicom.pixels import frames
from dicomnode.errors import NotAnalysable
from tests.unit.dicom.images import attributes, group, image, table

STORED = [[0, 1, 2, 3], [10, 20, 30, 40]]
CASES: dict[str, dict[str, Any]] = {
    "a window": {"WindowCenter": 20, "WindowWidth": 21},
    "rescale and window": {
        "RescaleSlope": 2, "RescaleIntercept": -10, "WindowCenter": 30, "WindowWidth": 60,
    },
    "rescale without a window": {"RescaleSlope": 2, "RescaleIntercept": -10},
    "nothing": {},
    "nothing but padding": {"PixelPaddingValue": 40},
    "a VOI LUT": {"VOILUTSequence": table(0, list(range(0, 205, 5)))},
    "a modality LUT": {"ModalityLUTSequence": table(0, list(range(50, 9, -1)))},
    "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 20,
                    "WindowWidth": 21},
    "another function": {"WindowCenter": 20, "WindowWidth": 20, "VOILUTFunction": "LINEAR_EXACT"},
    "a function that is none": {"WindowCenter": 20, "WindowWidth": 20, "VOILUTFunction": "CUBIC"},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_viewer_that_obeys_shows_what_frames_gives(case: str) -> None:
    ds = image(STORED, **CASES[case])
    said = appearance(ds)
    inverse = said.PresentationLUTShape == "INVERSE"
    obeyed = image(STORED, PhotometricInterpretation=f"MONOCHROME{1 if inverse else 2}")
    obeyed.update(said)
    seen, meant = (next(frames(each)).pixels for each in (obeyed, ds))
    unpadded = np.asarray(STORED) != CASES[case].get("PixelPaddingValue", -1)
    assert seen[unpadded] == pytest.approx(meant[unpadded], abs=1e-6)
    assert "WindowCenter" in said or "VOILUTSequence" in said


def test_a_header_without_pixels_and_window_says_no_window() -> None:
    ds = image(STORED)
    del ds.PixelData
    assert "WindowCenter" not in appearance(ds)


def test_words_that_have_no_place_in_a_presentation_state_are_left_out() -> None:
    ds = image(STORED, RescaleSlope=1, WindowCenter=20, WindowWidth=20, VOILUTFunction="CUBIC")
    assert "VOILUTFunction" not in appearance(ds)
    for odd, told in (("HU\\US", "HU"), ("HU\n", "HU"), ("", "US"), ("x" * 65, "US")):
        ds.add(DataElement("RescaleType", "LO", odd, validation_mode=config.IGNORE))
        assert appearance(ds).RescaleType == told


def test_every_window_that_its_function_allows_is_kept() -> None:
    said = appearance(image(STORED, WindowCenter=[40, 400], WindowWidth=[80, 0]))
    assert said.WindowCenter == 40
    said = appearance(image(STORED, WindowCenter=[40, 400], WindowWidth=[80, 2000]))
    assert list(said.WindowWidth) == [80, 2000]


def test_a_frame_has_the_grey_scale_of_its_functional_groups() -> None:
    own = [
        group(
            FrameVOILUTSequence=attributes(WindowCenter=center, WindowWidth=100),
            PixelValueTransformationSequence=attributes(
                RescaleSlope=1, RescaleIntercept=-center, RescaleType="HU"
            ),
        )
        for center in (1000, 2000)
    ]
    ds = image(STORED, PerFrameFunctionalGroupsSequence=own)
    said = appearance(ds, 2)
    assert (said.WindowCenter, said.RescaleIntercept, said.RescaleType) == (2000, -2000, "HU")


def test_pixels_that_are_not_square_stay_so() -> None:
    assert list(appearance(image(STORED, PixelSpacing=[0.6, 0.4])).PixelAspectRatio) == [3, 2]
    assert list(appearance(image(STORED)).PixelAspectRatio) == [1, 1]


@pytest.mark.parametrize("keyword", ["BitsStored", "NumberOfFrames"])
def test_broken_attributes_are_no_crash(keyword: str) -> None:
    ds = image(STORED)
    ds[keyword] = RawDataElement(Tag(keyword), "US", 3, b"\0\1\2", 0, False, True)
    with pytest.raises(NotAnalysable):
        list(frames(ds))
    with pytest.raises(NotAnalysable):
        appearance(ds)


@pytest.mark.parametrize(
    "odd", [{"PixelAspectRatio": "1e400\\1"}, {"PixelSpacing": "1e300\\1e-300"},
            {"PixelSpacing": "1e-9\\1"}, {"ImagerPixelSpacing": "0\\0"}],
)  # fmt: skip
def test_pixels_that_no_device_makes_count_as_square(odd: dict[str, str]) -> None:
    ds = image(STORED)
    for keyword, value in odd.items():
        raw = RawDataElement(
            Tag(keyword), dictionary_VR(keyword), 0, value.encode(), 0, False, True
        )
        ds[keyword] = raw
    assert list(appearance(ds).PixelAspectRatio) == [1, 1]
    assert next(frames(ds)).aspect == 1


def test_a_table_in_big_endian_or_bytes_is_written_in_little_endian_words() -> None:
    voi = table(-3, [1, 2, 300], 16)
    voi[0].LUTData = np.array([1, 2, 300], dtype=">u2").tobytes()
    ds = image(STORED, dtype=">u2", syntax=ExplicitVRBigEndian, VOILUTSequence=voi)
    (item,) = appearance(ds).VOILUTSequence
    assert item.LUTData == np.array([1, 2, 300], dtype="<u2").tobytes()
    assert (list(item.LUTDescriptor), item["LUTDescriptor"].VR) == ([3, -3, 16], "SS")

"""Numbers worked by hand from PS3.3 C.7.6.3, C.11.1, C.11.2, and files as they are met."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import DataElement, Dataset, FileMetaDataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicomnode.dicom.pixels import MAX_PIXELS, Frame, display, frames
from dicomnode.errors import NotAnalysable
from tests.factories import make_dataset

FILES = Path(pydicom.__file__).parent / "data" / "test_files"


def image(
    stored: Any, *, dtype: str = "<u2", syntax: str = ExplicitVRLittleEndian, **changes: Any
) -> Dataset:
    """An image with these stored values, rows by columns, no rescale and no window."""
    values = np.asarray(stored)
    usual: dict[str, Any] = {
        "RescaleIntercept": None,
        "RescaleSlope": None,
        "PixelData": values.astype(dtype).tobytes(),
    }
    rows, columns = values.shape[:2]
    ds = make_dataset(rows=rows, columns=columns, **(usual | changes))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    return ds


def table(first: int, entries: list[int], bits: int = 8) -> Sequence:
    """A LUT sequence (PS3.3 C.11.1) with its data as OW."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = np.array(entries, dtype="<u2").tobytes()
    item["LUTData"].VR = "OW"
    return Sequence([item])


def group(**macros: Dataset) -> Dataset:
    """One item of a functional groups sequence."""
    ds = Dataset()
    for keyword, item in macros.items():
        setattr(ds, keyword, Sequence([item]))
    return ds


def attributes(**values: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def only(dataset: Dataset) -> Frame:
    (frame,) = frames(dataset)
    return frame


def shown(dataset: Dataset) -> list[list[float]]:
    """Display values, rounded to five digits."""
    pixels = only(dataset).pixels
    assert pixels.dtype == np.float32
    rounded: list[list[float]] = np.round(pixels.astype(float), 5).tolist()
    return rounded


# --- from stored values to display values ---------------------------------------------------


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


# --- colour -----------------------------------------------------------------------------------

RED_GREEN_BLUE = [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]]
LUMINANCE = [[0.299, 0.587], [0.114, 1.0]]  # PS3.3 C.7.6.3.1.2


def colour(stored: Any, photometric: str, **changes: Any) -> Dataset:
    usual: dict[str, Any] = {
        "SamplesPerPixel": 3, "PlanarConfiguration": 0, "BitsAllocated": 8, "BitsStored": 8,
        "HighBit": 7, "PhotometricInterpretation": photometric,
    }  # fmt: skip
    return image(stored, dtype="u1", **(usual | changes))


def test_colours_become_luminance_and_stay_for_display() -> None:
    frame = only(colour(RED_GREEN_BLUE, "RGB"))
    assert np.allclose(frame.pixels, LUMINANCE, atol=1e-6)
    assert frame.rgb is not None
    assert display(frame).tolist() == RED_GREEN_BLUE


def test_colour_planes_may_follow_each_other() -> None:
    planes = np.transpose(np.array(RED_GREEN_BLUE), (2, 0, 1))
    ds = colour(
        RED_GREEN_BLUE, "RGB", PlanarConfiguration=1, PixelData=planes.astype("u1").tobytes()
    )
    assert display(only(ds)).tolist() == RED_GREEN_BLUE


def test_ybr_becomes_rgb() -> None:
    # PS3.3 C.7.6.3.1.2: pure red is Y 76, CB 85, CR 255
    frame = only(colour([[[76, 85, 255], [255, 128, 128]]], "YBR_FULL"))
    assert np.abs(display(frame).astype(int) - [[[255, 0, 0], [255, 255, 255]]]).max() <= 1


def test_ybr_with_shared_colours_becomes_rgb() -> None:
    # YBR_FULL_422 stores two Y for each CB and CR: 76 76 85 255 is two red pixels
    ds = colour([[[0, 0, 0], [0, 0, 0]]], "YBR_FULL_422", PixelData=bytes([76, 76, 85, 255]))
    assert np.abs(display(only(ds)).astype(int) - [[[255, 0, 0]] * 2]).max() <= 1


def palette(bits: int) -> dict[str, Any]:
    full = 2**bits - 1
    dtype = "<u2" if bits == 16 else "u1"
    data = {"Red": [full, 0, 0, full], "Green": [0, full, 0, full], "Blue": [0, 0, full, full]}
    found: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in data.items():
        found[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, bits]
        found[f"{name}PaletteColorLookupTableData"] = np.array(values, dtype=dtype).tobytes()
    return found


@pytest.mark.parametrize("bits", [8, 16])
def test_palette_colours_are_looked_up(bits: int) -> None:
    ds = image(
        [[0, 1], [2, 3]], dtype="u1", BitsAllocated=8, BitsStored=8, HighBit=7, **palette(bits)
    )
    frame = only(ds)
    assert display(frame).tolist() == RED_GREEN_BLUE
    assert np.allclose(frame.pixels, LUMINANCE, atol=1e-6)


def test_displays_a_grey_image_as_three_equal_colours() -> None:
    picture = display(only(image([[0, 50], [100, 250]])))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[0] * 3, [51] * 3], [[102] * 3, [255] * 3]]


# --- frames and their names -------------------------------------------------------------------


def three_frames(**changes: Any) -> Dataset:
    stored = np.array([[[0, 1]], [[2, 3]], [[4, 5]]], dtype="<u2")
    return image([[0, 0]], NumberOfFrames=3, PixelData=stored.tobytes(), **changes)


def test_names_a_single_frame_by_its_image_alone() -> None:
    ds = image([[0, 1]])
    ref = only(ds).ref
    assert (ref.frame, ref.rows, ref.columns) == (None, 1, 2)
    assert ref.image.sop_instance_uid == ds.SOPInstanceUID
    assert ref.image.study_uid == ds.StudyInstanceUID


def test_numbers_frames_from_one() -> None:
    ds = three_frames(WindowCenter=3, WindowWidth=6)
    assert [frame.ref.frame for frame in frames(ds)] == [1, 2, 3]
    assert [np.rint(frame.pixels * 5).tolist() for frame in frames(ds)] == [
        [[0, 1]],
        [[2, 3]],
        [[4, 5]],
    ]


def test_gives_the_frames_that_are_asked_for() -> None:
    (frame,) = frames(three_frames(WindowCenter=3, WindowWidth=6), [3])
    assert frame.ref.frame == 3
    assert np.rint(frame.pixels * 5).tolist() == [[4, 5]]


@pytest.mark.parametrize("number", [0, 4, -1])
def test_refuses_a_frame_that_is_not_there(number: int) -> None:
    with pytest.raises(NotAnalysable, match="not one of 1 to 3"):
        next(frames(three_frames(), [number]))


def test_each_frame_of_an_enhanced_image_has_its_own_rescale_window_and_spacing() -> None:
    own = [
        group(
            PixelValueTransformationSequence=attributes(RescaleSlope=slope, RescaleIntercept=0),
            FrameVOILUTSequence=attributes(WindowCenter=5.5, WindowWidth=11),
        )
        for slope in (1, 2, 0.5)
    ]
    shared = group(PixelMeasuresSequence=attributes(PixelSpacing=[2, 1]))
    ds = three_frames(
        PerFrameFunctionalGroupsSequence=Sequence(own),
        SharedFunctionalGroupsSequence=Sequence([shared]),
    )
    assert [frame.pixels.round(5).tolist() for frame in frames(ds)] == [
        [[0, np.float32(0.1).item()]],
        [[np.float32(0.4).item(), np.float32(0.6).item()]],
        [[np.float32(0.2).item(), np.float32(0.25).item()]],
    ]
    assert {frame.aspect for frame in frames(ds)} == {2.0}


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


# --- transfer syntaxes ------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_lossless_compression_changes_no_value(syntax: str) -> None:
    values = np.arange(4096).reshape(64, 64)
    plain, packed = (image(values, WindowCenter=2048, WindowWidth=4096) for _ in range(2))
    packed.compress(syntax, generate_instance_uid=False)
    assert packed.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(only(packed).pixels, only(plain).pixels)


def _readable() -> list[Path]:
    return sorted(FILES.glob("*.dcm"))


@pytest.mark.parametrize("path", _readable(), ids=lambda path: path.name)
def test_a_file_as_met_in_the_field_decodes_or_is_not_analysable(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of reading; decoding is what is tested
        ds = dcmread(path, force=True)
    try:
        found = list(frames(ds))
    except NotAnalysable:
        return
    assert found
    for frame in found:
        assert frame.pixels.shape == (ds.Rows, ds.Columns)
        assert frame.pixels.min() >= 0
        assert frame.pixels.max() <= 1
        assert display(frame).shape == (ds.Rows, ds.Columns, 3)


@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm",
        "ExplVR_BigEnd.dcm",
        "GDCMJ2K_TextGBR.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "JPEGLSNearLossless_16.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "examples_palette.dcm",
        "examples_ybr_color.dcm",
        "image_dfl.dcm",
    ],
)
def test_a_sound_file_decodes(name: str) -> None:
    assert list(frames(dcmread(FILES / name)))


def test_the_same_picture_looks_the_same_in_every_encoding() -> None:
    names = ("implicit", "bigendian", "RLE", "jp2klossless", "jpeg_ls_lossless")
    plain = only(dcmread(FILES / "MR_small.dcm")).pixels
    for name in names:
        assert np.array_equal(only(dcmread(FILES / f"MR_small_{name}.dcm")).pixels, plain), name


# --- refusals ---------------------------------------------------------------------------------


def _big_endian() -> NDArray[np.uint16]:
    return np.array([[0, 1], [2, 3]], dtype=np.uint16)


def test_reads_a_big_endian_table() -> None:
    tables = table(0, [0, 0, 0, 0], bits=16)
    tables[0].LUTData = np.array([0, 13107, 26214, 65535], dtype=">u2").tobytes()
    ds = image(_big_endian(), dtype=">u2", syntax=ExplicitVRBigEndian, VOILUTSequence=tables)
    assert shown(ds) == [[0, 0.2], [0.4, 1]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PixelData": None}, "no pixel data"),
        ({"Rows": None}, "no rows"),
        ({"Columns": 0}, "no columns"),
        ({"PixelData": b"\0\0"}, "ends early: 2 of 8 bytes"),
        ({"NumberOfFrames": 5}, "ends early: 8 of 40 bytes"),
        ({"Rows": 60000, "Columns": 60000}, f"exceeds {MAX_PIXELS} pixels"),
        ({"syntax": MPEG2MPML}, "no decoder for the transfer syntax"),
        ({"syntax": "1.2.3"}, "no decoder for the transfer syntax"),
        ({"syntax": ""}, "not named in the file"),
        ({"BitsAllocated": None}, "attributes of the pixels are wrong"),
        ({"PhotometricInterpretation": None}, "attributes of the pixels are wrong"),
        ({"ModalityLUTSequence": Sequence([Dataset()])}, "attributes of the pixels are wrong"),
    ],
)
def test_refuses_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(NotAnalysable, match=words):
        list(frames(image([[0, 1], [2, 3]], **changes)))


def test_refuses_a_damaged_codestream() -> None:
    ds = image([[0, 1], [2, 3]], syntax=JPEG2000Lossless)
    ds.PixelData = encapsulate([b"\xff\x4f\xff\x90 this is no image at all"])
    ds["PixelData"].is_undefined_length = True
    with pytest.raises(NotAnalysable, match="cannot be decoded"):
        list(frames(ds))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_refuses_a_codestream_larger_than_its_image(syntax: str) -> None:
    ds = image(np.arange(4096).reshape(64, 64))
    ds.compress(syntax, generate_instance_uid=False)
    ds.Rows = 32
    with pytest.raises(NotAnalysable, match="not of the size the image states"):
        list(frames(ds))


def test_refuses_a_compressed_image_that_lacks_frames() -> None:
    ds = image(np.arange(256).reshape(16, 16))
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.NumberOfFrames = 2
    with pytest.raises(NotAnalysable, match="frame 2 of 2"):
        list(frames(ds))


def test_an_absurd_number_of_frames_costs_no_time() -> None:
    ds = image(np.arange(256).reshape(16, 16))
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.NumberOfFrames = 2**31 - 1
    assert next(frames(ds)).ref.frame == 1


def test_says_nothing_of_the_patient_when_it_refuses() -> None:
    with pytest.raises(NotAnalysable) as caught:
        list(frames(image([[0, 1]], PixelData=b"")))
    assert "SYNTHETIC" not in str(caught.value)

"""Frames as they are met: colours, numbers, transfer syntaxes, refusals (PS3.3 C.7.6.3)."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import MPEG2MPML, JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicomnode.dicom.pixels import MAX_PIXELS, display, frames, measured
from dicomnode.errors import NotAnalysable
from tests.unit.dicom.images import attributes, group, image, only

FILES = Path(pydicom.__file__).parent / "data" / "test_files"


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


def test_refuses_an_attribute_of_an_unknown_kind() -> None:
    ds = image([[0, 1], [2, 3]])
    tag = Tag("PhotometricInterpretation")
    ds._dict[tag] = RawDataElement(tag, "QQ", 12, b"MONOCHROME2 ", 0, False, True)
    with pytest.raises(NotAnalysable, match="attributes of the pixels are wrong"):
        list(measured(ds))


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

"""The Secondary Capture: the frame untouched but for heat, and what is inherited."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dicomnode.answers import Presence, Refusal
from dicomnode.errors import Cause, ReportError
from dicomnode.records import ResultKind
from dicomnode.report.drawn.capture import placard_capture
from dicomnode.report.drawn.placard import not_analysed
from dicomnode.report.drawn.sheet import BACKGROUND
from dicomnode.report.part10 import finished
from dicomnode.report.request import Source
from dicomnode.report.results import make_results
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    chest,
    frame_of,
    made,
    make_ct,
    make_finding,
    make_header,
    make_prediction,
    make_source,
    picture_of,
    raw_header,
    read,
)


def test_the_frame_stands_at_the_origin_unscaled_and_cold_where_there_is_no_heat() -> None:
    source = make_source(make_header(rows=128, columns=96))
    picture = picture_of(made(source)).pixel_array
    frame = chest(128, 96)
    (hot,) = (f.heat for f in make_prediction(source).findings if f.heat is not None)

    cold = hot < 0.1
    assert (picture[:128, :96][cold] == frame[cold]).mean() > 0.99  # the outline is there too
    assert not (picture[:128, :96][hot > 0.8] == frame[hot > 0.8]).all(axis=-1).any()


def test_with_nothing_found_the_first_frame_is_shown_as_it_is() -> None:
    picture = picture_of(made(make_source(make_header(rows=100, columns=80)), regions=0))
    assert (picture.pixel_array[:100, :80] == chest(100, 80)).all()
    assert "no finding above its threshold" in picture.DerivationDescription


def test_there_is_one_picture_for_each_present_finding_most_probable_first() -> None:
    source = make_source()
    prediction = make_prediction(source)
    frame = frame_of(source.headers[0])
    second = make_finding("Nodule", frame, 0.99, heat=np.ones((160, 160), dtype=np.float32))
    prediction = replace(prediction, findings=(*prediction.findings[:2], second))

    one, two, _ = [read(result) for result in make_results(source, prediction, ORDER)]

    assert "Nodule" in one.DerivationDescription
    assert "Pleural effusion" in two.DerivationDescription
    assert (one.InstanceNumber, two.InstanceNumber) == (1, 2)
    assert one.SeriesInstanceUID == two.SeriesInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID


def test_a_present_finding_without_heat_has_a_picture_too() -> None:
    source = make_source()
    frame = frame_of(source.headers[0])
    findings = (make_finding("Nodule", frame, 0.9, presence=Presence.PRESENT),)
    prediction = replace(make_prediction(source), findings=findings)
    picture = picture_of(make_results(source, prediction, ORDER))
    assert (picture.pixel_array[:160, :160] == chest(160, 160)).all()


def test_names_its_source_image_and_takes_its_modality() -> None:
    source = make_ct(3)
    picture = picture_of(made(source))
    (origin,) = picture.SourceImageSequence
    assert origin.ReferencedSOPInstanceUID == source.headers[1].SOPInstanceUID
    assert origin.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert origin.SpatialLocationsPreserved == "YES"
    (series,) = picture.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.headers[1].SeriesInstanceUID
    assert picture.Modality == "CT"
    assert picture.ImageType == ["DERIVED", "SECONDARY"]
    assert picture.ConversionType == "WSD"
    assert "WindowCenter" not in picture


@pytest.mark.parametrize("sent", ["YES", "NO", None])
def test_burned_in_annotation_is_inherited_and_never_claimed(sent: str | None) -> None:
    picture = picture_of(made(make_source(make_header(BurnedInAnnotation=sent))))
    assert picture.get("BurnedInAnnotation") == sent


@pytest.mark.parametrize("odd", [b"UNKNOWN", b"N", b"YES\\NO", b"\xff"])
def test_flags_that_say_neither_yes_nor_no_say_nothing(odd: bytes) -> None:
    header = raw_header(BurnedInAnnotation=odd, RecognizableVisualFeatures=odd)
    picture = picture_of(made(make_source(header)))
    assert "BurnedInAnnotation" not in picture
    assert "RecognizableVisualFeatures" not in picture


def test_lossy_compression_is_inherited_with_ratio_and_method() -> None:
    lossy = make_header(
        LossyImageCompression="01",
        LossyImageCompressionRatio=["10", "5.5"],
        LossyImageCompressionMethod=["ISO_10918_1", "ISO_15444_1"],
    )
    picture = picture_of(made(make_source(lossy)))
    assert picture.LossyImageCompression == "01"
    assert list(picture.LossyImageCompressionRatio) == [10, 5.5]
    assert picture.LossyImageCompressionMethod == ["ISO_10918_1", "ISO_15444_1"]
    assert "LossyImageCompression" not in picture_of(made())


@pytest.mark.parametrize(
    ("header", "rows", "columns"),
    [
        ({"PixelSpacing": [0.5, 0.25]}, 320, 160),
        ({"PixelAspectRatio": [1, 2]}, 160, 320),
        ({"ImagerPixelSpacing": [0.143, 0.1425]}, 160, 160),
        ({"PixelSpacing": [1.0, 0.0]}, 160, 160),
        ({"PixelSpacing": [100.0, 0.1]}, 160, 160),
        ({}, 160, 160),
    ],
    ids=["tall", "wide", "almost square", "zero", "absurd", "unknown"],
)
def test_pixels_that_are_not_square_are_made_so(
    header: dict[str, list[float]], rows: int, columns: int
) -> None:
    changed = make_header()
    for keyword, value in header.items():
        setattr(changed, keyword, value)
    picture = picture_of(made(make_source(changed), regions=0))
    shown = picture.pixel_array[:rows, :columns]
    unscaled = (rows, columns) == (160, 160)

    near = np.abs(shown[:: rows // 160, :: columns // 160].astype(int) - chest(160, 160))
    assert np.median(near) <= (0 if unscaled else 6)
    assert (picture.pixel_array[0, columns] == BACKGROUND).all()
    (origin,) = picture.SourceImageSequence
    assert origin.SpatialLocationsPreserved == ("YES" if unscaled else "NO")
    assert "PixelAspectRatio" not in picture


def test_a_source_that_says_nothing_of_side_or_direction_leaves_both_empty() -> None:
    bare = make_header(BodyPartExamined=None, PatientOrientation=None, Modality=None)
    picture = picture_of(made(make_source(bare)))
    assert picture.Laterality is None or picture.Laterality == ""
    assert not picture.PatientOrientation
    assert picture.Modality == "OT"
    paired = make_header(BodyPartExamined="BREAST", Laterality="L")
    assert picture_of(made(make_source(paired))).Laterality == "L"


def test_refuses_a_display_or_a_heat_map_of_another_size() -> None:
    source = make_source()
    small = Source(headers=source.headers, display=lambda _: chest(10, 10))
    with pytest.raises(ReportError):
        made(small)

    prediction = make_prediction(source)
    hot = tuple(
        replace(f, heat=np.ones((7, 7), dtype=np.float32)) if f.heat is not None else f
        for f in prediction.findings
    )
    with pytest.raises(ReportError):
        make_results(source, replace(prediction, findings=hot), ORDER)


def test_refuses_a_frame_that_leaves_no_room_for_the_panel() -> None:
    source = make_source(make_header(rows=1, columns=65500))
    with pytest.raises(ReportError):
        made(source, regions=0)


def test_a_notice_is_a_picture_that_shows_no_image_and_names_no_patient() -> None:
    header = make_header(BurnedInAnnotation="YES", BodyPartExamined="BREAST", Laterality="R")
    refusal = Refusal(cause=Cause.VIEW, detail="no image is of a frontal view", model=MODEL)
    ds = placard_capture(
        header, not_analysed(refusal, ORDER), ORDER, uid="2.25.1", series_uid="2.25.2"
    )

    result = read(finished(ds, header, ResultKind.SC, {}))

    assert (result.SOPInstanceUID, result.SeriesInstanceUID) == ("2.25.1", "2.25.2")
    assert result.PatientID == header.PatientID
    assert "NOT ANALYSED" in result.SeriesDescription
    assert "SourceImageSequence" not in result
    assert (result.BurnedInAnnotation, result.Laterality) == ("NO", "R")
    assert result.pixel_array.shape[1] > 800
    assert len(np.unique(result.pixel_array)) > 20


def test_a_notice_about_what_is_no_image_takes_no_modality_from_it() -> None:
    header = make_header(Modality="SR")
    del header.Rows, header.Columns
    refusal = Refusal(cause=Cause.NO_IMAGE, detail="", model=MODEL)
    ds = placard_capture(
        header, not_analysed(refusal, ORDER), ORDER, uid="2.25.1", series_uid="2.25.2"
    )
    assert ds.Modality == "OT"
    ds = placard_capture(
        make_header(), not_analysed(refusal, ORDER), ORDER, uid="2.25.1", series_uid="2.25.2"
    )
    assert ds.Modality == "DX"


def test_of_two_modalities_none_is_the_one() -> None:
    assert picture_of(made(make_source(raw_header(Modality=b"DX\\CR")))).Modality == "OT"


def test_a_notice_needs_no_model() -> None:
    refusal = Refusal(cause=Cause.MODEL_FAILED, detail="", model=None)
    ds = placard_capture(
        make_header(), not_analysed(refusal, ORDER), ORDER, uid="2.25.1", series_uid="2.25.2"
    )
    assert read(finished(ds, ds, ResultKind.SC, {})).ManufacturerModelName == "dicomnode"


def test_an_odd_number_of_bytes_is_padded() -> None:
    source = make_source(make_header(rows=911, columns=160))
    for columns in (160, 161):
        source.headers[0].Columns = columns
        picture = picture_of(made(source))
        assert len(picture.PixelData) % 2 == 0
        assert len(picture.PixelData) - picture.Rows * picture.Columns * 3 in (0, 1)


@pytest.mark.parametrize(
    ("changes", "series", "image"),
    [
        ({"ImageLaterality": "L"}, None, "L"),
        ({"ImageLaterality": "U"}, None, None),
        ({"Laterality": "R"}, "R", None),
        ({"Laterality": "R", "ImageLaterality": "R"}, "R", None),
        ({"BodyPartExamined": None, "ImageLaterality": "L"}, "", None),
    ],
)
def test_a_picture_of_a_knee_is_of_the_side_that_its_image_is_of(
    changes: dict[str, Any], series: str | None, image: str | None
) -> None:
    source = make_source(make_header(**({"BodyPartExamined": "KNEE"} | changes)))
    picture = picture_of(made(source))
    assert (picture.get("Laterality"), picture.get("ImageLaterality")) == (series, image)

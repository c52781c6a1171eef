"""The Secondary Capture: the frame untouched but for heat, and what is inherited."""

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.errors import ReportError
from dicomnode.records import Presence
from dicomnode.report.request import Source
from dicomnode.report.results import make_results
from tests.unit.report.samples import (
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
    ("header", "ratio"),
    [
        ({"PixelSpacing": [0.5, 0.25]}, [50000, 25000]),
        ({"ImagerPixelSpacing": [0.143, 0.143]}, None),
        ({"PixelAspectRatio": [2, 1]}, [2, 1]),
        ({}, None),
    ],
)
def test_pixels_that_are_not_square_stay_so(
    header: dict[str, list[float]], ratio: list[int] | None
) -> None:
    changed = make_header()
    for keyword, value in header.items():
        setattr(changed, keyword, value)
    picture = picture_of(made(make_source(changed)))
    assert picture.get("PixelAspectRatio") == ratio


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

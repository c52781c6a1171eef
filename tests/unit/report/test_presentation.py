"""Presentation states: lines and words on the frame that they are about, and its grey scale."""

from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset

from dicomnode.answers import Finding, FrameRef, Presence
from dicomnode.records import ResultKind
from dicomnode.report.request import Source
from tests.unit.report.samples import (
    MODEL,
    frame_of,
    made,
    made_of,
    make_ct,
    make_finding,
    make_header,
    make_prediction,
    make_source,
    raw_header,
    read,
    ring,
)

GSPS = frozenset({ResultKind.GSPS})


def state(source: Source | None = None, regions: int = 1, **order: Any) -> Dataset:
    (result,) = made(source, regions, kinds=GSPS, **order)
    return read(result)


def states(source: Source, *findings: Finding) -> list[Dataset]:
    return [read(result) for result in made_of(source, *findings, kinds=GSPS)]


def said(ds: Dataset) -> list[str]:
    return [
        item.TextObjectSequence[0].UnformattedTextValue for item in ds.GraphicAnnotationSequence
    ]


def lines(ds: Dataset) -> list[Dataset]:
    items = ds.GraphicAnnotationSequence
    return [line for item in items for line in item.get("GraphicObjectSequence", [])]


def test_each_region_is_a_closed_line_in_pixels_of_the_frame() -> None:
    source = make_source()
    drawn = lines(state(source, regions=2))
    outlines = [region.outline for region in make_prediction(source, 2).findings[1].regions]
    assert len(drawn) == len(outlines) == 2
    for line, outline in zip(drawn, outlines, strict=True):
        assert (line.GraphicType, line.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
        assert line.NumberOfGraphicPoints == len(outline)
        assert line.GraphicData[:2] == line.GraphicData[-2:] == pytest.approx(outline[0], abs=1e-3)


def test_a_line_that_leaves_the_frame_ends_at_its_edge() -> None:
    source = make_source(make_header(rows=100, columns=60))
    frame = frame_of(source.headers[0])
    (ds,) = states(source, make_finding("Nodule", frame, 0.9, regions=(ring(frame, 0.99, 0.5),)))
    (line,) = lines(ds)
    assert max(line.GraphicData[::2]) == 60
    assert line.GraphicFilled == "N"


MIND = f"Automated result, not verified by a physician.\r\n{MODEL.disclaimer}"


def test_finding_and_probability_stand_inside_the_image_and_the_caution_with_them() -> None:
    ds = state()
    assert said(ds) == [MIND, "Pleural effusion 97.0 %"]
    for item in ds.GraphicAnnotationSequence:
        (words,) = item.TextObjectSequence
        for corner in (words.BoundingBoxTopLeftHandCorner, words.BoundingBoxBottomRightHandCorner):
            assert all(0 <= number <= 160 for number in corner)


def test_every_region_has_the_name_of_its_finding_and_one_the_probability() -> None:
    assert said(state(regions=3))[1:] == [
        "Pleural effusion 97.0 %",
        "Pleural effusion",
        "Pleural effusion",
    ]


def test_every_mark_and_the_state_itself_are_labelled_unverified() -> None:
    ds = state()
    assert ds.ContentLabel == "AI UNVERIFIED"
    (layer,) = ds.GraphicLayerSequence
    assert layer.GraphicLayer == "AI UNVERIFIED"
    assert "not verified" in layer.GraphicLayerDescription
    assert {item.GraphicLayer for item in ds.GraphicAnnotationSequence} == {"AI UNVERIFIED"}


def test_words_are_in_the_language_of_the_order() -> None:
    assert said(state(language="de"))[1] == "Pleuraerguss 97,0 %"


def test_a_partial_study_is_called_partial_on_the_image() -> None:
    assert "307 of 412" in said(state(partial=True, received=307, expected=412))[0]


def test_a_finding_without_a_region_is_named_beside_the_caution() -> None:
    source = make_source()
    (ds,) = states(source, make_finding("Nodule", frame_of(source.headers[0]), 0.9))
    assert said(ds) == [f"{MIND}\r\nNodule 90.0 %"]
    assert lines(ds) == []


def test_where_nothing_is_present_there_is_none() -> None:
    assert made(regions=0, kinds=GSPS) == ()
    source = make_source()
    frame = frame_of(source.headers[0])
    unsure = make_finding(
        "Nodule", frame, 0.5, presence=Presence.UNDETERMINED, regions=(ring(frame, 0.5, 0.5),)
    )
    assert states(source, unsure) == []


@pytest.mark.parametrize("colour", ["RGB", "YBR_FULL_422", "PALETTE COLOR"])
def test_of_a_colour_image_there_is_none(colour: str) -> None:
    assert made(make_source(make_header(PhotometricInterpretation=colour)), kinds=GSPS) == ()


def test_each_frame_has_its_own_most_probable_first() -> None:
    source = make_source(make_header(NumberOfFrames=3), make_header(2))
    second, other = frame_of(source.headers[0], 2), frame_of(source.headers[1])
    objects = states(
        source, make_finding("Nodule", second, 0.7), make_finding("Cardiomegaly", other, 0.9)
    )
    pointed = [ds.ReferencedSeriesSequence[0].ReferencedImageSequence[0] for ds in objects]
    assert [item.ReferencedSOPInstanceUID for item in pointed] == [
        other.image.sop_instance_uid,
        second.image.sop_instance_uid,
    ]
    assert [item.get("ReferencedFrameNumber") for item in pointed] == [None, 2]
    marked = objects[1].GraphicAnnotationSequence[0].ReferencedImageSequence[0]
    assert marked.ReferencedFrameNumber == 2
    assert len({ds.SOPInstanceUID for ds in objects}) == 2
    assert len({ds.SeriesInstanceUID for ds in objects}) == 1


def test_the_grey_scale_is_that_of_the_header_where_nobody_looks_at_the_image() -> None:
    ds = state(make_source(make_header(WindowCenter=["40", "400"], WindowWidth=["80", "2000"])))
    (window,) = ds.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == ([40, 400], [80, 2000])
    assert (ds.RescaleIntercept, ds.RescaleSlope) == (-1024, 1)
    assert ds.PresentationLUTShape == "IDENTITY"
    plain = state(make_ct(3))
    assert "SoftcopyVOILUTSequence" not in plain


def test_the_grey_scale_is_what_was_seen_of_the_frame_where_somebody_looks() -> None:
    asked: list[FrameRef] = []

    def look(frame: FrameRef) -> Dataset:
        asked.append(frame)
        seen = Dataset()
        seen.PresentationLUTShape, seen.PixelAspectRatio = "INVERSE", [3, 2]
        seen.WindowCenter, seen.WindowWidth = "7", "9"
        return seen

    source = replace(make_source(), look=look)
    ds = state(source)
    assert asked == [make_prediction(source).findings[1].frame]
    assert ds.PresentationLUTShape == "INVERSE"
    assert ds.SoftcopyVOILUTSequence[0].WindowWidth == 9
    (area,) = ds.DisplayedAreaSelectionSequence
    assert area.PresentationPixelAspectRatio == [3, 2]
    assert area.DisplayedAreaTopLeftHandCorner == [1, 1]
    assert area.DisplayedAreaBottomRightHandCorner == [160, 160]


def test_a_monochrome1_image_stays_inverse() -> None:
    ds = state(make_source(make_header(PhotometricInterpretation="MONOCHROME1")))
    assert ds.PresentationLUTShape == "INVERSE"


def test_any_header_makes_one_and_the_same_arguments_the_same_bytes() -> None:
    poor = make_source(raw_header(WindowCenter=b"left", RescaleSlope=b"one"))
    assert "RescaleSlope" not in state(poor)
    assert made(poor, kinds=GSPS)[0].part10 == made(poor, kinds=GSPS)[0].part10

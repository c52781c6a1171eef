"""Segmentation: the same regions as everywhere, as bits, where the source says they lie."""

from dataclasses import replace
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.answers import Presence, Region
from dicomnode.records import ResultKind
from dicomnode.report.marks.area import inside
from dicomnode.report.request import Source
from dicomnode.report.results import make_results
from tests.unit.report.samples import (
    ORDER,
    frame_of,
    made,
    made_of,
    make_finding,
    make_header,
    make_prediction,
    make_source,
    raw_header,
    read,
    ring,
)

SEG = frozenset({ResultKind.SEG})


def slices(count: int = 5, **changes: Any) -> Source:
    """A CT series that says where its slices lie."""
    plane = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "Modality": "CT",
        "FrameOfReferenceUID": "2.25.77",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": ["0.7", "0.8"],
        "SliceThickness": "3",
    }
    return make_source(
        *(
            make_header(n, **plane | {"ImagePositionPatient": ["1", "2", str(3 * n)]} | changes)
            for n in range(1, count + 1)
        )
    )


def segmentation(source: Source | None = None, regions: int = 1, **order: Any) -> Dataset:
    (result,) = made(source, regions, kinds=SEG, **order)
    return read(result)


def test_each_present_finding_with_regions_is_a_segment_of_exactly_their_pixels() -> None:
    source = make_source(make_header(rows=33, columns=31))  # bits do not end with bytes
    frame = frame_of(source.headers[0])
    findings = (
        make_finding("Nodule", frame, 0.7, regions=(ring(frame, 0.3, 0.3),)),
        make_finding("Cardiomegaly", frame, 0.8),
        make_finding("Pneumothorax", frame, 0.2, regions=(ring(frame, 0.5, 0.5),)),
        make_finding(
            "Pleural effusion", frame, 0.9, regions=(ring(frame, 0.7, 0.6), ring(frame, 0.2, 0.8))
        ),
    )
    (result,) = made_of(source, *findings, kinds=SEG)
    seen = hd.seg.Segmentation.from_dataset(read(result))
    assert [seen.get_segment_description(n).segment_label for n in seen.segment_numbers] == [
        "Pleural effusion",
        "Nodule",
    ]
    bits = seen.get_pixels_by_source_instance([frame.image.sop_instance_uid])
    for segment, finding in ((0, findings[3]), (1, findings[0])):
        expected = inside(finding.regions, 33, 31)
        assert expected.any()
        assert np.array_equal(bits[0, :, :, segment], expected)


def test_a_segment_says_what_it_is_how_probable_and_by_which_model() -> None:
    (item,) = segmentation().SegmentSequence
    assert item.SegmentedPropertyTypeCodeSequence[0].CodeValue == "60046008"
    assert item.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert item.SegmentAlgorithmType == "AUTOMATIC"
    assert item.SegmentDescription.startswith("97.0 %")
    assert "not verified" in item.SegmentDescription
    (algorithm,) = item.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("demonstration", "1.0.0")
    assert "5e5e" in algorithm.AlgorithmParameters


def test_a_segment_is_called_as_in_the_language_of_the_order_and_coded_as_ever() -> None:
    (item,) = segmentation(language="de").SegmentSequence
    assert item.SegmentLabel == "Pleuraerguss"
    assert item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Pleural effusion"


def test_a_code_of_a_private_scheme_is_told_whose_it_is() -> None:
    source = make_source()
    frame = frame_of(source.headers[0])
    finding = make_finding("Hernia", frame, 0.9, regions=(ring(frame, 0.5, 0.5),))
    ds = read(made_of(source, finding, kinds=SEG)[0])
    (scheme,) = ds.CodingSchemeIdentificationSequence
    (kind,) = ds.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    assert scheme.CodingSchemeDesignator == kind.CodingSchemeDesignator == "99TEST"
    assert "CodingSchemeIdentificationSequence" not in segmentation()


@pytest.mark.parametrize("presence", [Presence.ABSENT, Presence.UNDETERMINED])
def test_without_a_present_finding_that_has_a_region_there_is_none(presence: Presence) -> None:
    assert made(regions=0, kinds=SEG) == ()
    source = make_source()
    frame = frame_of(source.headers[0])
    finding = make_finding(
        "Nodule", frame, 0.9, presence=presence, regions=(ring(frame, 0.5, 0.5),)
    )
    assert made_of(source, finding, kinds=SEG) == ()


def test_a_region_too_thin_for_a_pixel_makes_none() -> None:
    source = make_source()
    frame = frame_of(source.headers[0])
    thin = Region(outline=((3.1, 3.1), (3.2, 3.1), (3.2, 3.2)))
    finding = make_finding("Nodule", frame, 0.9, regions=(thin,))
    assert made_of(source, finding, kinds=SEG) == ()


def test_a_slice_gives_its_place_and_only_the_frame_that_was_seen() -> None:
    ds = segmentation(slices(5))
    assert ds.NumberOfFrames == 1
    assert ds.FrameOfReferenceUID == "2.25.77"
    (shared,), (frame,) = ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence
    assert frame.PlanePositionSequence[0].ImagePositionPatient == [1, 2, 9]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.7, 0.8]
    assert shared.PixelMeasuresSequence[0].SliceThickness == 3


def test_a_radiograph_has_no_place_but_its_source() -> None:
    source = make_source()
    ds = segmentation(source)
    (frame,) = ds.PerFrameFunctionalGroupsSequence
    assert "FrameOfReferenceUID" not in ds
    assert "PlanePositionSequence" not in frame
    (origin,) = frame.DerivationImageSequence[0].SourceImageSequence
    assert origin.ReferencedSOPInstanceUID == source.headers[0].SOPInstanceUID
    assert origin.SpatialLocationsPreserved == "YES"
    assert "ReferencedFrameNumber" not in origin


@pytest.mark.parametrize(
    ("told", "spacing"),
    [
        ({"PixelSpacing": ["0.2", "0.1"], "ImagerPixelSpacing": ["0.3", "0.3"]}, [0.2, 0.1]),
        ({"PixelSpacing": None, "ImagerPixelSpacing": ["0.3", "0.4"]}, [0.3, 0.4]),
    ],
)
def test_a_radiograph_has_pixel_measures_as_ohif_goes_down_without_them(
    told: dict[str, Any], spacing: list[float]
) -> None:
    ds = segmentation(make_source(make_header(**told)))
    (shared,) = ds.SharedFunctionalGroupsSequence
    (measures,) = shared.PixelMeasuresSequence
    assert list(measures.PixelSpacing) == spacing
    assert "PlaneOrientationSequence" not in shared


def test_where_no_spacing_is_known_none_is_made_up() -> None:
    ds = segmentation(make_source(make_header(PixelSpacing=None)))
    assert "PixelMeasuresSequence" not in ds.SharedFunctionalGroupsSequence[0]


def test_frames_of_two_spacings_are_two_objects() -> None:
    headers = [make_header(n, PixelSpacing=[0.1 * n, 0.1 * n]) for n in (1, 2)]
    source = make_source(*headers)
    findings = tuple(
        make_finding(label, frame_of(header), 0.9, regions=(ring(frame_of(header), 0.5, 0.5),))
        for label, header in zip(("Nodule", "Pneumothorax"), headers, strict=True)
    )
    results = made_of(source, *findings, kinds=SEG)
    told = [read(r).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0] for r in results]
    assert sorted(measures.PixelSpacing[0] for measures in told) == [0.1, 0.2]


def test_a_frame_of_a_multi_frame_image_is_named_by_its_number() -> None:
    source = make_source(make_header(NumberOfFrames=3))
    frame = frame_of(source.headers[0], 2)
    finding = make_finding("Nodule", frame, 0.9, regions=(ring(frame, 0.5, 0.5),))
    prediction = make_prediction(source, frames=(frame,), findings=(finding,))
    (result,) = make_results(source, prediction, replace(ORDER, kinds=SEG))
    (group,) = read(result).PerFrameFunctionalGroupsSequence
    assert group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber == 2


def test_frames_of_two_sizes_are_two_objects_and_of_two_spaces_two_series() -> None:
    headers = [
        make_header(1, FrameOfReferenceUID="2.25.1"),
        make_header(2, rows=80),
        *slices(1, SOPInstanceUID="2.25.9", FrameOfReferenceUID="2.25.3").headers,
    ]
    source = make_source(*headers)
    frames = [frame_of(header) for header in headers]
    findings = tuple(
        make_finding(label, frame, 0.9, regions=(ring(frame, 0.5, 0.5),))
        for label, frame in zip(("Nodule", "Cardiomegaly", "Pneumothorax"), frames, strict=True)
    )
    objects = [read(result) for result in made_of(source, *findings, kinds=SEG)]
    assert [ds.Rows for ds in objects] == [160, 80, 160]
    assert len({ds.SOPInstanceUID for ds in objects}) == 3
    assert [ds.InstanceNumber for ds in objects] == [1, 2, 3]
    series = [ds.SeriesInstanceUID for ds in objects]
    assert series[0] == series[1] != series[2]


def test_lossy_sources_make_segmentations_that_say_so() -> None:
    lossy = make_header(
        LossyImageCompression="01",
        LossyImageCompressionRatio="10",
        LossyImageCompressionMethod="ISO_10918_1",
    )
    ds = segmentation(make_source(lossy))
    assert (ds.LossyImageCompression, ds.LossyImageCompressionRatio) == ("01", 10)
    assert segmentation().LossyImageCompression == "00"
    untold = segmentation(make_source(make_header(LossyImageCompression="01")))
    assert untold.LossyImageCompression == "01"
    assert "LossyImageCompressionRatio" not in untold


def test_any_header_makes_one_and_the_same_arguments_the_same_bytes() -> None:
    poor = make_source(raw_header())
    assert segmentation(poor).SegmentationType == "BINARY"
    assert made(poor, kinds=SEG)[0].part10 == made(poor, kinds=SEG)[0].part10

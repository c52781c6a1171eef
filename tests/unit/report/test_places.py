"""Which image a finding is on is said by the number that viewers show of it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset

from dicomnode.answers import FrameRef, Prediction, Presence
from dicomnode.records import ResultKind
from dicomnode.report.catalogue import words
from dicomnode.report.places import caption, frame_named, pictured, place
from dicomnode.report.request import Source
from dicomnode.report.results import make_results
from tests.unit.report.samples import (
    ORDER,
    frame_of,
    heat,
    make_ct,
    make_finding,
    make_header,
    make_prediction,
    make_source,
    picture_of,
    read,
    report_of,
)

ENGLISH = words("en")


def said(source: Source, prediction: Prediction) -> str:
    """Where the finding with a map is."""
    finding = next(one for one in prediction.findings if one.heat is not None)
    return place(finding, prediction, source, ENGLISH)


def with_frames(source: Source, frames: tuple[FrameRef, ...]) -> Prediction:
    """Something on the second of them."""
    found = make_finding("Nodule", frames[1], 0.9, heat=heat(frames[1], 0.5, 0.5))
    return make_prediction(source, frames=frames, findings=(found,))


def test_an_image_has_the_number_that_it_has_in_its_series() -> None:
    source = make_ct(4)  # numbered from the feet, looked at from the head
    frames = tuple(frame_of(header) for header in reversed(source.headers))
    assert said(source, with_frames(source, frames)) == (
        "Most suspicious image: number 3 in its series."
    )


@pytest.mark.parametrize(
    "changes", [{"SeriesInstanceUID": "2.25.8"}, {"InstanceNumber": None}, {"InstanceNumber": 1}]
)
def test_images_whose_numbers_do_not_tell_them_apart_are_counted(
    changes: dict[str, Any],
) -> None:
    source = make_source(make_header(1), make_header(2, **changes))
    frames = tuple(frame_of(header) for header in source.headers)
    assert said(source, with_frames(source, frames)) == "Most suspicious image: 2 of 2."


def test_a_frame_has_the_number_that_it_has_in_its_image() -> None:
    header = make_header(NumberOfFrames=3)
    source = make_source(header)
    ascending = tuple(frame_of(header, number) for number in (1, 2, 3))
    assert said(source, with_frames(source, ascending)) == "Most suspicious image: 2 of 3."
    from_the_last = with_frames(source, tuple(frame_of(header, number) for number in (3, 1, 2)))
    assert said(source, from_the_last).startswith("Most suspicious image: number 1 in its series")


def test_no_image_is_named_where_there_is_one_or_nothing_to_point_at() -> None:
    one, several = make_source(), make_ct(4)
    assert said(one, make_prediction(one)) == ""
    frame = frame_of(several.headers[0])
    normal = make_finding("Normal", frame, 0.9, marked=False)
    assert place(normal, make_prediction(several), several, ENGLISH) == ""


def test_no_slice_of_a_volume_is_called_suspicious_that_nobody_pointed_at() -> None:
    source = make_ct(5)
    prediction = make_prediction(source, together=True)
    unsure = next(f for f in prediction.findings if f.presence is Presence.UNDETERMINED)
    assert place(unsure, prediction, source, ENGLISH) == ""
    assert said(source, prediction).startswith("Most suspicious image: number 3")
    assert pictured(unsure, prediction) == pictured(None, prediction) == prediction.frames[2]
    shown = caption(None, prediction, source, ENGLISH)
    assert shown == "Shown: Image number 3; all 5 were analysed."
    alone = replace(prediction, together=False)
    assert place(unsure, alone, source, ENGLISH) != ""
    assert pictured(unsure, alone) == unsure.frame
    assert caption(None, alone, source, ENGLISH) == ""


def items(ds: Dataset) -> Iterator[Dataset]:
    for item in ds.get("ContentSequence") or []:
        yield item
        yield from items(item)


def groups(ds: Dataset) -> dict[str, list[str]]:
    """Names of the numbers by the name of their group."""
    found = {}
    for item in items(ds):
        inside = item.get("ContentSequence") or []
        tracking = [i.TextValue for i in inside if i.get("ValueType") == "TEXT"]
        numbers = [i.ConceptNameCodeSequence[0].CodeMeaning for i in inside if i.ValueType == "NUM"]
        if numbers and tracking:  # an image has numbers, too
            found[tracking[0]] = numbers
    return found


@pytest.mark.parametrize("regions", [0, 1])
def test_the_numbers_of_a_volume_are_of_all_its_slices(regions: int) -> None:
    source = make_ct(5)
    found = make_results(source, make_prediction(source, regions, together=True), ORDER)
    named = groups(report_of(found))
    assert len(named.pop("All 5 images together")) == 4
    assert list(named) == ["Pleural effusion, region 1"][:regions]


def test_a_volume_without_findings_is_pictured_by_its_middle() -> None:
    source = make_ct(5)
    found = make_results(source, make_prediction(source, 0, together=True), ORDER)
    (shown,) = picture_of(found).SourceImageSequence
    assert shown.ReferencedSOPInstanceUID == source.headers[2].SOPInstanceUID


def test_what_stands_beside_one_of_several_images_is_named_by_it() -> None:
    source = make_ct(3)
    prediction = make_prediction(source)
    assert frame_named(prediction.frames[0], prediction, source, ENGLISH) == "Image number 1"
    one = make_prediction(make_source())
    assert frame_named(one.frames[0], one, make_source(), ENGLISH) == "Whole image"


def test_an_answer_to_a_volume_has_uids_of_its_own() -> None:
    source = make_ct(3)
    kinds = replace(ORDER, kinds=frozenset({ResultKind.SR}))
    alone, together = (
        read(make_results(source, make_prediction(source, together=how), kinds)[0]).SOPInstanceUID
        for how in (False, True)
    )
    assert alone != together

"""What a result says in words."""

from dataclasses import replace

import pytest

from dicomnode.records import Presence
from dicomnode.report import wording
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    earlier_report,
    frame_of,
    make_ct,
    make_finding,
    make_header,
    make_prediction,
    make_source,
)


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.0, "0.0 %"),
        (0.0004, "< 0.1 %"),
        (0.125, "12.5 %"),
        (0.9996, "> 99.9 %"),
        (1.0, "100.0 %"),
    ],
)
def test_a_probability_is_never_rounded_to_certainty(probability: float, said: str) -> None:
    assert wording.percent(probability) == said


def test_what_is_present_comes_first_then_what_is_probable() -> None:
    frame = frame_of(make_header())
    sure = make_finding("a", frame, 0.6, presence=Presence.PRESENT)
    surer = make_finding("b", frame, 0.7, presence=Presence.PRESENT)
    unsure = make_finding("c", frame, 0.9, presence=Presence.UNDETERMINED)
    no = make_finding("d", frame, 0.95, presence=Presence.ABSENT)

    assert wording.by_weight((no, sure, unsure, surer)) == [surer, sure, unsure, no]


def test_the_headline_names_what_is_above_its_threshold() -> None:
    source = make_source()
    assert wording.headline(make_prediction(source), ORDER) == (
        "Above threshold: Pleural effusion (97.0 %). Undetermined: Nodule."
    )
    assert wording.headline(make_prediction(source, regions=0), ORDER) == (
        "No finding above its threshold. Undetermined: Nodule."
    )


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (412, "PARTIAL STUDY: 307 of 412 images received. Images analysed: 5."),
        (
            None,
            "PARTIAL STUDY: images received: 307; more were expected. Images analysed: 5.",
        ),
    ],
)
def test_a_partial_study_is_told_with_numbers(expected: int | None, said: str) -> None:
    order = replace(ORDER, partial=True, received=307, expected=expected)
    assert wording.completeness(make_prediction(make_ct(5)), order) == said


def test_a_whole_study_says_how_many_images_were_analysed() -> None:
    assert wording.completeness(make_prediction(make_source()), ORDER) == "Images analysed: 1."


def test_a_revision_says_what_it_supersedes_and_a_first_result_does_not() -> None:
    source = make_source()
    again = replace(ORDER, revision=2, predecessors=(earlier_report(source),))
    assert wording.revision(ORDER) == ""
    assert "Revision 2: supersedes" in wording.revision(again)


def test_caution_and_disclaimer_are_always_said() -> None:
    notes = wording.notes(make_prediction(make_source()), ORDER)
    assert ORDER.words.say("caution") in notes
    assert MODEL.disclaimer in notes

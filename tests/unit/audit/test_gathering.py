"""Objects become transfers, one of each study and end; numbers that come late are not forgotten."""

import json
from datetime import UTC, datetime, timedelta

from dicomnode.audit.gathering import Gathered, Marker, Place

START = datetime(2026, 11, 21, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def gather(place: Place, study: str, seconds: float, *, other: str = "CT", sop: str = "1") -> None:
    place.gather(sent=False, other=other, study_uid=study, at=at(seconds), sop_class_uid=sop)


def over(place: Place, seconds: float, *open_studies: str) -> list[Gathered]:
    return place.over(lambda study: study in open_studies, now=at(seconds))


def test_studies_and_senders_are_kept_apart_and_their_objects_counted_by_class() -> None:
    place = Place()
    gather(place, "1.1", 0)
    gather(place, "1.2", 1)
    gather(place, "1.1", 2, sop="2")
    gather(place, "1.1", 3)
    gather(place, "1.1", 3, other="MR")

    ended = over(place, 60)

    assert [(each.other, each.study_uid, each.sop_classes) for each in ended] == [
        ("CT", "1.1", {"1": 2, "2": 1}),
        ("CT", "1.2", {"1": 1}),
        ("MR", "1.1", {"1": 1}),
    ]
    assert (ended[0].first_at, ended[0].last_at) == (at(0), at(3))
    assert over(place, 120) == []


def test_a_transfer_is_told_when_it_was_quiet_and_no_association_brings_more() -> None:
    place = Place()
    gather(place, "1.1", 0)

    assert over(place, 9) == []
    assert over(place, 60, "1.1") == []
    assert len(over(place, 61)) == 1


def test_one_that_never_ends_is_told_in_parts() -> None:
    place = Place()
    for minute in range(20):
        gather(place, "1.1", 60 * minute)
        ended = over(place, 60 * minute + 1, "1.1")
        assert bool(ended) == (minute == 15)


def test_what_is_gathered_survives_as_json() -> None:
    place = Place()
    place.deeds.read([1, 2, 5], now=at(0))
    place.callers.read([3, 5], now=at(0))
    gather(place, "1.1", 0)

    again = Place.from_json(json.loads(json.dumps(place.as_json())))

    assert again == place
    assert again.as_json() == place.as_json()


def test_a_place_of_before_there_was_a_mark_for_callers_begins_with_the_first() -> None:
    older = {name: value for name, value in Place().as_json().items() if name != "callers"}

    assert Place.from_json(older) == Place()


def test_a_number_that_comes_after_a_larger_one_is_asked_for_until_it_came() -> None:
    marker = Marker()
    marker.read([1, 2, 5], now=at(0))
    assert (marker.after, sorted(marker.missing)) == (5, [3, 4])

    marker.read([3], now=at(1))
    assert sorted(marker.missing) == [4]

    marker.read([], now=at(500))
    assert sorted(marker.missing) == [4]
    marker.read([], now=at(700))
    assert not marker.missing, "it was rolled back"


def test_a_wide_gap_is_not_remembered_number_by_number() -> None:
    marker = Marker()
    marker.read([10**9], now=at(0))
    marker.read([2 * 10**9], now=at(1))

    assert len(marker.missing) == 1000
    assert max(marker.missing) == 2 * 10**9 - 1

"""Which associations bring which study, as the receiver tells it."""

import pytest

from dicomnode.node.arrivals import Arrivals
from tests.factories import STUDY_UID, make_association, uid

OTHER = uid("other study")
IMAGE = uid("image")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arrivals(clock: Clock) -> Arrivals:
    return Arrivals(lambda: None, lambda study, image: None, clock=clock)


def test_a_study_is_open_from_its_first_image_to_the_end_of_the_association(
    arrivals: Arrivals,
) -> None:
    first, second = make_association(id=1), make_association(id=2)
    assert not arrivals.is_open(STUDY_UID)
    arrivals.kept(first, STUDY_UID, IMAGE)
    arrivals.kept(second, STUDY_UID, IMAGE)
    arrivals.ended(first)
    assert arrivals.is_open(STUDY_UID)
    assert not arrivals.is_open(OTHER)
    arrivals.ended(second)
    assert not arrivals.is_open(STUDY_UID)


def test_tells_how_long_ago_the_last_association_ended(arrivals: Arrivals, clock: Clock) -> None:
    arrivals.kept(make_association(id=1), STUDY_UID, IMAGE)
    arrivals.kept(make_association(id=2), STUDY_UID, IMAGE)
    arrivals.ended(make_association(id=1))
    clock.now = 5.0
    arrivals.ended(make_association(id=2))
    clock.now = 7.5

    assert arrivals.released_for_s(STUDY_UID) == 2.5
    assert arrivals.released_for_s(OTHER) == float("inf")


def test_forgets_after_an_hour_what_ended(arrivals: Arrivals, clock: Clock) -> None:
    arrivals.kept(make_association(id=1), STUDY_UID, IMAGE)
    arrivals.ended(make_association(id=1))
    clock.now = 3600.0
    arrivals.ended(make_association(id=2))

    assert arrivals.released_for_s(STUDY_UID) == float("inf")


def test_wakes_the_registrar_at_the_end_of_an_association_and_tells_it_of_conflicts() -> None:
    woken: list[str] = []
    refused: list[tuple[str, str]] = []
    arrivals = Arrivals(
        lambda: woken.append("woken"), lambda study, image: refused.append((study, image))
    )
    arrivals.kept(make_association(), STUDY_UID, IMAGE)
    arrivals.conflict(make_association(), STUDY_UID, IMAGE)
    assert woken == []
    arrivals.ended(make_association())

    assert len(woken) == 1
    assert refused == [(STUDY_UID, IMAGE)]


def test_counts_what_was_turned_away_until_an_association_brings_all(arrivals: Arrivals) -> None:
    short, again, full = (make_association(id=number) for number in (1, 2, 3))
    for association, refused in ((short, 2), (again, 1), (full, 0)):
        arrivals.kept(association, STUDY_UID, IMAGE)
        for _ in range(refused):
            arrivals.turned_away(association)
        arrivals.ended(association)
        assert arrivals.missing(STUDY_UID) == refused
    assert arrivals.missing(OTHER) == 0


def test_remembers_of_the_latest_studies_only_what_was_turned_away(
    arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.arrivals._MOST_MISSING", 2)
    for number in range(4):
        association = make_association(id=number)
        arrivals.kept(association, uid("study", number), IMAGE)
        arrivals.turned_away(association)
        arrivals.ended(association)

    assert [arrivals.missing(uid("study", number)) for number in range(4)] == [0, 0, 1, 1]


def test_a_study_that_is_brought_again_is_remembered_from_then_on(
    arrivals: Arrivals, clock: Clock
) -> None:
    for at, study in ((0.0, STUDY_UID), (1.0, OTHER), (3000.0, STUDY_UID), (3601.0, uid("third"))):
        clock.now = at
        arrivals.kept(make_association(), study, IMAGE)
        arrivals.ended(make_association())

    assert arrivals.released_for_s(STUDY_UID) == 601.0
    assert arrivals.released_for_s(OTHER) == float("inf")

"""Who is told first that a study is complete."""

from collections import Counter
from time import monotonic

import pytest

from dicomnode.node.crew import Crew, is_mine
from tests.factories import uid
from tests.running import until


def test_a_study_is_the_affair_of_one_worker_and_every_worker_has_some() -> None:
    owners = [
        [number for number in range(4) if is_mine(uid("study", study), number, 4)]
        for study in range(200)
    ]

    assert {len(owner) for owner in owners} == {1}
    assert min(Counter(owner for (owner,) in owners).values()) > 20


def test_who_answered_the_images_is_told_first_and_the_others_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dicomnode.node.crew._HEAD_START_S", 0.2)
    study = next(uid("study", n) for n in range(100) if is_mine(uid("study", n), 1, 2))
    told: list[tuple[int, float]] = []
    crew = Crew(
        lambda: [lambda: told.append((0, monotonic())), lambda: told.append((1, monotonic()))]
    )

    crew.complete([study])
    until(lambda: len(told) == 3)

    assert [number for number, _ in told] == [1, 0, 1]
    assert told[1][1] - told[0][1] >= 0.2


def test_of_one_worker_nobody_waits() -> None:
    told: list[int] = []

    Crew(lambda: [lambda: told.append(0)]).complete([uid("study")])

    assert told == [0]

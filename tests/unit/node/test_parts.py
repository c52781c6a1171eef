"""What runs side by side: as long as its rules are the same, and one after the other."""

import threading
from collections.abc import Iterator

import pytest

from dicomnode.node.parts import Part, Parts
from tests.running import until


class Runs:
    """Makes parts that note what they do; those that are `held` do not end before they are let."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.killed: list[str] = []
        self.held: dict[str, threading.Event] = {}

    def part(self, name: str, rules: object = 1) -> Part:
        label = f"{name}{rules}"

        def run(stop: threading.Event) -> None:
            self.begun.append(label)
            stop.wait()
            if label in self.held:
                self.held[label].wait()
            self.ended.append(label)

        def kill() -> None:
            self.killed.append(label)
            self.held[label].set()

        return Part(run=run, rules=rules, kill=kill)

    def wanted(self, **rules: object) -> dict[str, Part]:
        return {name: self.part(name, rule) for name, rule in rules.items()}


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def parts(runs: Runs) -> Iterator[Parts]:
    parts = Parts()
    yield parts
    for held in runs.held.values():
        held.set()
    parts.end()
    parts.join(10)


def test_parts_run_as_they_are_wanted(parts: Parts, runs: Runs) -> None:
    parts.become(lambda: runs.wanted(a=1, b=1))
    until(lambda: sorted(runs.begun) == ["a1", "b1"])

    parts.become(lambda: runs.wanted(b=1, c=1))
    until(lambda: runs.ended == ["a1"] and "c1" in runs.begun)
    assert sorted(runs.begun) == ["a1", "b1", "c1"]  # and b was left alone


def test_one_whose_rules_change_is_followed_when_it_has_ended(parts: Parts, runs: Runs) -> None:
    runs.held["a1"] = threading.Event()
    parts.become(lambda: runs.wanted(a=1))
    until(lambda: runs.begun == ["a1"])

    parts.become(lambda: runs.wanted(a=2))
    parts.become(lambda: runs.wanted(a=3))  # once more, while the first is still at work
    assert runs.begun == ["a1"]
    runs.held["a1"].set()

    until(lambda: runs.begun[-1] == "a3")
    assert runs.ended[0] == "a1"


def test_one_that_comes_back_waits_for_the_one_that_leaves(parts: Parts, runs: Runs) -> None:
    runs.held["a1"] = threading.Event()
    parts.become(lambda: runs.wanted(a=1))
    until(lambda: runs.begun == ["a1"])

    parts.become(dict)
    parts.become(lambda: runs.wanted(a=2))
    assert runs.begun == ["a1"]
    runs.held["a1"].set()

    until(lambda: runs.begun == ["a1", "a2"])


def test_those_of_a_kind_are_told_in_their_order(parts: Parts) -> None:
    told: list[str] = []

    def part(name: str) -> Part:
        return Part(run=lambda stop: None, look=lambda: told.append(name))

    names = ["worker 0", "deliver a", "worker 1", "worker 10"]
    parts.become(lambda: {name: part(name) for name in names})
    for look in parts.looks("worker"):
        look()

    assert told == ["worker 0", "worker 1", "worker 10"]


def test_one_that_breaks_runs_again(
    parts: Parts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.parts._BROKEN_WAIT_S", 0.01)
    tries: list[int] = []

    def run(stop: threading.Event) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("PATIENT^NAME")

    parts.become(lambda: {"odd": Part(run=run)})

    until(lambda: len(tries) == 3)
    assert caplog.messages == ["node.broken"] * 2


def test_in_the_end_one_that_does_not_end_is_killed_also_if_it_was_leaving(runs: Runs) -> None:
    parts = Parts()
    runs.held |= {"a1": threading.Event(), "b1": threading.Event()}
    parts.become(lambda: runs.wanted(a=1, b=1))
    until(lambda: len(runs.begun) == 2)
    parts.become(lambda: runs.wanted(b=1))

    parts.end()
    parts.join(0.05)
    parts.become(lambda: runs.wanted(c=1))

    assert sorted(runs.killed) == sorted(runs.ended) == ["a1", "b1"]
    assert "c1" not in runs.begun


def test_in_the_end_one_that_left_long_ago_is_killed_too(runs: Runs) -> None:
    parts = Parts()
    runs.held["a1"] = threading.Event()
    parts.become(lambda: runs.wanted(a=1))
    until(lambda: runs.begun == ["a1"])
    parts.become(lambda: runs.wanted(a=2))
    parts.become(lambda: runs.wanted(a=3))  # both wait for the first
    for label in ("a2", "a3"):
        runs.held[label] = threading.Event()

    parts.end()
    parts.join(0.05)

    assert runs.killed[0] == "a1"
    assert "a1" in runs.ended

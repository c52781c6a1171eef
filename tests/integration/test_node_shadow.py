"""Candidates are asked in spare time, and nothing that they do changes a job."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from dicomnode.answers import Presence, Score
from dicomnode.errors import Cause, ModelError, NotAnalysable, StoreError
from dicomnode.node.handling import Case
from dicomnode.node.shadow import Shadows
from dicomnode.records import Job, State, WithdrawalReason
from dicomnode.storage.database import Database
from dicomnode.worklist import recall, shadows
from dicomnode.worklist.shadows import Pair
from tests.factories import uid
from tests.workers import Bench
from tests.worklist import NOW, PIPELINE, ready_job

SCORES = {"nodule": Score(probability=0.5, presence=Presence.ABSENT)}


class FakeOpinions:
    """A `node.shadow.Opinions` of one candidate, which answers or does what it is told."""

    def __init__(self, *problems: Exception) -> None:
        self.asked: list[Case] = []
        self.problems = list(problems)
        self.tags = ["candidate@2.0"]

    def tags_of(self, model: str) -> Sequence[str]:
        return self.tags

    def opinion(self, case: Case, candidate: str) -> Mapping[str, Score]:
        self.asked.append(case)
        if self.problems:
            raise self.problems.pop(0)
        return SCORES


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> Bench:
    return Bench(database, tmp_path / "node")


def answered(bench: Bench, name: str = "a") -> Job:
    """A job whose results are recorded."""
    with bench.database.transaction() as tx:
        job = ready_job(tx, study_uid=uid(name))
    assert bench.worker().work_once()
    return bench.job(job)


def make_shadows(bench: Bench, opinions: FakeOpinions) -> Shadows:
    return Shadows(bench.database, opinions, {PIPELINE: ["candidate"]})


def pairs(bench: Bench) -> list[Pair]:
    with bench.database.reading() as tx:
        return shadows.pairs(tx, PIPELINE)


def work(shadow: Shadows) -> int:
    """Do all there is; how many studies that was."""
    done = 0
    while (piece := shadow.next()) is not None:
        piece()
        done += 1
    return done


@pytest.fixture(autouse=True)
def _any_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """The studies of these tests are from long ago."""
    monkeypatch.setattr("dicomnode.node.shadow._OLDEST", timedelta(days=36500))


def test_a_candidate_is_shown_the_same_images_and_its_answer_is_kept(bench: Bench) -> None:
    job, opinions = answered(bench), FakeOpinions()

    assert work(make_shadows(bench, opinions)) == 1

    assert opinions.asked[0].images == bench.analysis.seen[0].images
    (pair,) = pairs(bench)
    assert (pair.job_id, pair.candidate.summary) == (job.id, SCORES)
    assert bench.job(job) == job
    assert len(bench.result_uids(job)) == 2


@pytest.mark.parametrize(
    ("problem", "cause"),
    [
        (NotAnalysable("no frontal view", Cause.VIEW), Cause.VIEW),
        (ModelError("the network breaks"), Cause.MODEL_FAILED),
        (ZeroDivisionError("PATIENT^NAME"), Cause.MODEL_FAILED),
    ],
)
def test_a_candidate_that_fails_is_written_down_and_changes_nothing(
    bench: Bench, problem: Exception, cause: Cause
) -> None:
    job = answered(bench)

    assert work(make_shadows(bench, FakeOpinions(problem))) == 1

    (pair,) = pairs(bench)
    assert (pair.candidate.refused, pair.candidate.summary) == (cause, {})
    assert "PATIENT" not in pair.candidate.because
    assert bench.job(job).state is State.REPORTED


def test_the_disks_trouble_is_no_answer(bench: Bench) -> None:
    answered(bench)

    assert work(make_shadows(bench, FakeOpinions(StoreError("no"), StoreError("no")))) == 1

    assert pairs(bench) == []


def test_a_candidate_is_asked_once_about_each_study_however_often_the_node_starts(
    bench: Bench,
) -> None:
    answered(bench, "a")
    answered(bench, "b")
    opinions = FakeOpinions()

    assert work(make_shadows(bench, opinions)) == 2
    assert work(make_shadows(bench, opinions)) == 0

    assert len(opinions.asked) == 2


def test_a_recalled_candidate_or_one_that_cannot_be_read_is_not_asked(bench: Bench) -> None:
    answered(bench)
    opinions = FakeOpinions()
    opinions.tags = []
    assert work(make_shadows(bench, opinions)) == 0

    with bench.database.transaction() as tx:
        recall.stop(tx, "candidate@2.0", WithdrawalReason.QUALITY, now=NOW)
    for tags in (["candidate@2.0"], ["both@1", "other@1", "candidate@2.0"]):
        opinions.tags = tags
        assert work(make_shadows(bench, opinions)) == 0


def test_the_worklist_is_left_in_peace_for_a_while_when_there_is_nothing(bench: Bench) -> None:
    now, opinions = [100.0], FakeOpinions()
    shadow = Shadows(bench.database, opinions, {PIPELINE: ["c"]}, clock=lambda: now[0])
    assert shadow.next() is None
    answered(bench)

    assert shadow.next() is None
    now[0] += 6
    assert shadow.next() is not None

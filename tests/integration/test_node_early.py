"""Which images are answered while their study comes in, and in what order."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from dicomnode.errors import ModelError
from dicomnode.node.early import Early, Warm
from dicomnode.records import InstanceRef, State, WithdrawalReason
from dicomnode.storage.database import Database
from dicomnode.worklist import recall, studies
from tests.factories import uid
from tests.worklist import MODEL, NOW, PIPELINE, enter, make_ref, ready_job, waiting_job


class FakeForesight:
    """A `node.early.Foresight` that remembers what it was asked."""

    def __init__(self, *problems: Exception) -> None:
        self.answered: list[tuple[str, str]] = []
        self.loaded: list[str] = []
        self.models = {PIPELINE: [MODEL], "other": ["other@1"]}
        self.problems = list(problems)

    def models_of(self, pipeline: str) -> Sequence[str]:
        return self.models.get(pipeline, [])

    def warm(self, pipeline: str) -> None:
        self.loaded.append(pipeline)
        self._do()

    def ahead(self, pipeline: str, image: InstanceRef) -> None:
        self.answered.append((pipeline, image.sop_instance_uid))
        self._do()

    def _do(self) -> None:
        if self.problems:
            raise self.problems.pop(0)


def image(number: int, study: str = "a") -> str:
    return make_ref("image", number, study_uid=uid(study)).sop_instance_uid


def work(early: Early, foresight: FakeForesight) -> int:
    """Answer all that there is; how many images that was."""
    before = len(foresight.answered)
    while (piece := early.next()) is not None:
        piece()
    return len(foresight.answered) - before


def everyone(_: str) -> bool:
    return True


def test_images_are_answered_in_order_of_arrival_and_each_once(database: Database) -> None:
    foresight = FakeForesight()
    early = Early(database, foresight, everyone)
    with database.transaction() as tx:
        waiting_job(tx, images=2, study_uid=uid("a"))
        waiting_job(tx, study_uid=uid("b"))
    assert work(early, foresight) == 3
    with database.transaction() as tx:
        enter(tx, 3, study_uid=uid("a"))
    assert work(early, foresight) == 1

    answered = [name for _, name in foresight.answered]
    assert answered == [image(1), image(2), image(1, "b"), image(3)]


def test_every_pipeline_of_an_image_is_answered(database: Database) -> None:
    foresight = FakeForesight()
    with database.transaction() as tx:
        waiting_job(tx, images=2, pipelines={PIPELINE: 0, "other": 0}, study_uid=uid("a"))

    work(Early(database, foresight, everyone), foresight)

    assert foresight.answered == [
        (pipeline, image(number)) for number in (1, 2) for pipeline in (PIPELINE, "other")
    ]


def test_more_than_one_look_takes_are_all_answered(database: Database) -> None:
    foresight = FakeForesight()
    with database.transaction() as tx:
        waiting_job(tx, images=70, study_uid=uid("a"))

    assert work(Early(database, foresight, everyone), foresight) == 70


def test_a_job_that_came_meanwhile_waits_for_one_image_only_where_that_takes_long(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    foresight = FakeForesight()
    monkeypatch.setattr("dicomnode.node.early._A_PIECE_S", 0.0)
    early = Early(database, foresight, everyone)
    with database.transaction() as tx:
        waiting_job(tx, images=3, study_uid=uid("a"))
    piece = early.next()
    assert piece is not None
    piece()
    assert foresight.answered == [(PIPELINE, image(1))]
    assert work(early, foresight) == 2


def test_studies_of_another_worker_and_complete_ones_are_left_alone(database: Database) -> None:
    foresight = FakeForesight()
    with database.transaction() as tx:
        waiting_job(tx, images=40, study_uid=uid("theirs"))
        ready_job(tx, study_uid=uid("complete"))
        waiting_job(tx, study_uid=uid("mine"))

    assert work(Early(database, foresight, lambda study: study == uid("mine")), foresight) == 1

    assert foresight.answered == [(PIPELINE, image(1, "mine"))]


def test_a_study_that_becomes_complete_meanwhile_is_the_jobs_affair(database: Database) -> None:
    early = Early(database, FakeForesight(), everyone)
    with database.transaction() as tx:
        job = waiting_job(tx, images=3, study_uid=uid("a"))
    assert early.next() is not None
    with database.transaction() as tx:
        assert studies.close(tx, job, State.READY, now=NOW)

    assert early.next() is None


def test_nothing_is_asked_of_a_model_that_is_recalled_or_unknown(database: Database) -> None:
    foresight = FakeForesight()
    foresight.models["other"] = []
    with database.transaction() as tx:
        waiting_job(tx, pipelines={PIPELINE: 0, "other": 0}, study_uid=uid("a"))
        recall.stop(tx, MODEL, WithdrawalReason.SAFETY, now=NOW)

    assert work(Early(database, foresight, everyone), foresight) == 0


def test_nothing_is_asked_of_several_models_of_which_one_is_recalled(database: Database) -> None:
    foresight = FakeForesight()
    foresight.models[PIPELINE] = ["both@1", MODEL]
    with database.transaction() as tx:
        waiting_job(tx, study_uid=uid("a"))
        recall.stop(tx, MODEL, WithdrawalReason.SAFETY, now=NOW)

    assert work(Early(database, foresight, everyone), foresight) == 0


@pytest.mark.parametrize("problem", [ModelError("not here"), ZeroDivisionError("PATIENT^NAME")])
def test_what_goes_wrong_early_is_left_to_the_job(database: Database, problem: Exception) -> None:
    foresight = FakeForesight(problem)
    with database.transaction() as tx:
        waiting_job(tx, images=2, study_uid=uid("a"))

    assert work(Early(database, foresight, everyone), foresight) == 2


def test_models_are_loaded_once_and_one_that_cannot_be_keeps_none_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foresight = FakeForesight(ModelError("not here"))
    warm = Warm(foresight, ["a", "b"])
    while (piece := warm.next()) is not None:
        piece()

    assert foresight.loaded == ["a", "b"]
    assert caplog.messages == ["model.unusable"]

"""Models are loaded once each, and one that takes long keeps only those waiting who want it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from dicomnode.classify.classifier import Classifier
from dicomnode.config.load import Settings
from dicomnode.config.settings import NodeSettings, WorklistSettings
from dicomnode.node import analysis as node_analysis
from dicomnode.node.analysis import StudyAnalysis
from dicomnode.node.handling import Handling
from dicomnode.node.watch import Watch
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.worklist import jobs
from tests.node import make_pipeline, make_store
from tests.running import until
from tests.worklist import PIPELINE, running_job


def analysis(folder: Path, load: Callable[[str], None], *models: str) -> StudyAnalysis:
    """An analysis with a pipeline for each model, of the same name."""
    pipelines = {model: make_pipeline(model=model) for model in models}
    settings = Settings(node=NodeSettings(), peers={}, pipelines=pipelines)

    def loaded(model: str) -> Classifier:
        load(model)
        return cast(Classifier, object())

    return StudyAnalysis(settings, make_store(folder), loaded, lambda model: None)


def test_a_job_of_a_pipeline_that_is_new_is_left_to_a_worker_that_knows_it(
    tmp_path: Path, sqlite_url: str
) -> None:
    """One that was asked to end may have taken it a moment before."""
    database = Database(sqlite_url)
    with database.transaction() as tx:
        job = running_job(tx)
    store = make_store(tmp_path / "node")
    old = analysis(tmp_path / "node", lambda model: None)

    Handling(database, store, old, WorklistSettings()).see_through(job)

    with database.reading() as tx:
        left = jobs.get(tx, job.id)
    assert (left.state, left.reason) == (State.READY, f"pipeline {PIPELINE} is not configured")
    database.close()


def test_a_model_that_many_want_at_once_is_loaded_once(tmp_path: Path) -> None:
    loads: list[str] = []
    here = analysis(tmp_path / "node", loads.append, "a")

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(here.warm, "a") for _ in range(32)]:
            done.result(60)

    assert loads == ["a"]


def test_who_waits_for_a_model_that_is_being_loaded_is_not_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.analysis._PATIENCE_S", 0.02)
    now, tries, try_once = [0.0], list[None](), node_analysis._tried
    monkeypatch.setattr("dicomnode.node.watch.monotonic", lambda: now[0])

    def counted(lock: threading.Lock) -> bool:
        tries.append(None)
        return try_once(lock)

    monkeypatch.setattr(node_analysis, "_tried", counted)
    begun, go_on = threading.Event(), threading.Event()

    def load(model: str) -> None:
        begun.set()
        go_on.wait(60)

    here = analysis(tmp_path / "node", load, "slow")
    places: list[str] = []
    watch = Watch(60.0, places.append)

    def wait_too() -> None:
        with watch.over():
            here.warm("slow")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(here.warm, "slow")
        assert begun.wait(60)
        second = pool.submit(wait_too)
        for _ in range(5):
            tries.clear()
            until(lambda: bool(tries))  # it has begun to wait once more
            watch.look()
            now[0] += 61.0
        go_on.set()
        first.result(60)
        second.result(60)

    assert places == []


def test_a_model_that_takes_long_keeps_nobody_waiting_who_wants_another(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def load(model: str) -> None:
        if model == "slow":
            begun.set()
            go_on.wait(60)

    here = analysis(tmp_path / "node", load, "slow", "quick")
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(here.warm, "slow")
        assert begun.wait(60)
        pool.submit(here.warm, "quick").result(60)
        assert not slow.done()
        go_on.set()
        slow.result(60)

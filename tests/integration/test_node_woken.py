"""Nobody on the way of a study polls: each step tells the next that there is something to do."""

import sys
import threading
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.config.settings import DeliverSettings
from dicomnode.node.arrivals import Arrivals
from dicomnode.node.completeness import CompletenessCheck
from dicomnode.node.counts import StudyCounts
from dicomnode.node.courier import Courier
from dicomnode.node.process import ChildProcess
from dicomnode.node.registrar import Registrar
from dicomnode.records import Job, State
from dicomnode.storage.database import Database
from dicomnode.worklist import queue
from tests.factories import STUDY_UID, make_peer
from tests.fakes import FakeSend
from tests.node import all_jobs, in_force, make_pipeline, make_store, receive, registering
from tests.running import looping, until
from tests.workers import Bench
from tests.worklist import PIPELINE, reported_job, waiting_job

PACS = make_peer(name="pacs")


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    database = Database(sqlite_url)
    yield database
    database.close()


def test_the_workers_are_told_when_images_are_in_the_worklist(
    database: Database, tmp_path: Path
) -> None:
    store, seen = make_store(tmp_path / "node"), list[int]()

    def told() -> None:
        seen.append(len(all_jobs(database)))

    with registering(
        Registrar(store, database, in_force(pipelines={"all": make_pipeline()}), told)
    ):
        receive(store)
        until(lambda: bool(seen))

    assert seen == [1]


def test_the_workers_are_told_which_studies_are_complete_when_they_may_be_taken(
    database: Database,
) -> None:
    told: list[tuple[Collection[str], State]] = []

    def closed(study_uids: Collection[str]) -> None:
        told.append((study_uids, all_jobs(database)[0].state))

    with database.transaction() as tx:
        waiting_job(tx)
    pipelines = {PIPELINE: make_pipeline(complete={"quiet_s": 1.0})}
    counts = StudyCounts(in_force(), lambda peer, study: None, database)
    arrivals = Arrivals(lambda: None, lambda study, image: None)
    check = CompletenessCheck(
        database,
        in_force(pipelines=pipelines),
        arrivals,
        counts,
        lambda: datetime.now(UTC),
        closed,
    )
    check.run()
    check.run()
    check.close()

    assert told == [({STUDY_UID}, State.READY)]


def test_the_node_is_told_when_results_are_recorded_and_only_then(
    database: Database, tmp_path: Path
) -> None:
    bench, told = Bench(database, tmp_path / "node"), list[State]()
    job = bench.ready()

    def take_away(_: Job) -> None:
        with database.transaction() as tx:
            queue.expire(tx, attempts=9, now=datetime.now(UTC), worker="node")

    bench.analysis.while_working = take_away
    worker = bench.worker(recorded=lambda: told.append(bench.job(job).state))
    worker.work_once()
    assert told == []

    bench.analysis.while_working = lambda job: None
    worker.work_once()
    assert told == [State.REPORTED]


def test_a_courier_that_is_told_delivers_at_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.courier._LOOK_S", 600.0)
    send, waits = FakeSend(), list[float]()
    courier = make_courier(database, tmp_path, send)
    deliver_batch = courier.deliver_batch

    def delivered() -> float:
        waits.append(deliver_batch())
        return waits[-1]

    monkeypatch.setattr(courier, "deliver_batch", delivered)
    with looping(courier.run, courier.look):
        until(lambda: waits == [600.0])
        with database.transaction() as tx:
            reported_job(tx, now=datetime.now(UTC))
        for path in owed_files(database, tmp_path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"result")
        courier.look()

        until(lambda: len(send.sent) == 2)


def test_a_peer_that_is_away_is_asked_no_sooner_for_a_new_result(
    database: Database, tmp_path: Path
) -> None:
    courier = make_courier(database, tmp_path, FakeSend())
    asked: list[float | None] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            asked.append(timeout)
            return True

    courier.look()

    assert courier._waited(30.0, Stop())
    assert asked == [30.0]


def make_courier(database: Database, folder: Path, send: FakeSend) -> Courier:
    store = make_store(folder / "node")
    return Courier(PACS, store, database, send, DeliverSettings(), holder="node")


def owed_files(database: Database, folder: Path) -> list[Path]:
    bench = Bench(database, folder / "node")
    (job,) = all_jobs(database)
    return [bench.store.path_of_result(job.study_uid, uid) for uid in bench.result_uids(job)]


#: Answers each look with one of its own.
_ECHO = """
import threading
from dicomnode.node.line import LOOK, WorkerEnd
stop, look = threading.Event(), threading.Event()
parent = WorkerEnd()
parent.listen(stop, look)
while not stop.is_set():
    look.wait()
    look.clear()
    if not stop.is_set():
        parent.say(LOOK)
"""


def test_a_look_reaches_the_workers_process_and_its_own_comes_back() -> None:
    told: list[int] = []
    worker = ChildProcess(
        lambda name, careful: [sys.executable, "-c", _ECHO],
        lambda: "node/1",
        *[lambda name: None] * 2,
        told=lambda: told.append(1),
    )
    worker.look()  # before there is any
    with looping(worker.run):
        until(lambda: worker.pid is not None)
        worker.look()
        until(lambda: bool(told))
    worker.look()  # when it is gone


def test_a_worker_that_follows_one_that_died_is_careful() -> None:
    begun: list[bool] = []

    def command(name: str, careful: bool) -> list[str]:
        begun.append(careful)
        return ["cat"] if careful else ["false"]

    worker = ChildProcess(command, lambda: "node/1", *[lambda name: None] * 2)
    with looping(worker.run):
        until(lambda: len(begun) == 2)

    assert begun == [False, True]

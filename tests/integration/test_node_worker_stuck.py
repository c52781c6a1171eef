"""A model that hangs in native code, in a process of its own: noticed, and not for ever."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from math import inf
from pathlib import Path

import pytest

from dicomnode.errors import Cause
from dicomnode.node.process import ChildProcess
from dicomnode.node.watch import STUCK
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.worklist import queue
from tests.running import looping, until
from tests.workers import AT_ONCE, Bench


@contextmanager
def kept_alive(bench: Bench, folder: Path, url: str, how: str, silent_s: float) -> Iterator[None]:
    """Workers one after the other, as the node keeps them; what one held is taken back at once."""
    numbers = count(1)

    def command(name: str, careful: bool) -> list[str]:
        worker._silent_s = inf  # a slow start is no hang
        return [sys.executable, "-m", "tests.hanging_worker", url, str(folder), name, how]

    def take_back(worker: str) -> None:
        with bench.database.transaction() as tx:
            queue.expire(tx, attempts=AT_ONCE.attempts, now=datetime.now(UTC), worker=worker)

    def told() -> None:
        worker._silent_s = silent_s

    worker = ChildProcess(command, lambda: f"node/{next(numbers)}", take_back, take_back, told=told)
    with looping(worker.run):
        yield


@pytest.mark.parametrize(
    ("how", "silent_s", "silent", "code"),
    [("loose", 60.0, False, STUCK), ("tight", 3.0, True, -9)],
)
def test_a_worker_that_hangs_is_ended_and_its_job_gets_a_notice_in_the_end(
    how: str,
    silent_s: float,
    silent: bool,
    code: int,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("dicomnode.node.process._LONGEST_WAIT_S", 0.1)
    bench = Bench(Database(sqlite_url), tmp_path / "node")
    job = bench.ready()

    with kept_alive(bench, tmp_path / "node", sqlite_url, how, silent_s):
        until(lambda: bench.job(job).state is State.REPORTED, timeout_s=120)

    assert bench.job(job).refused is Cause.MODEL_FAILED
    assert f"attempts: {AT_ONCE.attempts}" in bench.job(job).because
    died = [record for record in caplog.records if record.message == "process.died"]
    assert [vars(record)["exit_code"] for record in died] == [code] * AT_ONCE.attempts
    assert ("process.silent" in caplog.messages) is silent
    bench.database.close()

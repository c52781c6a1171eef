"""The worker's process: kept alive, stopped politely, and gone when the node is gone."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from dicomnode.errors import DatabaseAway
from dicomnode.node.process import WorkerProcess, worker_command
from tests.running import until

OBEYS = ["cat"]  #: ends when its standard input ends
STUBBORN = ["sleep", "60"]
DIES = ["false"]


class Hasty(threading.Event):
    """An event on which nobody waits long; it remembers for how long they wanted to."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return super().wait(0.01)


@contextmanager
def running(
    worker: WorkerProcess, stop: threading.Event, *, drain_s: float = 10.0
) -> Iterator[None]:
    """The worker's process, kept alive while the block runs."""
    thread = threading.Thread(target=worker.run, args=(stop,), kwargs={"drain_s": drain_s})
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def names() -> Callable[[], str]:
    """node/1, node/2, ..."""
    numbers = count(1)
    return lambda: f"node/{next(numbers)}"


def is_alive(pid: int) -> bool:
    """Is there such a process, and (where that can be told) not only its corpse?"""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return not Path("/proc/self").exists()


def test_the_worker_runs_with_this_python_on_the_same_configuration(tmp_path: Path) -> None:
    command = worker_command(tmp_path, "node/1")

    assert command[0] == sys.executable
    assert command[-4:] == ["--config", str(tmp_path), "--name", "node/1"]


def test_starts_a_worker_again_when_it_dies_and_says_who_was_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "dicomnode")
    lost: list[str] = []
    commands = {"node/1": DIES, "node/2": OBEYS}
    worker = WorkerProcess(commands.__getitem__, names(), lost.append, lost.append)
    with running(worker, Hasty()):
        until(lambda: caplog.messages.count("worker.started") == 2, timeout_s=10)
        assert lost == ["node/1"]
        assert worker.pid is not None
        assert is_alive(worker.pid)

    died = next(record for record in caplog.records if record.message == "worker.died")
    assert (vars(died)["worker"], vars(died)["exit_code"]) == ("node/1", 1)


def test_starts_a_worker_again_that_is_killed() -> None:
    worker = WorkerProcess(lambda name: OBEYS, names(), *[lambda name: None] * 2)
    with running(worker, Hasty()):
        until(lambda: worker.pid is not None, timeout_s=10)
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)

        until(lambda: worker.pid != first, timeout_s=10)


def test_waits_longer_for_a_worker_that_dies_again_and_again() -> None:
    worker, stop = WorkerProcess(lambda name: DIES, names(), *[lambda name: None] * 2), Hasty()
    with running(worker, stop):
        until(lambda: stop.waits.count(30.0) >= 2, timeout_s=10)

    waits = [wait for wait in stop.waits if wait not in (0.2, None)]
    assert waits[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]


def test_a_worker_that_lived_long_is_started_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.node.process._SETTLED_S", 0.0)
    worker, stop = WorkerProcess(lambda name: DIES, names(), *[lambda name: None] * 2), Hasty()
    with running(worker, stop):
        until(lambda: stop.waits.count(0.5) >= 3, timeout_s=10)

    assert {wait for wait in stop.waits if wait is not None} == {0.2, 0.5}


def test_stopping_ends_the_workers_input_and_waits_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost: list[str] = []
    worker = WorkerProcess(lambda name: OBEYS, names(), lost.append, lost.append)
    with running(worker, Hasty()):
        until(lambda: worker.pid is not None, timeout_s=10)

    assert worker.pid is not None
    assert not is_alive(worker.pid)
    assert "worker.killed" not in caplog.messages
    assert lost == ["node/1"]  # nothing it holds, if it ended well


def test_a_worker_that_does_not_stop_is_killed_after_the_drain_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost: list[str] = []
    worker = WorkerProcess(lambda name: STUBBORN, names(), lost.append, lost.append)
    with running(worker, Hasty(), drain_s=0.05):
        until(lambda: worker.pid is not None, timeout_s=10)

    assert worker.pid is not None
    assert not is_alive(worker.pid)
    assert "worker.killed" in caplog.messages
    assert lost == ["node/1"]


def test_a_worker_is_started_again_although_its_loss_cannot_be_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "dicomnode")

    def away(name: str) -> None:
        raise DatabaseAway("nothing answers")

    commands = {"node/1": DIES, "node/2": OBEYS}
    with running(WorkerProcess(commands.__getitem__, names(), away, away), Hasty()):
        until(lambda: caplog.messages.count("worker.started") == 2, timeout_s=10)

    assert "worker.lost" in caplog.messages


_WORKER = """
import threading
from dicomnode.node.process import stop_at_end_of_input
stop = threading.Event()
stop_at_end_of_input(stop)
stop.wait()
"""

_NODE = f"""
import sys, threading
from dicomnode.node.process import WorkerProcess
worker = WorkerProcess(lambda name: [sys.executable, "-c", {_WORKER!r}], lambda: "", print, print)
threading.Thread(target=worker.run, args=(threading.Event(),), kwargs=dict(drain_s=9)).start()
while worker.pid is None:
    pass
print(worker.pid, flush=True)
"""


def test_the_worker_ends_when_the_node_is_killed() -> None:
    command = [sys.executable, "-c", textwrap.dedent(_NODE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        pid = int(node.stdout.readline())
        assert is_alive(pid)
        node.kill()

    until(lambda: not is_alive(pid), timeout_s=20)

"""The worker's process: kept alive, stopped politely, and gone when the node is gone."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path

import pytest

from dicomnode.config.settings import ClassifySettings
from dicomnode.errors import DatabaseAway
from dicomnode.node.process import ChildProcess, Place, worker_command, workers_wanted
from tests.running import looping, until

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


def running(worker: ChildProcess, stop: threading.Event) -> AbstractContextManager[threading.Event]:
    """The worker's process, kept alive while a block runs."""
    return looping(worker.run, stop=stop)


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
    assert command[4:8] == ["--config", str(tmp_path), "--name", "node/1"]


def test_its_settings_are_the_first_it_hears_though_there_is_work_before_it_runs(
    tmp_path: Path,
) -> None:
    heard = tmp_path / "heard"
    told = f"import sys; open({str(heard)!r}, 'wb').write(sys.stdin.buffer.read())"

    def command(_name: str, _careful: bool) -> list[str]:
        worker.look()  # an image came while the process is only being started
        return [sys.executable, "-c", told]

    worker = ChildProcess(command, names(), hand_over=b"settings\n")
    with running(worker, threading.Event()) as stop:
        until(lambda: worker.pid is not None)
        worker.look()
        stop.set()

    assert heard.read_bytes().partition(b"\n")[0] == b"settings"


def test_starts_a_worker_again_when_it_dies_and_says_who_was_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "dicomnode")
    lost: list[str] = []
    commands = {"node/1": DIES, "node/2": OBEYS}
    worker = ChildProcess(lambda name, careful: commands[name], names(), lost.append, lost.append)
    with running(worker, Hasty()):
        until(lambda: caplog.messages.count("process.started") == 2)
        assert lost == ["node/1"]
        assert worker.pid is not None
        assert is_alive(worker.pid)

    died = next(record for record in caplog.records if record.message == "process.died")
    assert (vars(died)["worker"], vars(died)["exit_code"]) == ("node/1", 1)


def test_starts_a_worker_again_that_is_killed() -> None:
    worker = ChildProcess(lambda name, careful: OBEYS, names(), *[lambda name: None] * 2)
    with running(worker, Hasty()):
        until(lambda: worker.pid is not None)
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)

        until(lambda: worker.pid != first)


def test_waits_longer_for_a_worker_that_dies_again_and_again() -> None:
    worker, stop = (
        ChildProcess(lambda name, careful: DIES, names(), *[lambda name: None] * 2),
        Hasty(),
    )
    with running(worker, stop):
        until(lambda: stop.waits.count(30.0) >= 2)

    waits = [wait for wait in stop.waits if wait not in (0.2, None)]
    assert waits[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]


def test_a_worker_that_lived_long_is_started_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.node.process._SETTLED_S", 0.0)
    worker, stop = (
        ChildProcess(lambda name, careful: DIES, names(), *[lambda name: None] * 2),
        Hasty(),
    )
    with running(worker, stop):
        until(lambda: stop.waits.count(0.5) >= 3)

    assert {wait for wait in stop.waits if wait is not None} == {0.2, 0.5}


def test_stopping_ends_the_workers_input_and_waits_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost: list[str] = []
    worker = ChildProcess(lambda name, careful: OBEYS, names(), lost.append, lost.append)
    with running(worker, Hasty()):
        until(lambda: worker.pid is not None)

    assert worker.pid is not None
    assert not is_alive(worker.pid)
    assert "process.killed" not in caplog.messages
    assert lost == ["node/1"]  # nothing it holds, if it ended well


def test_a_worker_that_does_not_stop_goes_on_until_it_is_killed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost: list[str] = []
    stop = threading.Event()
    worker = ChildProcess(lambda name, careful: STUBBORN, names(), lost.append, lost.append)
    with running(worker, stop):
        until(lambda: worker.pid is not None)
        assert worker.pid is not None
        stop.set()
        assert is_alive(worker.pid)
        worker.kill()

    assert worker.pid is not None
    assert not is_alive(worker.pid)
    assert "process.killed" in caplog.messages
    assert lost == ["node/1"]


def test_a_worker_is_started_again_although_its_loss_cannot_be_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "dicomnode")

    def away(name: str) -> None:
        raise DatabaseAway("nothing answers")

    commands = {"node/1": DIES, "node/2": OBEYS}
    with running(ChildProcess(lambda name, careful: commands[name], names(), away, away), Hasty()):
        until(lambda: caplog.messages.count("process.started") == 2)

    assert "process.lost" in caplog.messages


_WORKER = """
import threading
from dicomnode.node.line import WorkerEnd
stop = threading.Event()
WorkerEnd().listen(stop, threading.Event())
stop.wait()
"""

_NODE = f"""
import sys, threading
from dicomnode.node.process import ChildProcess
command = [sys.executable, "-c", {_WORKER!r}]
worker = ChildProcess(lambda name, careful: command, lambda: "", print, print)
threading.Thread(target=worker.run, args=(threading.Event(),)).start()
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

    until(lambda: not is_alive(pid))


@pytest.mark.parametrize(
    ("settings", "gpus", "wanted"),
    [
        ({}, 0, 1),
        ({}, 4, 4),
        ({"device": "cuda"}, 2, 2),
        ({"device": "cpu"}, 4, 1),
        ({"workers": 3}, 0, 3),
        ({"workers": 1}, 4, 1),
    ],
)
def test_there_is_a_worker_for_each_gpu_unless_another_number_is_asked_for(
    settings: dict[str, object],
    gpus: int,
    wanted: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dicomnode.node.process._NVIDIA_GPUS", tmp_path)
    for number in range(gpus):
        (tmp_path / f"0000:0{number}:00.0").mkdir()

    assert workers_wanted(ClassifySettings.model_validate(settings)) == wanted


def test_a_worker_knows_which_of_how_many_it_is_and_whether_to_be_careful(tmp_path: Path) -> None:
    command = worker_command(tmp_path, "node/1", Place(number=1, of=2), careful=True)

    assert command[8:] == ["--number", "1", "--of", "2", "--handed-over", "--careful"]

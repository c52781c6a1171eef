"""What stands still is stuck; what gets on, however slowly, is not."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import pytest

from dicomnode.node.watch import STUCK, Watch, end_process
from tests.running import until


@contextmanager
def working(watch: Watch, work: Callable[[], object], job: int | None = None) -> Iterator[None]:
    """A thread that is watched while it works; the block begins when it does."""
    begun = threading.Event()

    def run() -> None:
        with watch.over(job):
            begun.set()
            work()

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(60)
    try:
        yield
    finally:
        thread.join()


def test_a_thread_in_one_call_that_does_not_return_is_stuck(
    caplog: pytest.LogCaptureFixture,
) -> None:
    places: list[str] = []
    watch = Watch(0.05, places.append)
    never = threading.Lock()
    never.acquire()
    with working(watch, never.acquire, job=7), watch.watching():
        until(lambda: any("test_watch.py" in place for place in places))
        never.release()

    stuck = next(record for record in caplog.records if record.message == "worker.stuck")
    assert vars(stuck)["job"] == 7


def test_a_thread_that_calls_something_short_again_and_again_is_not_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, places = [0.0], list[str]()
    monkeypatch.setattr("dicomnode.node.watch.monotonic", lambda: now[0])
    watch = Watch(60.0, places.append)
    begun, again = SimpleQueue[None](), SimpleQueue[bool]()

    def step() -> bool:
        begun.put(None)
        return again.get()

    def work() -> None:
        while step():
            pass

    with working(watch, work):
        for more in (True, True, False):
            begun.get(timeout=60)
            watch.look()
            now[0] += 61.0
            again.put(more)

    assert places == []


def test_a_thread_that_waits_for_work_is_not_watched() -> None:
    places: list[str] = []
    watch = Watch(0.01, places.append)
    with working(watch, lambda: None):
        pass
    with watch.watching():
        time.sleep(0.1)

    assert places == []


def test_every_look_is_a_sign_of_life() -> None:
    signs: list[int] = []
    with Watch(0.05, alive=lambda: signs.append(1)).watching():
        until(lambda: len(signs) >= 2)


def test_a_process_that_is_stuck_ends_with_a_code_of_its_own() -> None:
    words = f"from {end_process.__module__} import end_process; end_process('here')"

    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == STUCK
    assert STUCK not in (0, 1, 2, 3, os.EX_SOFTWARE)

"""Syncs and locks of a folder: shared by all who wait, and nobody waits for ever."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomnode.storage import durable
from dicomnode.storage.durable import FolderSync, NameLocks


@contextmanager
def waiting(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ends: Callable[[int], None]
) -> Iterator[list[Future[None]]]:
    """Eight callers who wait while the disk syncs for a ninth; `ends` is what each sync does."""
    begun, go_on = threading.Semaphore(0), threading.Event()
    syncs: list[Path] = []

    def slow(folder: Path) -> None:
        syncs.append(folder)
        begun.release()
        go_on.wait(60)
        ends(len(syncs))

    monkeypatch.setattr(durable, "sync_folder", slow)
    sync = FolderSync(folder)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(sync.sync)
        begun.acquire()
        later = [pool.submit(sync.sync) for _ in range(8)]
        while sync._next is None:
            pass
        assert not first.done()
        go_on.set()
        yield later
    assert len(syncs) < 5


def test_callers_who_wait_together_share_one_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with waiting(tmp_path, monkeypatch, lambda number: None) as later:
        for call in later:
            call.result(60)


@pytest.mark.parametrize(
    ("error", "told"), [(OSError, (OSError,)), (MemoryError, (MemoryError, CancelledError))]
)
def test_a_sync_that_fails_fails_for_all_who_waited_for_it(
    error: type[BaseException],
    told: tuple[type[BaseException], ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(number: int) -> None:
        raise error

    with waiting(tmp_path, monkeypatch, fail) as later:
        for call in later:
            with pytest.raises(told):
                call.result(60)


@pytest.fixture(params=["one", "each its own"])
def two_locks(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[NameLocks, NameLocks]:
    """Of two threads of one process, and as two processes have them."""
    first = NameLocks(tmp_path / "locks")
    return first, first if request.param == "one" else NameLocks(tmp_path / "locks")


def test_a_name_is_held_by_one_at_a_time(two_locks: tuple[NameLocks, NameLocks]) -> None:
    first, second = two_locks
    order: list[str] = []

    def take() -> None:
        with second.held("1.2.3"):
            order.append("second")

    with first.held("1.2.3"):
        waiting = threading.Thread(target=take, daemon=True)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(60)
    assert order == ["first", "second"]


def test_another_name_waits_for_nobody(two_locks: tuple[NameLocks, NameLocks]) -> None:
    first, second = two_locks
    with first.held("1.2.3"):
        taken = threading.Thread(target=lambda: second.held("1.2.4").__enter__(), daemon=True)
        taken.start()
        taken.join(60)
        assert not taken.is_alive()


def test_names_that_a_process_held_are_free_when_it_is_dead(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with NameLocks(tmp_path / "locks").held("1.2.3"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    with NameLocks(tmp_path / "locks").held("1.2.3"):
        pass


def test_a_lock_that_could_not_be_taken_is_free(tmp_path: Path) -> None:
    locks = NameLocks(tmp_path / "folder" / "locks")
    with pytest.raises(FileNotFoundError), locks.held("1.2.3"):
        pass
    (tmp_path / "folder").mkdir()
    with locks.held("1.2.3"):
        pass

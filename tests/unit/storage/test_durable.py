"""Syncs and locks of a folder: shared by all who wait, and nobody waits for ever."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomnode.storage import durable
from dicomnode.storage.durable import FolderLock, FolderSync


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


def test_a_lock_that_could_not_be_taken_is_free(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    lock = FolderLock(folder)
    with pytest.raises(FileNotFoundError), lock:
        pass
    folder.mkdir()

    def take() -> None:
        with lock:
            pass

    taken = threading.Thread(target=take, daemon=True)
    taken.start()
    taken.join(60)

    assert not taken.is_alive()

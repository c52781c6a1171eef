"""Blanks: there when they are needed, under names that are durable; gone when they are not."""

import errno
import os
import threading
from pathlib import Path

import pytest

from dicomnode.storage import durable, landing
from dicomnode.storage.durable import FolderSync
from dicomnode.storage.landing import Landing
from tests.running import until


class Place:
    """A landing, its inbox, and the syncs of both."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.landing, self.inbox = root / "landing", root / "inbox"
        self.landing.mkdir()
        self.inbox.mkdir()
        self.synced: dict[str, set[str]] = {"landing": set(), "inbox": set()}
        self.broken = ""  #: the folder that cannot be synced
        monkeypatch.setattr(durable, "sync_folder", self._sync)
        self.blanks = Landing(self.landing, FolderSync(self.inbox))

    def _sync(self, folder: Path) -> None:
        if folder.name == self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.synced[folder.name] |= {path.name for path in folder.iterdir()}

    def land(self) -> Path:
        """One object, from its blank to its name in the inbox."""
        path = self.take()
        os.link(path, self.inbox / path.name)
        self.blanks.landed(path)
        return path

    def take(self) -> Path:
        """A blank, which must be empty."""
        with self.blanks.take() as file:
            assert file.read() == b""
            return Path(str(file.name))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_every_blank_is_another_empty_file_of_a_synced_name(place: Place) -> None:
    seen = set()
    for _ in range(200):
        path = place.take()
        assert path.name in place.synced["landing"]
        seen.add(path)
    assert len(seen) == 200


def test_blanks_are_in_stock_after_the_first(place: Place) -> None:
    place.take()
    until(lambda: len(list(place.landing.iterdir())) > 10)


def test_blanks_that_somebody_removed_are_passed_over(place: Place) -> None:
    place.take()
    until(lambda: len(list(place.landing.iterdir())) > 10)
    for path in place.landing.iterdir():
        path.unlink()
    assert place.take().exists()


def test_a_name_goes_once_the_inbox_is_synced(place: Place) -> None:
    place.broken = "inbox"
    path = place.land()
    until(lambda: len(list(place.landing.iterdir())) > 10)
    assert path.exists()
    place.broken = ""
    second = place.land()
    until(lambda: not path.exists() and not second.exists())
    assert {path.name, second.name} <= place.synced["inbox"]


def test_where_no_blank_can_be_made_there_is_none_and_none_is_left(place: Place) -> None:
    place.broken = "landing"
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            place.take()
    until(lambda: list(place.landing.iterdir()) == [])
    place.broken = ""
    assert place.take().exists()


def test_without_a_thread_there_are_blanks_all_the_same(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        path = place.land()
    assert path.exists()
    second = place.land()
    until(lambda: not path.exists() and not second.exists())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_followed_by_another(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = threading.Event()

    def die(_: Landing, __: int) -> None:
        died.set()
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Landing, "_fill", die)
        first = place.land()
        assert died.wait(60)
        until(lambda: not any(each.name == "landing" for each in threading.enumerate()))
    second = place.land()
    until(lambda: not first.exists() and not second.exists())


def test_its_thread_ends_when_there_is_nothing_to_do(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_REST_S", 0.01)

    def threads() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name == "landing"]

    before = len(threads())
    path = place.land()
    until(lambda: not path.exists() and len(threads()) <= before)
    path = place.land()
    until(lambda: not path.exists())

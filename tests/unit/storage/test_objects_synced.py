"""In what order an object is synced and named, and what a disk that refuses leaves of it."""

import errno
import os
from pathlib import Path

import pytest

from dicomnode.errors import StoreError, StoreFull
from dicomnode.storage.durable import take_name
from dicomnode.storage.incoming import Kept
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.seal import read_seal
from tests.factories import STUDY_UID
from tests.objects import NAME, ONE, failing, files, keep


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreError)],
)
@pytest.mark.parametrize("step", ["fsync", "fdatasync", "link"])
def test_a_disk_that_refuses_keeps_nothing_and_recovers(
    store: ObjectStore, tmp_path: Path, code: int, kind: type[StoreError], step: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, step, failing(code))
        with pytest.raises(kind) as raised:
            keep(store, ONE)
    assert type(raised.value) is kind
    assert str(tmp_path / "landing") in str(raised.value)
    assert files(tmp_path) == []
    assert keep(store, ONE) is Kept.NEW


def test_an_object_has_a_synced_name_before_its_bytes_come_and_is_whole_before_it_is_named(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fsync, fdatasync, link = os.fsync, os.fdatasync, os.link

    def place(handle: int) -> str:
        return str(Path(f"/proc/self/fd/{handle}").readlink()).removeprefix(f"{tmp_path}/")

    def watch_fsync(handle: int) -> None:
        seen.append(f"sync {place(handle)}")
        fsync(handle)

    def watch_fdatasync(handle: int) -> None:
        assert read_seal(tmp_path / place(handle)) == (STUDY_UID, NAME)
        seen.append(f"sync {place(handle)}")
        fdatasync(handle)

    def watch_link(source: Path, target: Path) -> None:
        seen.append(f"name {source}".replace(f"{tmp_path}/", ""))
        link(source, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "fdatasync", watch_fdatasync)
    monkeypatch.setattr(os, "link", watch_link)
    with store.begin() as incoming:
        file = incoming.path.relative_to(tmp_path)
        assert "sync landing" in seen
        incoming.write(ONE)
        incoming.keep(STUDY_UID, NAME)
    assert [step for step in seen if str(file) in step] == [f"sync {file}", f"name {file}"]


def test_a_long_object_is_sealed_when_it_is_synced(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seals: list[object] = []
    fdatasync = os.fdatasync

    def watch(handle: int) -> None:
        fdatasync(handle)
        [path] = [path for path in (tmp_path / "landing").iterdir() if path.stat().st_size]
        seals.append(read_seal(path))

    monkeypatch.setattr(os, "fdatasync", watch)
    assert keep(store, ONE + bytes(2_000_000)) is Kept.NEW
    assert seals == [None, (STUDY_UID, NAME)]


def test_takes_a_name_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    assert take_name(tmp_path / "a", tmp_path / "c")
    assert not take_name(tmp_path / "b", tmp_path / "c")
    assert files(tmp_path) == ["b", "c"]

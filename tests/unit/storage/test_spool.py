import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.errors import StoreFull, Unreadable
from dicomnode.storage import spool as module
from dicomnode.storage.spool import Spool, put_at
from tests.commitment import make_message, make_request

MESSAGE = make_message(make_request())


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    (tmp_path / "partial").mkdir()
    return Spool(tmp_path)


def test_a_message_comes_back_as_it_was_put(spool: Spool) -> None:
    message = make_message(make_request(), dataset=bytes(range(256)))
    spool.put(message)
    (path,) = spool.waiting("MODALITY")
    assert spool.read(path) == message
    assert datetime.now(UTC) - put_at(path) < timedelta(minutes=1)


def test_messages_wait_in_order_each_with_its_caller(spool: Spool) -> None:
    for number in range(5):
        spool.put(make_message(make_request(), type_id=number))
    spool.put(make_message(make_request(), calling_ae="MODALITY2"))
    waiting = [spool.read(path).type_id for path in spool.waiting("MODALITY")]
    assert waiting == [0, 1, 2, 3, 4]
    assert len(spool.waiting("MODALITY2")) == 1
    assert spool.waiting("MOD") == []


def test_who_sent_what_waits_is_known_and_what_lies_there_by_accident_is_left_alone(
    spool: Spool, tmp_path: Path
) -> None:
    spool.put(MESSAGE)
    spool.put(make_message(make_request(), calling_ae="OTHER AE"))
    for name in ("README", "a-4d4f-b", f"{0:020d}-xyz-1"):
        (tmp_path / "commitments" / name).touch()
    assert spool.callers() == {"MODALITY", "OTHER AE"}


def test_nothing_waits_where_nothing_ever_came(spool: Spool) -> None:
    assert spool.waiting("MODALITY") == []


def test_a_message_that_is_removed_waits_no_longer(spool: Spool) -> None:
    spool.put(MESSAGE)
    (path,) = spool.waiting("MODALITY")
    spool.remove(path)
    spool.remove(path)
    assert spool.waiting("MODALITY") == []


def test_file_and_folders_are_synced_in_order_before_put_returns(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def remember(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").resolve().relative_to(tmp_path).parts[:1][0])
        fsync(handle)

    def remember_folder(folder: Path) -> None:
        waiting = len(list(folder.iterdir())) if folder.name == "commitments" else 1
        synced.append(f"{folder.name}:{waiting}")

    monkeypatch.setattr(os, "fsync", remember)
    monkeypatch.setattr(module, "sync_folder", remember_folder)
    spool.put(MESSAGE)
    assert synced == ["partial", "commitments:1", f"{tmp_path.name}:1"]


def test_a_full_disk_leaves_nothing_behind(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull):
        spool.put(MESSAGE)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_caller_whose_messages_pile_up_is_told_so_and_others_are_not(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    spool.put(MESSAGE)
    spool.put(MESSAGE)
    with pytest.raises(StoreFull, match="wait already"):
        spool.put(MESSAGE)
    spool.put(make_message(make_request(), calling_ae="OTHER"))


@pytest.mark.parametrize("damage", [b"", b"{}\n", b'["x"]\nabc', b"\xff\xfe\n"])
def test_a_damaged_file_is_unreadable(spool: Spool, damage: bytes) -> None:
    spool.put(MESSAGE)
    (path,) = spool.waiting("MODALITY")
    path.write_bytes(damage)
    with pytest.raises(Unreadable):
        spool.read(path)

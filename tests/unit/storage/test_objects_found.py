"""What a start finds of objects after a power cut, or after the end of a process."""

import errno
import os
from io import FileIO
from pathlib import Path

import pytest

from dicomnode.errors import StoreError
from dicomnode.storage import durable
from dicomnode.storage.incoming import Kept
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.seal import Seal, add_to_checksum, write_seal
from tests.factories import STUDY_UID
from tests.objects import NAME, ONE, OTHER, dataset, failing, files, keep, settle_oldest


def test_starting_drops_half_written_objects_only(store: ObjectStore, tmp_path: Path) -> None:
    keep(store, ONE)
    (tmp_path / "partial" / "half").write_bytes(ONE[:100])
    (tmp_path / "partial" / "removed" / "deep").mkdir(parents=True)
    ObjectStore(tmp_path).prepare()
    assert files(tmp_path) == [f"inbox/{NAME}.dcm"]
    assert list((tmp_path / "partial").iterdir()) == []


def landed(folder: Path, data: bytes = ONE, *, checked: bool = True) -> Path:
    """An object that was acknowledged, and lost its name in the inbox."""
    path = folder / "landing" / "1.landed"
    path.write_bytes(data)
    with FileIO(path, "r+") as file:
        write_seal(file, add_to_checksum(data) if checked else None, Seal(STUDY_UID, NAME))
    return path


def test_starting_takes_up_what_lost_its_name(store: ObjectStore, tmp_path: Path) -> None:
    landed(tmp_path)
    store.prepare()
    assert files(tmp_path) == [f"inbox/{NAME}.dcm"]
    assert list((tmp_path / "landing").iterdir()) == []
    assert keep(store, ONE) is Kept.SAME


def test_what_lost_its_name_may_be_long(store: ObjectStore, tmp_path: Path) -> None:
    long = ONE + bytes(2_000_000)
    landed(tmp_path, long, checked=False)
    store.prepare()
    assert dataset(tmp_path / "inbox" / f"{NAME}.dcm") == dataset(long)


@pytest.mark.parametrize("at", [0, 200, 500, -1])
def test_starting_drops_what_is_torn(store: ObjectStore, tmp_path: Path, at: int) -> None:
    copy = landed(tmp_path)
    data = bytearray(copy.read_bytes())
    data[at] ^= 1
    copy.write_bytes(data)
    store.prepare()
    assert files(tmp_path) == []


def test_starting_drops_what_is_short(store: ObjectStore, tmp_path: Path) -> None:
    copy = landed(tmp_path)
    copy.write_bytes(copy.read_bytes()[:-2])
    (tmp_path / "landing" / "1.blank").touch()
    (tmp_path / "landing" / "1.begun").write_bytes(ONE[:50])
    (tmp_path / "landing" / "1.whole").write_bytes(ONE)
    store.prepare()
    assert files(tmp_path) == []
    assert list((tmp_path / "landing").iterdir()) == []


def test_starting_does_not_keep_twice_what_has_its_name(store: ObjectStore, tmp_path: Path) -> None:
    keep(store, ONE)
    settled = settle_oldest(store)
    os.link(settled, tmp_path / "landing" / "1.named")
    store.prepare()
    assert files(tmp_path) == [f"studies/{STUDY_UID}/{NAME}.dcm"]


def test_what_came_again_and_lost_its_name_waits_again(store: ObjectStore, tmp_path: Path) -> None:
    landed(tmp_path)
    keep(store, ONE)
    settle_oldest(store)
    store.prepare()
    assert files(tmp_path) == [f"inbox/{NAME}.dcm", f"studies/{STUDY_UID}/{NAME}.dcm"]


@pytest.mark.parametrize("settled", [False, True])
def test_other_bytes_that_were_refused_stay_so(
    store: ObjectStore, tmp_path: Path, settled: bool
) -> None:
    landed(tmp_path, OTHER)
    keep(store, ONE)
    if settled:
        settle_oldest(store)
    store.prepare()
    [only] = files(tmp_path)
    assert dataset(tmp_path / only) == dataset(ONE)


def test_what_a_dead_process_left_goes_when_the_inbox_is_synced(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "landing" / "12.left"
    other = tmp_path / "landing" / "123.left"
    mine.touch()
    other.touch()
    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_folder", failing(errno.EIO))
        with pytest.raises(StoreError):
            store.drop_partial(12)
    assert mine.exists()
    store.drop_partial(12)
    assert not mine.exists()
    assert other.exists()

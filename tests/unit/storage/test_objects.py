"""Objects on disk: durable, once, whole."""

import errno
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

import pytest

from dicomnode.errors import BadUID, Conflict, StoreError, StoreFull, Unreadable
from dicomnode.storage import durable
from dicomnode.storage.durable import take_name
from dicomnode.storage.incoming import Kept
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.part10 import dataset_sha256
from dicomnode.storage.seal import Seal, add_to_checksum, read_seal, write_seal
from tests.factories import STUDY_UID, encode, make_dataset, make_received, uid

NAME = uid("instance", 1)
ONE = make_received(make_dataset(1))
OTHER = make_received(make_dataset(1, PatientID="SYN-0002"))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path)
    store.prepare()
    return store


def keep(store: ObjectStore, data: bytes, *, name: str = NAME, keep_both: bool = False) -> Kept:
    with store.begin() as incoming:
        incoming.write(data)
        return incoming.keep(STUDY_UID, name, keep_both=keep_both)


def settle_oldest(store: ObjectStore) -> Path:
    [path] = store.waiting(1)
    return store.settle(path, STUDY_UID)


def files(folder: Path) -> list[str]:
    """All that is kept: what lies in `landing/` is not, nor is the file of locks."""
    there = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in there if path.parts[0] not in ("landing", "names.lock"))


def dataset(file: Path | bytes) -> bytes:
    """What follows the File Meta Information, which is sealed."""
    data = file.read_bytes() if isinstance(file, Path) else file
    return data[144 + int.from_bytes(data[140:144], "little") :]


def test_keeps_an_object_byte_for_byte(store: ObjectStore, tmp_path: Path) -> None:
    assert keep(store, ONE) is Kept.NEW
    assert dataset(tmp_path / "inbox" / f"{NAME}.dcm") == dataset(ONE)
    assert files(tmp_path) == [f"inbox/{NAME}.dcm"]


def test_an_object_left_without_keep_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    with store.begin() as incoming:
        incoming.write(ONE)
    assert files(tmp_path) == []


def test_folders_and_files_are_the_owners_alone(store: ObjectStore, tmp_path: Path) -> None:
    keep(store, ONE)
    settle_oldest(store)
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


def test_the_same_bytes_again_are_not_kept_twice(store: ObjectStore, tmp_path: Path) -> None:
    keep(store, ONE)
    assert keep(store, ONE) is Kept.SAME
    assert files(tmp_path) == [f"inbox/{NAME}.dcm"]


def test_another_file_meta_does_not_make_another_object(store: ObjectStore) -> None:
    keep(store, ONE)
    assert keep(store, ONE.replace(b"DICOMNODE_0_1", b"SOMEBODY_ELSE")) is Kept.SAME


def test_the_same_bytes_wait_once_more_after_they_settled(
    store: ObjectStore, tmp_path: Path
) -> None:
    keep(store, ONE)
    settle_oldest(store)
    assert keep(store, ONE) is Kept.SAME
    assert keep(store, ONE) is Kept.SAME
    assert files(tmp_path) == [f"inbox/{NAME}.dcm", f"studies/{STUDY_UID}/{NAME}.dcm"]
    settle_oldest(store)
    assert files(tmp_path) == [f"studies/{STUDY_UID}/{NAME}.dcm"]


def test_bytes_that_come_again_outlive_the_removal_of_their_study(
    store: ObjectStore, tmp_path: Path
) -> None:
    keep(store, ONE)
    settle_oldest(store)
    assert keep(store, ONE) is Kept.SAME
    store.remove_study(STUDY_UID)
    assert dataset(settle_oldest(store)) == dataset(ONE)


def test_an_object_that_settles_while_it_is_looked_for_is_found(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, ONE)
    [waiting] = store.waiting(1)
    settled = store.path_of(STUDY_UID, NAME)
    exists = Path.exists

    def and_move(path: Path) -> bool:
        found = exists(path)
        if path == settled and exists(waiting):
            settled.parent.mkdir()
            waiting.rename(settled)
        return found

    monkeypatch.setattr(Path, "exists", and_move)
    assert store.find(STUDY_UID, NAME) == settled
    settled.unlink()
    assert store.find(STUDY_UID, NAME) is None


def test_an_object_that_waits_is_found_and_the_settled_one_is_preferred(
    store: ObjectStore, tmp_path: Path
) -> None:
    keep(store, ONE)
    assert store.find(STUDY_UID, NAME) == tmp_path / "inbox" / f"{NAME}.dcm"
    settled = settle_oldest(store)
    keep(store, ONE)
    assert store.find(STUDY_UID, NAME) == settled


@pytest.mark.parametrize("settled", [False, True])
def test_other_bytes_are_a_conflict_and_the_first_stay(
    store: ObjectStore, tmp_path: Path, settled: bool
) -> None:
    keep(store, ONE)
    if settled:
        settle_oldest(store)
    with pytest.raises(Conflict):
        keep(store, OTHER)
    [only] = files(tmp_path)
    assert dataset(tmp_path / only) == dataset(ONE)


def test_what_is_refused_is_not_sealed_so_that_no_start_takes_it_up(store: ObjectStore) -> None:
    keep(store, ONE)
    with store.begin() as incoming:
        incoming.write(OTHER)
        with pytest.raises(Conflict):
            incoming.keep(STUDY_UID, NAME)
        assert read_seal(incoming.path) is None


def test_nobody_else_seals_an_object_of_the_same_uid_meanwhile(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fdatasync, inside = os.fdatasync, threading.Barrier(2, timeout=60)
    begun: list[int] = []

    def slow(handle: int) -> None:
        begun.append(handle)
        inside.wait()  # the other thread is told to go on, and cannot
        time.sleep(0.2)
        fdatasync(handle)

    monkeypatch.setattr(os, "fdatasync", slow)
    other = ObjectStore(tmp_path)  # as another receiver has it
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(keep, store, ONE)
        inside.wait()
        second = pool.submit(keep, other, OTHER)
        assert first.result(60) is Kept.NEW
        with pytest.raises(Conflict):
            second.result(60)
    assert len(begun) == 1


def test_a_longer_object_is_another_object(store: ObjectStore) -> None:
    keep(store, ONE)
    with pytest.raises(Conflict):
        keep(store, ONE + b"\x00\x00")


def test_other_bytes_can_be_kept_beside_the_first(store: ObjectStore, tmp_path: Path) -> None:
    keep(store, ONE)
    assert keep(store, OTHER, keep_both=True) is Kept.BESIDE
    assert keep(store, OTHER, keep_both=True) is Kept.SAME
    assert keep(store, ONE, keep_both=True) is Kept.SAME
    digest = hashlib.sha256(encode(make_dataset(1, PatientID="SYN-0002"))).hexdigest()
    assert files(tmp_path) == [f"inbox/{NAME}.{digest[:12]}.dcm", f"inbox/{NAME}.dcm"]


def test_an_object_kept_beside_another_settles_under_its_own_name(store: ObjectStore) -> None:
    keep(store, ONE)
    keep(store, OTHER, keep_both=True)
    for path in store.waiting(2):
        assert store.settle(path, STUDY_UID).name == path.name
    assert keep(store, OTHER, keep_both=True) is Kept.SAME


def test_many_threads_keep_one_name_once(store: ObjectStore, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _: keep(store, ONE), range(16)))
    assert sorted(kept) == [Kept.NEW] + [Kept.SAME] * 15
    assert files(tmp_path) == [f"inbox/{NAME}.dcm"]


def test_settling_while_the_object_comes_again_loses_nothing(
    store: ObjectStore, tmp_path: Path
) -> None:
    for number in range(20):
        name = uid("race", number)
        keep(store, ONE, name=name)
        with ThreadPoolExecutor(2) as pool:
            again = pool.submit(keep, store, ONE, name=name)
            pool.submit(settle_oldest, store).result()
        assert again.result() is Kept.SAME
        for path in store.waiting(1):  # it came again after it settled
            store.settle(path, STUDY_UID)
        assert dataset(store.path_of(STUDY_UID, name)) == dataset(ONE)
        assert store.waiting(1) == []


def test_what_waits_is_told_oldest_first(store: ObjectStore, tmp_path: Path) -> None:
    for number, seconds in ((1, 30), (2, 10), (3, 20)):
        keep(store, ONE, name=uid(number))
        os.utime(tmp_path / "inbox" / f"{uid(number)}.dcm", (seconds, seconds))
    assert [path.stem for path in store.waiting(2)] == [uid(2), uid(3)]


def test_settling_twice_is_settling_once(store: ObjectStore) -> None:
    keep(store, ONE)
    [path] = store.waiting(1)
    settled = store.settle(path, STUDY_UID)
    assert store.settle(path, STUDY_UID) == settled
    assert store.settle(settled, STUDY_UID) == settled
    assert dataset(settled) == dataset(ONE)


def test_settling_drops_a_second_copy_and_puts_other_bytes_beside(
    store: ObjectStore, tmp_path: Path
) -> None:
    keep(store, ONE)
    [path] = store.waiting(1)
    settled = store.settle(path, STUDY_UID)
    path.write_bytes(ONE)
    store.settle(path, STUDY_UID)
    assert not path.exists()
    path.write_bytes(OTHER)
    beside = store.settle(path, STUDY_UID)
    assert not path.exists()
    assert (dataset(beside), dataset(settled)) == (dataset(OTHER), dataset(ONE))


def test_settling_what_is_nowhere_is_an_error(store: ObjectStore, tmp_path: Path) -> None:
    gone = tmp_path / "inbox" / f"{NAME}.dcm"
    with pytest.raises(StoreError, match=f"No such file or directory: {gone}$"):
        store.settle(gone, STUDY_UID)


def test_starting_drops_half_written_objects_only(store: ObjectStore, tmp_path: Path) -> None:
    keep(store, ONE)
    (tmp_path / "partial" / "half").write_bytes(ONE[:100])
    (tmp_path / "partial" / "removed" / "deep").mkdir(parents=True)
    ObjectStore(tmp_path).prepare()
    assert files(tmp_path) == [f"inbox/{NAME}.dcm"]
    assert list((tmp_path / "partial").iterdir()) == []


@pytest.mark.parametrize("bad", ["", ".", "..", "../evil", "1/2", "1..2", "1.2\n", "a.1", "1" * 81])
def test_a_name_that_is_no_uid_touches_nothing(
    store: ObjectStore, tmp_path: Path, bad: str
) -> None:
    for attempt in (
        lambda: keep(store, ONE, name=bad),
        lambda: store.path_of(bad, NAME),
        lambda: store.keep_result(bad, NAME, ONE),
        lambda: store.keep_result(STUDY_UID, bad, ONE),
        lambda: store.remove_study(bad),
    ):
        with pytest.raises(BadUID):
            attempt()
    assert files(tmp_path) == []


def test_a_result_is_written_once(store: ObjectStore, tmp_path: Path) -> None:
    path = store.keep_result(STUDY_UID, NAME, ONE)
    assert path == store.path_of_result(STUDY_UID, NAME)
    assert store.keep_result(STUDY_UID, NAME, OTHER) == path
    assert path.read_bytes() == ONE
    assert files(tmp_path) == [f"results/{STUDY_UID}/{NAME}.dcm"]


def test_results_of_one_job_are_written_under_synced_names_and_the_first_stay(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.keep_result(STUDY_UID, NAME, ONE)
    synced: list[tuple[str, list[str]]] = []

    def sync(folder: Path) -> None:
        synced.append((folder.name, files(tmp_path)))

    monkeypatch.setattr("dicomnode.storage.objects.sync_folder", sync)
    second = uid("second")

    store.keep_results(STUDY_UID, {NAME: OTHER, second: OTHER})

    there = sorted(f"results/{STUDY_UID}/{name}.dcm" for name in (NAME, second))
    assert synced == [(STUDY_UID, there), ("results", there)]
    assert store.path_of_result(STUDY_UID, NAME).read_bytes() == ONE
    assert store.path_of_result(STUDY_UID, second).read_bytes() == OTHER


def test_a_removed_study_leaves_others_alone(store: ObjectStore, tmp_path: Path) -> None:
    keep(store, ONE)
    settle_oldest(store)
    store.keep_result(STUDY_UID, NAME, ONE)
    other = store.keep_result(uid("other study"), NAME, ONE)
    store.remove_study(STUDY_UID)
    store.remove_study(STUDY_UID)
    assert files(tmp_path) == [str(other.relative_to(tmp_path))]


def test_refuses_new_objects_when_little_room_is_left(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path, min_free_bytes=2**62)
    store.prepare()
    with pytest.raises(StoreFull) as full:
        store.begin()
    assert re.fullmatch(
        rf"only \d+ MB free in {tmp_path}, min_free_bytes wants 4611686018428 MB", str(full.value)
    )
    assert store.keep_result(STUDY_UID, NAME, ONE).exists()


def test_watches_the_room_during_a_large_object(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.begin() as incoming:
        monkeypatch.setattr(store, "_min_free_bytes", 2**62)
        incoming.write(bytes(1024))
        with pytest.raises(StoreFull):
            incoming.write(bytes(16 * 1024 * 1024))


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


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


# --- after a power cut, or the end of a process ---------------------------------------------


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


def test_takes_a_name_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    assert take_name(tmp_path / "a", tmp_path / "c")
    assert not take_name(tmp_path / "b", tmp_path / "c")
    assert files(tmp_path) == ["b", "c"]


def test_the_hash_is_of_the_dataset_alone(tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(ONE)
    assert dataset_sha256(path) == hashlib.sha256(encode(make_dataset(1))).hexdigest()


def test_a_file_without_file_meta_has_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(b"not DICOM")
    with pytest.raises(Unreadable):
        dataset_sha256(path)

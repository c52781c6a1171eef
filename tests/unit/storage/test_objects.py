"""Objects on disk: once, whole, and under their own names."""

import hashlib
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomnode.errors import BadUID, Conflict, StoreError, StoreFull, Unreadable
from dicomnode.storage.incoming import Kept
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.part10 import dataset_sha256
from dicomnode.storage.seal import read_seal
from tests.factories import STUDY_UID, encode, make_dataset, uid
from tests.objects import NAME, ONE, OTHER, dataset, files, keep, settle_oldest


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


def test_the_hash_is_of_the_dataset_alone(tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(ONE)
    assert dataset_sha256(path) == hashlib.sha256(encode(make_dataset(1))).hexdigest()


def test_a_file_without_file_meta_has_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(b"not DICOM")
    with pytest.raises(Unreadable):
        dataset_sha256(path)

"""The power goes while objects arrive: what was acknowledged is there, whatever else is not.

`disk.c` stands for the disk: after the cut there is nothing but what was synced. That these tests
would find a missing sync is tested too, with a disk that lies about syncs. DICOMNODE_CRASH_SEED
and DICOMNODE_CRASH_COUNT are those of test_receive_killed.py; there is one cut for ten kills.
"""

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicomnode.storage.objects import ObjectStore
from tests.crash.disk import Disk
from tests.crash.lives import Lives, lives
from tests.crash.load import Load, dataset, message, name, received_status
from tests.crash.serving import assert_all_entered, live, serving
from tests.tools import require
from tests.wire import Wire

SEED = int(os.environ.get("DICOMNODE_CRASH_SEED", "1"))
CUTS = int(os.environ.get("DICOMNODE_CRASH_COUNT", "500")) // 10


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def receiver(disk: Disk, tmp_path: Path) -> Iterator[Lives]:
    with lives(disk.folder / "node", tmp_path / "log", environment=disk.environment) as receiver:
        yield receiver


def lost(disk: Disk, receiver: Lives, load: Load) -> set[str]:
    """Start once, and check what is in the inbox; what was acknowledged and is not there?"""
    pid, _ = receiver.begin()
    receiver.kill(pid)
    found = load.check(ObjectStore(disk.folder / "node").waiting(100_000))
    return {name(number) for number in load.acknowledged} - found


@pytest.mark.timeout(120 + 10 * CUTS)
def test_what_was_acknowledged_survives_power_cuts(disk: Disk, receiver: Lives) -> None:
    chance, load = random.Random(SEED), Load(SEED)  # noqa: S311  the same moments in every run
    for number in range(CUTS):
        receiver.live(load, chance.uniform(0.02, 0.2))
        disk.cut_power(names_survive=number % 2 == 1)
        assert not lost(disk, receiver, load)
    receiver.assert_nothing_unforeseen()
    assert not load.complaints
    print(f"{CUTS} power cuts, {len(load.acknowledged)} objects acknowledged")
    assert len(load.acknowledged) > CUTS


def test_a_disk_that_does_not_sync_bytes_is_found_out(disk: Disk, receiver: Lives) -> None:
    load = Load(SEED)
    receiver.live(load, 0.5, disk.trouble("lose"))
    disk.cut_power()
    with pytest.raises(AssertionError, match="not those that were sent"):
        lost(disk, receiver, load)


def test_a_disk_that_does_not_sync_names_is_found_out(disk: Disk, receiver: Lives) -> None:
    load = Load(SEED)
    receiver.live(load, 0.5, disk.trouble("lose-folder"))
    disk.cut_power()
    assert lost(disk, receiver, load) == {name(number) for number in load.acknowledged} != set()


def test_the_answer_leaves_after_the_bytes_and_their_name_are_synced(tmp_path: Path) -> None:
    require("strace")
    trace = tmp_path / "trace"
    calls = "fsync,fdatasync,link,linkat,rename,renameat,renameat2,sendto,sendmsg,write,writev"
    strace = ("strace", "-f", "-y", "-s", "64", "-e", f"trace={calls}", "-o", str(trace))
    with lives(tmp_path / "node", tmp_path / "log", *strace) as receiver:
        pid, port = receiver.begin()
        with Wire(port) as wire:
            wire.associate(CTImageStorage, ImplicitVRLittleEndian)
            wire.send(message(1, dataset(1)))
            assert received_status(wire) == 0x0000
        receiver.kill(pid)
    steps = [name for line in trace.read_text().splitlines() for name in _STEPS if step(name, line)]
    assert steps == ["name of the file synced", "bytes synced", "named", "answered"]


_STEPS = {
    "name of the file synced": r"fsync\(\d+<.*/landing>",
    "bytes synced": r"f(data)?sync\(\d+<.*/landing/[\w.]+>",
    "named": r"(link|rename)\w*\(.*/landing/.*/inbox/",
    "answered": r"(send|write)\w*\(\d+<(socket|TCP).*\"\\4\\0",
}


def step(name: str, line: str) -> bool:
    """Is this line of the trace that step?"""
    return re.search(_STEPS[name], line) is not None


@pytest.mark.timeout(600)
def test_a_whole_node_has_all_it_acknowledged_in_its_worklist_after_a_power_cut(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, load = random.Random(SEED), Load(SEED)  # noqa: S311  the same moments in every run
    with serving(tmp_path, disk.folder / "node") as running:
        for name, value in disk.environment.items():
            monkeypatch.setenv(name, value)
        for _ in range(3):
            live(running, load, chance.uniform(0.5, 2.0))
            disk.cut_power()
        running.start()
        assert_all_entered(running, load)
    assert load.acknowledged

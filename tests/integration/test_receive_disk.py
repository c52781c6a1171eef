"""The receiver on a disk that is full, broken or read-only: an honest answer, and no other harm.

The trouble is made by `tests/crash/disk.c`, between the receiver's process and the kernel.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.association import Association

from dicomnode.dicom.sop_classes import VERIFICATION
from tests.crash.disk import Disk
from tests.crash.lives import Lives, lives
from tests.crash.load import Load, dataset, message, name, received_status
from tests.crash.serving import serving
from tests.landing import being_received
from tests.running import until
from tests.wire import COMMAND_END, DATA_PART, Wire, command, p_data, pdu, pdv

LARGE = next(number for number in range(1000) if len(dataset(number)) > 1_000_000)
HALF = len(message(LARGE, dataset(LARGE))) // 2


class Node:
    """A receiver, its disk, and its log."""

    def __init__(self, disk: Disk, receiver: Lives) -> None:
        self.disk = disk
        self.receiver = receiver
        _, self.port = receiver.begin()

    def files(self, folder: str) -> list[Path]:
        """What lies in `inbox` or `landing`."""
        return list((self.disk.folder / "node" / folder).iterdir())

    def begun(self) -> list[Path]:
        """Objects that are not whole."""
        return being_received(self.disk.folder / "node")

    def logged(self) -> list[str]:
        """Lines of the log about objects that were refused."""
        return [line for line in self.receiver.log.splitlines() if "store.refused" in line]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    disk = Disk(tmp_path)
    log = tmp_path / "log"
    with lives(disk.folder / "node", log, environment=disk.environment) as receiver:
        yield Node(disk, receiver)


@pytest.fixture
def wire(node: Node) -> Iterator[Wire]:
    with Wire(node.port) as wire:
        wire.associate(CTImageStorage, ImplicitVRLittleEndian)
        yield wire


def store(wire: Wire, number: int = 1) -> int:
    wire.send(message(number, dataset(number)))
    return received_status(wire)


def whole(node: Node) -> set[str]:
    """Names in the inbox, each with the bytes that were sent."""
    load = Load(0)
    load.acknowledged = dict.fromkeys((1, 2, LARGE), False)
    return load.check(node.files("inbox"))


@pytest.mark.parametrize(
    ("call", "number", "status"),
    [
        ("open", errno.ENOSPC, 0xA700),
        ("write", errno.ENOSPC, 0xA700),
        ("write", errno.EDQUOT, 0xA700),
        ("write", errno.EIO, 0xA701),
        ("fsync", errno.ENOSPC, 0xA700),
        ("fsync", errno.EIO, 0xA701),
        ("link", errno.ENOSPC, 0xA700),
        ("link", errno.EIO, 0xA701),
        ("fsync-folder", errno.EIO, 0xA701),
        ("readonly", errno.EROFS, 0xA701),
    ],
)
def test_an_object_that_the_disk_refuses_is_refused_until_the_disk_is_well(
    node: Node, wire: Wire, call: str, number: int, status: int
) -> None:
    with node.disk.trouble(call, number):
        assert store(wire) == status
        assert store(wire) == status
        assert len(node.logged()) == 2
        assert all(name(1) in line and os.strerror(number) in line for line in node.logged())
        until(lambda: not node.begun())
        assert call == "fsync-folder" or not node.files("inbox")
    assert store(wire) == 0x0000
    assert whole(node) == {name(1)}
    until(lambda: not node.begun())


def test_a_disk_that_fills_in_the_middle_of_an_object_spoils_that_object_only(
    node: Node, wire: Wire
) -> None:
    large = message(LARGE, dataset(LARGE))
    with Wire(node.port) as other:
        other.associate(CTImageStorage, ImplicitVRLittleEndian)
        wire.send(large[:HALF])
        until(lambda: bool(node.begun()))
        with node.disk.trouble("write", errno.ENOSPC):
            wire.send(large[HALF:])
            assert received_status(wire) == 0xA700
            assert store(other) == 0xA700
            until(lambda: not node.begun())
        assert store(other) == 0x0000
        assert store(wire, LARGE) == 0x0000
    assert whole(node) == {name(1), name(LARGE)}


def test_a_disk_that_turns_read_only_in_the_middle_of_an_object_keeps_what_is_whole(
    node: Node, wire: Wire
) -> None:
    assert store(wire) == 0x0000
    large = message(LARGE, dataset(LARGE))
    wire.send(large[:HALF])
    until(lambda: bool(node.begun()))
    with node.disk.trouble("readonly", errno.EROFS):
        wire.send(large[HALF:])
        assert received_status(wire) == 0xA701
        assert store(wire, 2) == 0xA701
    assert store(wire, LARGE) == 0x0000
    assert whole(node) == {name(1), name(LARGE)}


def test_a_file_whose_sync_failed_is_not_synced_again_and_never_named(
    node: Node, wire: Wire
) -> None:
    """The kernel tells of lost bytes once: a second fsync would succeed, and the bytes be gone."""
    with node.disk.trouble("fsync", errno.EIO):
        assert store(wire) == 0xA701
    assert store(wire) == 0x0000
    steps = node.disk.steps()
    [failed] = [at for at, (what, _, _) in enumerate(steps) if what == "failed"]
    file = steps[failed][1]
    assert [what for what, each, _ in steps if each == file] == ["new", "failed"]


def test_writes_that_the_disk_takes_by_halves_are_continued(node: Node, wire: Wire) -> None:
    with node.disk.trouble("short"):
        assert store(wire, LARGE) == 0x0000
    assert whole(node) == {name(LARGE)}


def test_an_object_that_is_kept_is_acknowledged_even_if_its_first_name_stays(
    node: Node, wire: Wire
) -> None:
    with node.disk.trouble("unlink", errno.EIO):
        assert store(wire) == 0x0000
        assert store(wire) == 0x0000
    assert store(wire, 2) == 0x0000
    assert whole(node) == {name(1), name(2)}


def hang_up(wire: Wire) -> None:
    wire.socket.shutdown(socket.SHUT_RDWR)


def reset(wire: Wire) -> None:
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.socket.close()


def abort(wire: Wire) -> None:
    wire.send(pdu(7, bytes(4)))


@pytest.mark.parametrize("end", [hang_up, reset, abort])
def test_a_transfer_that_breaks_leaves_nothing_behind(
    node: Node, end: Callable[[Wire], None]
) -> None:
    wires = [Wire(node.port) for _ in range(20)]
    for wire in wires:
        wire.associate(CTImageStorage, ImplicitVRLittleEndian)
        wire.send(p_data(pdv(COMMAND_END, command(CTImageStorage, name(LARGE)))))
        wire.send(p_data(pdv(DATA_PART, dataset(LARGE)[:100_000])))
    until(lambda: len(node.begun()) == len(wires))
    for wire in wires:
        end(wire)
    until(lambda: not node.begun())
    for wire in wires:
        wire.socket.close()
    assert not node.files("inbox")


@pytest.fixture
def whole_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Disk, Wire, int]]:
    """`dicomnode serve` on a disk of ours, with an association that is open, and its port."""
    disk = Disk(tmp_path)
    with serving(tmp_path, disk.folder / "node", low_water_bytes=1_000_000) as running:
        for key, value in disk.environment.items():
            monkeypatch.setenv(key, value)
        running.start()
        with Wire(running.peer.port) as wire:
            wire.associate(CTImageStorage, ImplicitVRLittleEndian)
            yield disk, wire, running.peer.port


def answer(port: int, sop_class: str) -> Association:
    ae = AE("MODALITY")
    return ae.associate("127.0.0.1", port, [build_context(sop_class)], ae_title="DICOMNODE")


def assert_turned_away(port: int) -> None:
    """Rejected for now: transient, by the service provider, temporary congestion."""
    with Wire(port) as wire:
        kind, content = wire.propose(CTImageStorage, ImplicitVRLittleEndian)
    assert (kind, content) == (0x03, bytes([0, 2, 3, 1]))  # PS3.8 Table 9-21


def test_little_room_turns_away_who_comes_to_store_and_nobody_else(
    whole_node: tuple[Disk, Wire, int],
) -> None:
    disk, wire, port = whole_node
    with disk.trouble("room", 900_000):
        assert_turned_away(port)
        echoing = answer(port, VERIFICATION)
        assert echoing.send_c_echo().Status == 0x0000
        echoing.release()
        assert store(wire) == 0x0000
    with disk.trouble("statvfs", errno.EIO):
        assert_turned_away(port)
        assert store(wire, 2) == 0xA701
    assert store(wire, 2) == 0x0000
    storing = answer(port, CTImageStorage)
    assert storing.is_established
    storing.release()

"""What a caller can cost the receiver: time, memory and places have bounds."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicomnode.records import Verdict
from tests.factories import encode, make_dataset, uid
from tests.landing import being_received
from tests.receiver import Receiver, running
from tests.receivers import ACCEPTED, receivers
from tests.running import until
from tests.wire import COMMAND_END, DATA_END, DATA_PART, Wire, command, p_data, pdv

TIMEOUT_S = 2.0
BOUND_S = TIMEOUT_S + 6  # longer than a machine pauses, shorter than anything waits without a bound
COMMAND = p_data(pdv(COMMAND_END, command(CTImageStorage, uid("instance", 1))))
DATA = encode(make_dataset(), ImplicitVRLittleEndian)
P_DATA, ABORT, RELEASE_RP = 4, 7, 6
MEGABYTE = 1024 * 1024


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with running(tmp_path, idle_timeout_s=TIMEOUT_S) as node:
        yield node


def associated(port: int) -> Wire:
    wire = Wire(port)
    assert wire.associate(CTImageStorage, ImplicitVRLittleEndian) == ACCEPTED
    return wire


# --- time -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"\x01\x00\x00", b"\x01\x00\x00\x00\x00\xf0half"])
def test_half_a_greeting_is_closed_when_its_time_is_over(node: Receiver, sent: bytes) -> None:
    with Wire(node.server.port) as wire:
        wire.send(sent)
        started = time.monotonic()
        assert wire.closed()
        assert time.monotonic() - started < BOUND_S


@pytest.mark.parametrize(
    "sent", [b"\x04\x00\x00", COMMAND[:30], COMMAND + p_data(pdv(0, DATA))[:90]]
)
def test_half_a_pdu_is_closed_when_its_time_is_over(node: Receiver, sent: bytes) -> None:
    with associated(node.server.port) as wire:
        wire.send(sent)
        started = time.monotonic()
        assert wire.closed()
        assert time.monotonic() - started < BOUND_S
    assert node.listener.wait_ended(1)


def test_who_drips_a_pdu_byte_by_byte_is_closed(node: Receiver) -> None:
    with associated(node.server.port) as wire:
        assert _drip(wire, [bytes([each]) for each in p_data(pdv(0, DATA))]) < BOUND_S


def test_who_drips_an_object_fragment_by_fragment_is_closed(node: Receiver) -> None:
    with associated(node.server.port) as wire:
        wire.send(COMMAND)
        assert _drip(wire, [p_data(pdv(DATA_PART, bytes(1)))] * 100) < BOUND_S


def _drip(wire: Wire, pieces: list[bytes]) -> float:
    """Send a piece every tenth of a second until the connection is closed; seconds until then."""
    started = time.monotonic()
    wire.socket.settimeout(0.1)
    for piece in pieces:
        try:
            wire.send(piece)
            if not wire.socket.recv(1):
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
        else:
            break  # an A-ABORT
    else:
        pytest.fail("the receiver never closed the connection")
    return time.monotonic() - started


# --- places ---------------------------------------------------------------------------------


def test_fifty_stalled_peers_do_not_keep_a_good_one_waiting(tmp_path: Path) -> None:
    with running(tmp_path, idle_timeout_s=30.0) as node:
        stalled = [associated(node.server.port) for _ in range(50)]
        for number, wire in enumerate(stalled):
            wire.send((COMMAND + p_data(pdv(DATA_PART, DATA)))[: -1 - number])
        started = time.monotonic()
        with associated(node.server.port) as good:
            good.send(COMMAND + p_data(pdv(DATA_END, DATA)))
            assert good.receive()[0] == P_DATA
        assert time.monotonic() - started < 15  # each stalled one is waited for 30 s
        for wire in stalled:
            wire.socket.close()
        assert node.listener.wait_ended(51)
        until(lambda: not being_received(tmp_path))


def test_three_hundred_associations_are_taken_and_let_go(tmp_path: Path) -> None:
    with running(tmp_path, max_associations=300, idle_timeout_s=30.0) as node:
        wires = [Wire(node.server.port) for _ in range(300)]
        for wire in wires:
            assert wire.associate(CTImageStorage, ImplicitVRLittleEndian) == ACCEPTED
        with Wire(node.server.port) as one_more:
            assert one_more.associate(CTImageStorage, ImplicitVRLittleEndian) != ACCEPTED
        for wire in wires:
            wire.send(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        assert {wire.receive()[0] for wire in wires} == {RELEASE_RP}
        for wire in wires:
            wire.socket.close()
        assert node.listener.wait_ended(300)


# --- lines in the log -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "event"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500, "connection.refused"),
        (bytes(range(256)) * 400, "connection.refused"),
        (b"\x01\x00\xff\xff\xff\xff" + bytes(100_000), "connection.refused"),
        (b"\x01\x00\x00", "connection.refused"),
    ],
    ids=["HTTP", "garbage", "huge PDU", "3 bytes"],
)
def test_a_bad_connection_is_one_line(
    node: Receiver, caplog: pytest.LogCaptureFixture, sent: bytes, event: str
) -> None:
    with caplog.at_level(logging.INFO, "dicomnode"), Wire(node.server.port) as wire:
        try:
            wire.send(sent)
            assert wire.closed_or_garbled()
        except ConnectionError:
            pass  # closed before all was sent
        until(lambda: len(caplog.records) > 0)
        node.server.stop(0)
    lines = [record.msg for record in caplog.records]
    assert lines == [event]


def test_who_looks_whether_somebody_listens_is_no_line(
    node: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "dicomnode"):
        Wire(node.server.port).socket.close()
        node.server.stop(0)
    assert [record.msg for record in caplog.records] == []


def test_an_association_with_many_refused_objects_does_not_flood_the_log(
    node: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "dicomnode"), associated(node.server.port) as wire:
        for _ in range(100):
            wire.send(COMMAND + p_data(pdv(DATA_END, DATA[:-1])))
            assert wire.receive()[0] == P_DATA
        wire.socket.close()
        assert node.listener.wait_ended(1)
    lines = [record for record in caplog.records if record.msg == "store.refused"]
    assert len(lines) == 20
    [end] = [record for record in caplog.records if record.msg == "association.ended"]
    assert vars(end)["refused"] == 100


# --- memory ---------------------------------------------------------------------------------


def peak_bytes(pid: int) -> int:
    """The most memory a process ever had resident."""
    [line] = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024


def test_an_endless_object_ends_at_the_limit_and_costs_no_memory(tmp_path: Path) -> None:
    with receivers(tmp_path, extra=f"max_object_bytes = {MEGABYTE}") as node:
        assert node.send(1) == [Verdict.STORED]
        [pid] = node.receivers.pids
        before = peak_bytes(pid)
        with node.associate() as wire:
            wire.send(COMMAND)
            with pytest.raises(ConnectionError):
                wire.send(p_data(pdv(DATA_PART, bytes(100_000))) * 1000)
        assert node.listener.wait_ended(2)
        assert peak_bytes(pid) - before < 5 * MEGABYTE
        assert not being_received(tmp_path / "node")


def test_memory_does_not_depend_on_the_size_of_an_object(tmp_path: Path) -> None:
    with receivers(tmp_path) as node:
        assert node.send(1) == [Verdict.STORED]
        [pid] = node.receivers.pids
        before = peak_bytes(pid)
        frames, size = 400, 512 * 1024
        header = encode(make_dataset(2), ImplicitVRLittleEndian)
        start = header[: header.index(b"\xe0\x7f\x10\x00")]
        pixels = b"\xe0\x7f\x10\x00" + (frames * size).to_bytes(4, "little")
        with node.associate() as wire:
            wire.send(p_data(pdv(COMMAND_END, command(CTImageStorage, uid("instance", 2)))))
            wire.send(p_data(pdv(DATA_PART, start + pixels)))
            piece = b"".join(p_data(pdv(DATA_PART, bytes(size // 8))) for _ in range(8))
            for _ in range(frames):
                wire.send(piece)
            wire.send(p_data(pdv(DATA_END, b"")))
            wire.socket.settimeout(60)
            assert wire.receive()[0] == P_DATA
        assert node.listener.wait_ended(2)
        assert uid("instance", 2) in node.listener.kept_uids
        assert peak_bytes(pid) - before < 5 * MEGABYTE

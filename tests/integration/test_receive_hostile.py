"""What hits a DICOM port besides DICOM: the receiver answers or closes, and goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicomnode.dicom.sop_classes import VERIFICATION
from dicomnode.receive import server
from tests.factories import encode, make_dataset, uid
from tests.landing import being_received
from tests.receiver import Receiver, running
from tests.wire import COMMAND_END, DATA_END, DATA_PART, Wire, command, p_data, pdv

DATA = encode(make_dataset(), ImplicitVRLittleEndian)
COMMAND = command(CTImageStorage, uid("instance", 1))
ACCEPTED, P_DATA, ABORT = 2, 4, 7


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with running(tmp_path, idle_timeout_s=2.0) as node:
        yield node


def associated(node: Receiver) -> Wire:
    wire = Wire(node.server.port)
    assert wire.associate(CTImageStorage, ImplicitVRLittleEndian) == ACCEPTED
    return wire


def still_stores(node: Receiver) -> bool:
    with associated(node) as wire:
        wire.send(p_data(pdv(COMMAND_END, COMMAND)) + p_data(pdv(DATA_END, DATA)))
        kind, answer = wire.receive()
    return kind == P_DATA and b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" in answer


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x01\x00\x00",
        b"\x01\x00\xff\xff\xff\xff" + bytes(1000),
        b"\x01\x00\x00\x00\x00\x04oops",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        bytes(range(256)) * 8,
        b"\x04\x00\x00\x00\x00\x00",
    ],
    ids=["nothing", "3 bytes", "huge PDU", "broken PDU", "HTTP", "TLS", "garbage", "P-DATA first"],
)
def test_a_stranger_is_closed_and_the_next_is_served(node: Receiver, sent: bytes) -> None:
    with Wire(node.server.port) as wire:
        wire.send(sent)
        assert wire.closed()
    assert node.listener.ends == []
    assert still_stores(node)


@pytest.mark.parametrize(
    "sent",
    [
        p_data(pdv(COMMAND_END, COMMAND))[:20],
        p_data(pdv(COMMAND_END, COMMAND)) + p_data(pdv(DATA_PART, DATA[:100])),
        b"\x04\x00\xff\xff\xff\xff" + bytes(1000),
        p_data(b"\x00\x00\x00\x01\x01"),
        p_data(pdv(COMMAND_END, b"")),
        p_data(pdv(COMMAND_END, b"garbage " * 8)),
        p_data(pdv(COMMAND_END, command(CTImageStorage, uid("x"), field=0x7777))),
        p_data(pdv(COMMAND_END, COMMAND, 2)) + p_data(pdv(DATA_END, DATA, 2)),
        p_data(pdv(COMMAND_END, COMMAND, 99)) + p_data(pdv(DATA_END, DATA, 99)),
        p_data(pdv(COMMAND_END, command(CTImageStorage, uid("x"), field=0x0020)))
        + p_data(pdv(DATA_PART, bytes(100)), pdv(DATA_END, b"")),
        b"".join(p_data(pdv(1, bytes(16000))) for _ in range(20)),
    ],
    ids=[
        "half a PDU",
        "half an object",
        "huge PDU",
        "PDV of one byte",
        "empty command",
        "garbage for a command",
        "unknown command",
        "even context",
        "unknown context",
        "a query",
        "endless command",
    ],
)
def test_a_broken_association_ends_once_and_leaves_nothing(
    node: Receiver, tmp_path: Path, sent: bytes
) -> None:
    with associated(node) as wire:
        wire.send(sent)
        assert wire.closed()
    assert node.listener.wait_ended(1)
    assert being_received(tmp_path) == []
    assert node.kept() == {}
    assert still_stores(node)
    assert node.listener.wait_ended(2)
    assert len(node.listener.ends) == 2


def test_a_pdu_that_ends_in_the_middle_of_a_header_is_answered_with_an_abort(
    node: Receiver,
) -> None:
    with associated(node) as wire:
        wire.send(p_data(bytes(3)))
        assert wire.receive()[0] == ABORT


def test_a_connection_lost_in_the_middle_of_an_object_leaves_nothing(
    node: Receiver, tmp_path: Path
) -> None:
    for _ in range(5):
        with associated(node) as wire:
            wire.send(p_data(pdv(COMMAND_END, COMMAND), pdv(DATA_PART, DATA[:500])))
    assert node.listener.wait_ended(5)
    assert being_received(tmp_path) == []


def test_command_and_dataset_may_share_a_pdu(node: Receiver) -> None:
    with associated(node) as wire:
        wire.send(
            p_data(pdv(COMMAND_END, COMMAND), pdv(DATA_PART, DATA[:9]), pdv(DATA_END, DATA[9:]))
        )
        assert wire.receive()[0] == P_DATA
    assert node.kept() == {uid("instance", 1): DATA}


def test_an_empty_dataset_is_answered(node: Receiver) -> None:
    with associated(node) as wire:
        wire.send(p_data(pdv(COMMAND_END, COMMAND)) + p_data(pdv(DATA_END, b"")))
        kind, answer = wire.receive()
    assert kind == P_DATA
    assert b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\xa9" in answer


def test_a_sender_that_never_waits_is_answered_in_turn(tmp_path: Path) -> None:
    with running(tmp_path) as node, associated(node) as wire:
        one = p_data(pdv(COMMAND_END, COMMAND)) + p_data(pdv(DATA_END, DATA))
        for _ in range(200):
            wire.send(one)
        assert [wire.receive()[0] for _ in range(200)] == [P_DATA] * 200
        assert len(being_received(tmp_path)) <= 1


def test_silent_strangers_keep_nobody_out(tmp_path: Path) -> None:
    with running(tmp_path, max_associations=1) as node:
        strangers = [Wire(node.server.port) for _ in range(20)]
        assert still_stores(node)
        for stranger in strangers:
            stranger.socket.close()


def test_a_burst_of_connections_is_taken(tmp_path: Path) -> None:
    with running(tmp_path, max_associations=60) as node:
        wires = [Wire(node.server.port) for _ in range(60)]
        assert [wire.associate(VERIFICATION, ImplicitVRLittleEndian) for wire in wires] == [2] * 60
        for wire in wires:
            wire.socket.close()
        assert node.listener.wait_ended(60)


def test_of_too_many_strangers_the_first_must_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MOST_STRANGERS", 2)
    with running(tmp_path) as node:
        first, second = Wire(node.server.port), Wire(node.server.port)
        assert still_stores(node)
        with first, second:
            assert first.closed()
            assert second.associate(CTImageStorage, ImplicitVRLittleEndian) == ACCEPTED


def test_a_connection_that_cannot_begin_is_closed_and_the_next_is_served(
    node: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(server, "Wire", fail)
        with Wire(node.server.port) as wire:
            assert wire.closed()
    assert still_stores(node)


def test_stopping_closes_silent_strangers_and_deaf_associations(tmp_path: Path) -> None:
    with running(tmp_path, idle_timeout_s=60) as node:
        deaf = associated(node)
        deaf.send(p_data(pdv(COMMAND_END, COMMAND))[:20])
        stranger = Wire(node.server.port)
        node.server.stop(0)
        assert node.listener.wait_ended(1)
        assert deaf.closed()
        assert stranger.closed()
        deaf.socket.close()
        stranger.socket.close()

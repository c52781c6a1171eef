"""What the desk is told of every connection, whatever it was."""

import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, JPEGLSLossless
from pynetdicom import AE

from dicomnode.dicom.sop_classes import VERIFICATION
from dicomnode.errors import Trouble
from dicomnode.receive.negotiation import _MOST_CLASSES, _MOST_SYNTAXES
from dicomnode.records import Visit, VisitState
from tests.certificates import write_certificate
from tests.factories import encode, make_dataset, uid
from tests.receiver import Receiver, running
from tests.running import until
from tests.wire import COMMAND_END, DATA_END, Wire, command, p_data, pdv

WORKLIST = "1.2.840.10008.5.1.4.31"
PRIVATE = "1.2.840.113619.5.2"
RELEASE, ABORT = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00", b"\x07\x00\x00\x00\x00\x04" + bytes(4)
DATA = encode(make_dataset(), ImplicitVRLittleEndian)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Receiver]:
    with running(tmp_path) as node:
        yield node


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Receiver]:
    """For silence only: a machine that pauses must not look like a silent caller."""
    with running(tmp_path, idle_timeout_s=2.0) as node:
        yield node


def told(node: Receiver) -> Visit:
    """The one visit that there was."""
    until(lambda: bool(node.server.visits))
    [visit] = node.server.visits
    assert visit.address == "127.0.0.1"
    return visit


def associate(
    node: Receiver, *contexts: tuple[str, list[str]], calling: str = "MODALITY", called: str = ""
) -> None:
    """Ask for these presentation contexts, and release or abort."""
    caller = AE(calling)
    for sop_class, syntaxes in contexts or ((VERIFICATION, [ImplicitVRLittleEndian]),):
        caller.add_requested_context(sop_class, syntaxes)
    asked = caller.associate("127.0.0.1", node.server.port, ae_title=called or "DICOMNODE")
    if asked.is_established:
        asked.release()


def store(wire: Wire, data: bytes = DATA, sop_class: str = CTImageStorage) -> None:
    wire.send(
        p_data(pdv(COMMAND_END, command(sop_class, uid("instance", 1))))
        + p_data(pdv(DATA_END, data))
    )
    wire.receive()


def test_a_release_after_an_image(node: Receiver) -> None:
    with Wire(node.server.port) as wire:
        wire.associate(CTImageStorage, ImplicitVRLittleEndian)
        store(wire)
        wire.send(RELEASE)
        wire.receive()
        visit = told(node)
    assert visit.state is VisitState.RELEASED
    assert (visit.calling_ae, visit.called_ae) == ("MODALITY", "DICOMNODE")
    assert (visit.stored, visit.refusals, visit.trouble) == (1, {}, None)


def test_an_echo_is_no_trouble(node: Receiver) -> None:
    associate(node)
    visit = told(node)
    assert (visit.state, visit.trouble, visit.stored) == (VisitState.RELEASED, None, 0)


@pytest.mark.parametrize(
    ("calling", "called", "trouble"),
    [
        ("MODALITY", "DICOMNOD", Trouble.CALLED_AE),
        ("STRANGER", "DICOMNODE", Trouble.CALLING_AE),
        ("DEAF", "DICOMNODE", Trouble.CALLING_AE),
    ],
)
def test_a_rejection(node: Receiver, calling: str, called: str, trouble: Trouble) -> None:
    associate(node, calling=calling, called=called)
    visit = told(node)
    assert (visit.state, visit.trouble) == (VisitState.REJECTED, trouble)
    assert (visit.calling_ae, visit.called_ae) == (calling, called)
    assert visit.words


def test_a_full_house_and_a_full_disk(tmp_path: Path) -> None:
    with running(tmp_path, max_associations=1) as node:
        with Wire(node.server.port) as wire:
            wire.associate(CTImageStorage, ImplicitVRLittleEndian)
            associate(node)
            assert told(node).trouble is Trouble.TOO_MANY
        until(lambda: len(node.server.visits) == 2)
        node.server.visits.clear()
        node.server.has_room = False
        associate(node, (CTImageStorage, [ImplicitVRLittleEndian]))
        assert told(node).trouble is Trouble.LOW_DISK


@pytest.mark.parametrize(
    ("sop_class", "syntax"), [(WORKLIST, ImplicitVRLittleEndian), (CTImageStorage, PRIVATE)]
)
def test_nothing_accepted_is_what_matters_and_not_how_the_caller_takes_it(
    node: Receiver, sop_class: str, syntax: str
) -> None:
    associate(node, (sop_class, [syntax]))
    visit = told(node)
    assert visit.trouble is Trouble.CONTEXTS
    assert visit.refused_contexts == {sop_class: (syntax,)}


def test_jpeg_ls_is_accepted_and_what_else_was_proposed_is_told(node: Receiver) -> None:
    associate(node, (CTImageStorage, [JPEGLSLossless]), (CTImageStorage, [PRIVATE]))
    assert told(node).refused_contexts == {CTImageStorage: (PRIVATE,)}


def test_what_is_told_is_bounded_however_much_a_caller_proposes(node: Receiver) -> None:
    contexts = [(f"1.2.3.1{n}" + "9" * 50, [f"1.2.4.{i}" for i in range(60)]) for n in range(120)]
    associate(node, *contexts)
    visit = told(node)
    assert len(visit.refused_contexts) == _MOST_CLASSES
    assert all(len(each) == _MOST_SYNTAXES for each in visit.refused_contexts.values())
    assert len(json.dumps(asdict(visit))) < 10_000


@pytest.mark.parametrize(
    ("data", "sop_class", "why"),
    [
        (DATA[:50], CTImageStorage, "Unreadable"),
        (DATA, "1.2.840.10008.5.1.4.1.1.4", "Mismatch"),
        (DATA, "no uid", "BadUID"),
    ],
)
def test_objects_that_are_refused_are_counted_by_why(
    node: Receiver, data: bytes, sop_class: str, why: str
) -> None:
    with Wire(node.server.port) as wire:
        wire.associate(CTImageStorage, ImplicitVRLittleEndian)
        store(wire, data, sop_class)
        wire.send(ABORT)
        visit = told(node)
    assert visit.refusals == {why: 1}
    assert (visit.state, visit.trouble) == (VisitState.ABORTED, Trouble.OBJECTS)


@pytest.mark.parametrize(
    ("sent", "trouble"),
    [
        (ABORT, Trouble.ABORTED),
        (b"\x09\x00\x00\x00\x00\x00", Trouble.NO_DICOM),
        (p_data(pdv(DATA_END, b"12")), Trouble.VIOLATION),
    ],
    ids=["abort", "garbage", "dataset first"],
)
def test_an_association_that_does_not_end_well(
    node: Receiver, sent: bytes, trouble: Trouble
) -> None:
    with Wire(node.server.port) as wire:
        wire.associate(CTImageStorage, ImplicitVRLittleEndian)
        wire.send(sent)
        visit = told(node)
    assert (visit.state, visit.trouble) == (VisitState.ABORTED, trouble)


@pytest.mark.parametrize(
    ("sent", "trouble"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", Trouble.HTTP),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Trouble.TLS_TO_PLAIN),
        (b"SSH-2.0-OpenSSH\r\n", Trouble.NO_DICOM),
        (b"\x04\x00\x00\x00\x00\x00", Trouble.NO_DICOM),
        (b"\x01\x00\x00\x00\x00\x04oops", Trouble.VIOLATION),
    ],
)
def test_no_request_at_all(node: Receiver, sent: bytes, trouble: Trouble) -> None:
    with Wire(node.server.port) as wire:
        wire.send(sent)
        visit = told(node)
    assert (visit.state, visit.trouble) == (VisitState.NO_REQUEST, trouble)


def test_silence_before_a_request_and_after_it(impatient: Receiver) -> None:
    with Wire(impatient.server.port):
        visit = told(impatient)
    assert (visit.state, visit.trouble) == (VisitState.NO_REQUEST, Trouble.SILENT)
    impatient.server.visits.clear()
    with Wire(impatient.server.port) as wire:
        wire.associate(CTImageStorage, ImplicitVRLittleEndian)
        visit = told(impatient)
    assert (visit.state, visit.trouble) == (VisitState.ABORTED, Trouble.SILENT)


def test_who_connects_and_hangs_up(node: Receiver) -> None:
    Wire(node.server.port).socket.close()
    visit = told(node)
    assert (visit.state, visit.trouble) == (VisitState.NO_REQUEST, Trouble.HUNG_UP)


def test_another_version_of_the_protocol(node: Receiver) -> None:
    with Wire(node.server.port) as wire:
        wire.send(struct.pack(">BxIHH64x", 1, 68, 2, 0))
        assert told(node).trouble is Trouble.VERSION


@pytest.mark.parametrize(
    ("sent", "trouble"),
    [
        (b"\x01\x00\x00\x00\x00\x44" + bytes(68), Trouble.PLAIN_TO_TLS),
        (b"POST / HTTP/1.1\r\n\r\n", Trouble.HTTP),
        (b"\x16\x03\x01\x00\x05hello", Trouble.HANDSHAKE),
    ],
)
def test_a_port_of_tls(tmp_path: Path, sent: bytes, trouble: Trouble) -> None:
    pem = write_certificate(tmp_path)
    with (
        running(tmp_path / "node", tls_certificate=pem) as node,
        socket.create_connection(("127.0.0.1", node.server.port), timeout=10) as wire,
    ):
        wire.sendall(sent)
        visit = told(node)
    assert (visit.state, visit.trouble) == (VisitState.NO_REQUEST, trouble)

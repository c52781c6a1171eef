"""The receiver behind TLS: who shows what, and who stays silent."""

import logging
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicomnode.config.settings import ReceiveSettings
from dicomnode.errors import ConfigError
from dicomnode.receive.server import tls_context
from tests.certificates import write_certificate
from tests.factories import encode, make_dataset, uid
from tests.receiver import Receiver, running
from tests.wire import COMMAND_END, DATA_END, Wire, command, p_data, pdv

ACCEPTED, P_DATA = 2, 4
DATA = encode(make_dataset(), ImplicitVRLittleEndian)
STORE = p_data(pdv(COMMAND_END, command(CTImageStorage, uid("instance", 1)))) + p_data(
    pdv(DATA_END, DATA)
)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def node(tmp_path: Path, pem: Path) -> Iterator[Receiver]:
    with running(tmp_path, tls_certificate=pem, idle_timeout_s=3.0) as node:
        yield node


def wire_over_tls(port: int, pem: Path, *, own: Path | None = None) -> Wire:
    context = ssl.create_default_context(cafile=str(pem))
    if own is not None:
        context.load_cert_chain(own)
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        return Wire(port, context.wrap_socket(plain, server_hostname="localhost"))
    except OSError:
        plain.close()
        raise


def stores(wire: Wire) -> bool:
    assert wire.associate(CTImageStorage, ImplicitVRLittleEndian) == ACCEPTED
    wire.send(STORE)
    return wire.receive()[0] == P_DATA


def test_an_image_comes_over_tls(node: Receiver, pem: Path) -> None:
    with wire_over_tls(node.server.port, pem) as wire:
        assert stores(wire)
    assert node.kept() == {uid("instance", 1): DATA}


def test_silent_callers_keep_nobody_from_the_handshake(tmp_path: Path, pem: Path) -> None:
    with running(tmp_path, tls_certificate=pem, idle_timeout_s=30.0) as node:
        silent = [socket.create_connection(("127.0.0.1", node.server.port)) for _ in range(50)]
        started = time.monotonic()
        with wire_over_tls(node.server.port, pem) as wire:
            assert stores(wire)
        assert time.monotonic() - started < 9  # each of the silent ones is waited for 30 s
        for each in silent:
            each.close()


def test_an_association_over_tls_is_closed_when_the_node_stops(node: Receiver, pem: Path) -> None:
    with wire_over_tls(node.server.port, pem) as wire:
        assert wire.associate(CTImageStorage, ImplicitVRLittleEndian) == ACCEPTED
        node.server.stop(0.1)
        assert wire.closed_or_garbled()
        assert len(node.listener.ends) == 1


def test_who_does_not_speak_tls_is_closed(node: Receiver) -> None:
    with Wire(node.server.port) as wire:
        wire.send(b"\x01\x00\x00\x00\x00\x04oops")
        assert wire.closed_or_garbled()
    assert node.listener.ends == []


def test_a_handshake_that_fails_is_logged_and_one_that_never_began_is_not(
    tmp_path: Path, pem: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "dicomnode"), running(tmp_path, tls_certificate=pem) as node:
        socket.create_connection(("127.0.0.1", node.server.port)).close()
        with Wire(node.server.port) as wire:
            wire.send(b"\x01\x00\x00\x00\x00\x04oops")
            assert wire.closed_or_garbled()
    lines = [record for record in caplog.records if record.msg == "connection.refused"]
    assert [str(vars(line)["problem"])[:24] for line in lines] == ["the TLS handshake failed"]


def test_a_caller_must_show_a_certificate_where_one_is_wanted(tmp_path: Path, pem: Path) -> None:
    with running(tmp_path, tls_certificate=pem, tls_client_ca=pem) as node:
        with pytest.raises(OSError), wire_over_tls(node.server.port, pem) as wire:  # noqa: PT011
            stores(wire)
        with wire_over_tls(node.server.port, pem, own=pem) as wire:
            assert stores(wire)


def test_a_file_that_is_no_certificate_is_an_error_at_the_start(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"wrong.pem\s+receive.tls_certificate"):
        tls_context(ReceiveSettings(tls_certificate=wrong))

"""Callers who speak something else than the port does: one line of the log says what helps."""

import http.client
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from pynetdicom import AE

from dicomnode.dicom.sop_classes import VERIFICATION
from tests.certificates import write_certificate
from tests.receiver import running
from tests.running import until


def over_tls(port: int) -> None:
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, suppress(OSError):
        context.wrap_socket(plain, server_hostname="localhost").close()


def over_http(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        connection.getresponse()
    connection.close()


def without_tls(port: int) -> None:
    ae = AE("MODALITY")
    ae.add_requested_context(VERIFICATION)
    assert not ae.associate("127.0.0.1", port, ae_title="DICOMNODE").is_established


def in_no_language(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, suppress(OSError):
        plain.sendall(b"\x99 what is this?")
        plain.recv(100)


@pytest.mark.parametrize(
    ("tls", "call", "words"),
    [
        (False, over_tls, "it looks like TLS; turn TLS off at the caller, or set receive.tls_cert"),
        (False, over_http, "it looks like HTTP; a DICOM port is no web server: correct the port"),
        (False, in_no_language, "not a PDU of the DICOM upper layer"),
        (True, without_tls, "the TLS handshake failed: it looks like DICOM without TLS; turn TLS"),
        (True, over_http, "the TLS handshake failed: it looks like HTTP; a DICOM port is no web"),
        (True, in_no_language, "the TLS handshake failed: "),
    ],
)
def test_the_log_says_what_a_stranger_seems_to_speak_and_what_helps(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    tls: bool,
    call: Callable[[int], None],
    words: str,
) -> None:
    settings = {"tls_certificate": write_certificate(tmp_path)} if tls else {}
    caplog.set_level(logging.INFO, "dicomnode")
    with running(tmp_path / "node", **settings) as node:
        call(node.server.port)
        until(lambda: "connection.refused" in caplog.messages)

    ours = [record for record in caplog.records if record.name.startswith("dicomnode.")]
    [line] = map(vars, ours)
    assert (line["msg"], line["address"]) == ("connection.refused", "127.0.0.1")
    assert str(line["problem"]).startswith(words)

"""What the other side says at the end is heard, whenever it comes."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from dicomnode.audit.channel import SafeChannel
from tests.certificates import write_certificate


@contextmanager
def connected(certificate: Path, *, strict: bool) -> Iterator[tuple[socket.socket, ssl.SSLSocket]]:
    """Our end of a connection, and a server's before its handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate.with_name("cert.pem"))
    context.verify_mode = ssl.CERT_REQUIRED if strict else ssl.CERT_NONE
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname(), 30)
        theirs, _ = listening.accept()
    theirs.settimeout(30)
    server = context.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
    with ours, server:
        yield ours, server


def test_a_refusal_of_our_certificate_that_waits_for_us_is_no_end_in_order(tmp_path: Path) -> None:
    """In TLS 1.3 it comes after the handshake; OpenSSL's own shutdown takes it for an end."""
    certificate = write_certificate(tmp_path)
    context = ssl.create_default_context(cafile=certificate.with_name("cert.pem"))
    refused = Event()

    def serve(server: ssl.SSLSocket) -> None:
        with pytest.raises(ssl.SSLError):
            server.do_handshake()
        refused.set()

    with connected(certificate, strict=True) as (ours, server), ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve, server)
        channel = SafeChannel(ours, context, "localhost")
        channel.say(b"who hears this?")
        assert refused.wait(30)

        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            channel.end()
        served.result()


def test_all_that_is_said_is_read_before_the_end(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path)
    context = ssl.create_default_context(cafile=certificate.with_name("cert.pem"))
    said = bytes(range(256)) * 4000

    def serve(server: ssl.SSLSocket) -> bytes:
        server.do_handshake()
        heard = bytearray()
        while piece := server.recv(4096):
            heard += piece
        server.unwrap()
        return bytes(heard)

    with connected(certificate, strict=False) as (ours, server), ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve, server)
        channel = SafeChannel(ours, context, "localhost")
        channel.say(said)
        channel.end()

        assert served.result() == said

"""A small collector of syslog (RFC 5425, or plain TCP), that can be away, and break off."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

__all__ = ["Collector", "xml_of"]

_FRAME = re.compile(rb"(\d+) ")


class Collector:
    """Listens on loopback; `messages` holds every whole one, in order."""

    def __init__(self, port: int = 0, certificate: Path | None = None, ca: Path | None = None):
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
            if ca is not None:
                self._context.load_verify_locations(ca)
                self._context.verify_mode = ssl.CERT_REQUIRED
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self.messages: list[bytes] = []
        self.connections = 0
        self.break_after_bytes = 0  #: reset the next connection when so much of it was read
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Collector":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def wait_for(self, count: int, *, timeout_s: float = 60) -> list[bytes]:
        """The messages, once there are so many."""
        deadline = time.monotonic() + timeout_s
        while len(self.messages) < count:
            assert time.monotonic() < deadline, f"{len(self.messages)} messages, not {count}"
            time.sleep(0.02)
        return self.messages

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with suppress(OSError), self._spoken(connection) as channel:
                self._hear(channel, connection)

    @contextmanager
    def _spoken(self, connection: socket.socket) -> Iterator[socket.socket]:
        with connection:
            connection.settimeout(10)
            if self._context is None:
                yield connection
                return
            with self._context.wrap_socket(connection, server_side=True) as channel:
                yield channel
                channel.unwrap()

    def _hear(self, channel: socket.socket, connection: socket.socket) -> None:
        data, heard = b"", 0
        while piece := channel.recv(1024):
            data += piece
            heard += len(piece)
            if self.break_after_bytes and heard >= self.break_after_bytes:
                self.break_after_bytes = 0
                reset = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # SO_LINGER for 0 s: a reset
                (channel if self._context else connection).setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, reset
                )
                channel.close()
                raise ConnectionResetError
            while (frame := _FRAME.match(data)) and len(data) >= frame.end() + int(frame[1]):
                end = frame.end() + int(frame[1])
                self.messages.append(data[frame.end() : end])
                data = data[end:]


def xml_of(record: bytes) -> str:
    """The message of a record, after its header was held against RFC 5424 and PS3.15 A.6."""
    head, mark, xml = record.partition(b"\xef\xbb\xbf")
    assert mark
    assert re.fullmatch(
        rb"<8[45]>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [!-~]+ dicomnode \d+ DICOM\+RFC3881 - ",
        head,
    ), head
    return xml.decode()

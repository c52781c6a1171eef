"""One connection: PDUs in, bytes out, and a deadline on everything (PS3.8 section 9).

All that comes goes through one buffer; of a P-DATA, slices of that buffer are handed on. So the
memory of a connection does not depend on what is sent over it.
"""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from mmap import mmap
from ssl import SSLContext, SSLEOFError, SSLError, SSLSocket

from dicomnode.errors import ConnectionLost, ProtocolViolation, Trouble

__all__ = ["ABORT", "ASSOCIATE_RQ", "P_DATA", "RELEASE_RQ", "Wire", "nothing"]

ASSOCIATE_RQ = 0x01
P_DATA = 0x04
RELEASE_RQ = 0x05
ABORT = 0x07
_KINDS = frozenset(range(0x01, 0x08))

_PDU_HEADER = struct.Struct(">BxI")  # PS3.8 9.3.1
_PDV_HEADER = struct.Struct(">IBB")  # PS3.8 9.3.5.1 and annex E.2
_BUFFER_BYTES = 256 * 1024
_LEAST_PDU_BYTES = 256 * 1024  #: an A-ASSOCIATE-RQ may be longer than the P-DATA we ask for
_PARTING_S = 1.0  #: for the peer to read our last PDU and hang up (ARTIM, PS3.8 9.1.5)
_EXACT_ENOUGH_S = 0.1
_PARTING_BYTES = 4 * 1024 * 1024
_SILENT = "the caller was silent for too long"


_LIKENESS = {
    Trouble.PLAIN_TO_TLS: (
        "it looks like DICOM without TLS; turn TLS on at the caller, or leave out receive.tls_*"
    ),
    Trouble.TLS_TO_PLAIN: (
        "it looks like TLS; turn TLS off at the caller, or set receive.tls_certificate"
    ),
    Trouble.HTTP: (
        "it looks like HTTP; a DICOM port is no web server: correct the port at the caller"
    ),
}

#: How other protocols begin; a record of TLS with its type and version (RFC 8446 section 5.1).
_BEGINNINGS = {
    bytes([ASSOCIATE_RQ, 0]): Trouble.PLAIN_TO_TLS,
    b"\x16\x03": Trouble.TLS_TO_PLAIN,
} | dict.fromkeys((b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS", b"PRI * "), Trouble.HTTP)
_LONGEST_BEGINNING = max(map(len, _BEGINNINGS))


def nothing() -> None:
    """What happens before a refill when nobody holds slices of the buffer."""


class Wire:
    """A connected socket, read PDU by PDU.

    Every wait ends after `patience_s` at the latest: for the header of the next PDU, and for the
    rest of a PDU once its header is here.

    Raises, in every method that reads or writes:
        ConnectionLost: the peer hung up, or a wait took too long.
        ProtocolViolation: what came cannot be a PDU that we asked for.
    """

    def __init__(self, connected: socket.socket, *, patience_s: float, max_pdu_bytes: int) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self.patience_s = patience_s
        self.heard = False  #: has anything come at all?
        #: called before the slices that `pieces` gave out are overwritten
        self.before_refill: Callable[[], None] = nothing
        self._longest_pdu = max(2 * max_pdu_bytes, _LEAST_PDU_BYTES)
        self._buffer = mmap(-1, _BUFFER_BYTES)  # its pages cost nothing until they are used
        self._view = memoryview(self._buffer)
        self._start = 0  #: what is in the buffer and was not read yet
        self._end = 0
        self._timeout_s = 0.0  #: of the socket
        self._due = 0.0  #: when the present wait ends, of the monotonic clock; 0 before it begins

    def secure(self, context: SSLContext) -> None:
        """Make the TLS handshake, as the server."""
        due = time.monotonic() + self.patience_s
        self._wait_at_most(self.patience_s)
        try:
            likeness = _likeness(self._socket.recv(_LONGEST_BEGINNING, socket.MSG_PEEK))
            if likeness not in (None, Trouble.TLS_TO_PLAIN):
                self.heard = True
                words = f"the TLS handshake failed: {_LIKENESS[likeness]}"
                raise ConnectionLost(words, likeness)
            self._wait_at_most(max(0.0, due - time.monotonic()))
            # The raw socket is detached at once; `close` must find the new one from then on.
            self._socket = context.wrap_socket(
                self._socket, server_side=True, do_handshake_on_connect=False
            )
            self._socket.do_handshake()
        except TimeoutError:
            words = "the TLS handshake was not finished in time"
            raise ConnectionLost(words, Trouble.SILENT) from None
        except OSError as error:
            self.heard = isinstance(error, SSLError) and not isinstance(error, SSLEOFError)
            why = getattr(error, "reason", None) or type(error).__name__
            trouble = Trouble.HANDSHAKE if self.heard else Trouble.HUNG_UP
            raise ConnectionLost(f"the TLS handshake failed: {why}", trouble) from error

    def next_pdu(self) -> tuple[int, int]:
        """Type and length of the next PDU; its content must be read before the one after it."""
        self._due = 0.0
        self._need(_PDU_HEADER.size)
        kind, length = _PDU_HEADER.unpack_from(self._buffer, self._start)
        if kind not in _KINDS:
            likeness = _likeness(self._buffer[self._start : self._end])
            if likeness is not None:
                raise ProtocolViolation(_LIKENESS[likeness], likeness)
            raise ProtocolViolation("not a PDU of the DICOM upper layer", Trouble.NO_DICOM)
        if length > self._longest_pdu:
            raise ProtocolViolation("a PDU is longer than any this node asked for")
        self._start += _PDU_HEADER.size
        self._due = 0.0
        return kind, length

    def pdv_header(self) -> tuple[int, int, int]:
        """Presentation context ID, message control header, and length of the fragment."""
        self._need(_PDV_HEADER.size)
        length, context_id, control = _PDV_HEADER.unpack_from(self._buffer, self._start)
        if length < 2:
            raise ProtocolViolation("a presentation data value is too short")
        self._start += _PDV_HEADER.size
        return context_id, control, length - 2

    def pieces(self, length: int) -> Iterator[memoryview]:
        """The next bytes, as slices that are good until `before_refill` is called."""
        while length:
            if self._start == self._end:
                self._refill()
            piece = self._view[self._start : min(self._end, self._start + length)]
            self._start += len(piece)
            length -= len(piece)
            yield piece

    def content(self, length: int) -> bytes:
        """The next bytes, as a copy."""
        return b"".join(bytes(piece) for piece in self.pieces(length))

    def send(self, data: bytes) -> None:
        """Send all, or find that the peer does not read."""
        try:
            self._wait_at_most(self.patience_s)
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionLost(_words(error)) from error

    def part(self, data: bytes = b"") -> None:
        """Send a last PDU, and let the peer hang up; closed in any case, and never raises.

        Closing at once would make the system drop what the peer has not read yet.
        """
        due, left = time.monotonic() + _PARTING_S, _PARTING_BYTES
        with suppress(OSError, ConnectionLost):
            if data:
                self.send(data)
            if not isinstance(self._socket, SSLSocket):
                self._socket.shutdown(socket.SHUT_WR)
            while left > 0:
                left -= self._receive(self._view, due)
        self.close()

    def stop_reading(self) -> None:
        """From another thread: whoever reads here finds the connection lost; without TLS it may
        still send."""
        self._shut(socket.SHUT_RD)

    def hang_up(self) -> None:
        """From another thread: whoever reads or sends here finds the connection lost."""
        self._shut(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; may be called twice."""
        with suppress(OSError):
            self._socket.close()

    def _shut(self, how: int) -> None:
        """The connection's own shutdown: that of TLS would let its owner go on in plain text."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, how)

    def _need(self, count: int) -> None:
        """Have `count` bytes in one piece in the buffer."""
        while self._end - self._start < count:
            self._refill()

    def _refill(self) -> None:
        """Receive more behind what was not read yet."""
        self.before_refill()
        self._due = self._due or time.monotonic() + self.patience_s
        if self._start:
            left = self._end - self._start
            self._buffer[:left] = self._buffer[self._start : self._end]
            self._start, self._end = 0, left
        self._end += self._receive(self._view[self._end :], self._due)
        self.heard = True

    def _receive(self, into: memoryview, due: float) -> int:
        patience_s = due - time.monotonic()
        if patience_s <= 0:
            raise ConnectionLost(_SILENT, Trouble.SILENT)
        try:
            self._wait_at_most(patience_s)
            count = self._socket.recv_into(into)
        except TimeoutError:
            raise ConnectionLost(_SILENT, Trouble.SILENT) from None
        except OSError as error:
            raise ConnectionLost(_words(error)) from error
        if count == 0:
            raise ConnectionLost("the caller hung up")
        return count

    def _wait_at_most(self, seconds: float) -> None:
        """Set the socket's timeout, unless it is nearly that: setting it asks the system."""
        if not 0.0 <= self._timeout_s - seconds < _EXACT_ENOUGH_S:
            self._timeout_s = seconds + _EXACT_ENOUGH_S / 2
            self._socket.settimeout(self._timeout_s)


def _likeness(data: bytes) -> Trouble | None:
    """What these bytes look like where they do not belong; None if unknown."""
    return next((what for each, what in _BEGINNINGS.items() if data.startswith(each)), None)


def _words(error: OSError) -> str:
    return f"the connection broke: {error.strerror or type(error).__name__}"

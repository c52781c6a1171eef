"""A connection on which we speak and then end it: did the other side read all, or refuse us?

A server of TLS 1.3 says only after our first data whether it takes our certificate. `unwrap` of
Python's `SSLSocket` takes that alert for an end in order, so here the end is read by ourselves.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Channel", "SafeChannel"]

_AT_ONCE = 16384  #: bytes; for each of these the connection's timeout begins anew


class Channel:
    """Over TCP alone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def say(self, data: bytes) -> None:
        """Send this; OSError where the connection breaks."""
        for start in range(0, len(data), _AT_ONCE):
            self._connection.sendall(data[start : start + _AT_ONCE])

    def end(self) -> None:
        """Say that this is all, and hear the same; OSError where it was not all read."""
        self._connection.shutdown(socket.SHUT_WR)
        while self._connection.recv(_AT_ONCE):
            pass


class SafeChannel(Channel):
    """The same over TLS, as a client of the server `host`."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
        """Shake hands; OSError, of which SSLError is one, where that fails."""
        super().__init__(connection)
        self._coming, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._coming, self._leaving, server_hostname=host)
        self._do(self._tls.do_handshake)

    def say(self, data: bytes) -> None:
        """Send this; OSError where the connection breaks."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest[:_AT_ONCE]) :]
            self._send()

    def end(self) -> None:
        """Say that this is all, and hear the same; OSError where it was not all read.

        Where the other side ends the connection below TLS, that is in order too: else it were a
        reset.
        """
        with suppress(ssl.SSLWantReadError):  # the answer is not here yet
            self._tls.unwrap()
        self._send()
        with suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):
            while self._do(lambda: self._tls.read(_AT_ONCE)):
                pass

    def _do(self, step: Callable[[], bytes | None]) -> bytes | None:
        """Go on with a step for as long as it needs to hear more."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._send()
            if heard := self._connection.recv(_AT_ONCE):
                self._coming.write(heard)
            else:
                self._coming.write_eof()

    def _send(self) -> None:
        if said := self._leaving.read():
            self._connection.sendall(said)

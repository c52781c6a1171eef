"""Audit messages by syslog: RFC 5424 over TLS (RFC 5425), TCP, or UDP (RFC 5426); PS3.15 A.6, A.7.

Syslog acknowledges nothing. Over TLS and TCP, messages are taken as heard when the collector ends
the connection in order after we did: it has read all of them then. Where it resets the
connection, or breaks it, they are sent again: each message arrives at least once. Over UDP nobody
knows.
"""

import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Literal

from dicomnode.audit.channel import Channel, SafeChannel
from dicomnode.audit.message import Message, as_xml
from dicomnode.errors import AuditAway

__all__ = ["Collector", "Syslog", "record"]

_FACILITY = 10  #: security and authorization messages (A.6)
_NOTICE, _WARNING = 5, 4
_MESSAGE_ID = "DICOM+RFC3881"
_WAIT_S = 10.0
_FAREWELL_S = 3.0  #: some collectors leave a connection open that we have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Who collects messages, and how it is spoken to."""

    host: str
    port: int
    transport: Literal["tls", "tcp", "udp"] = "tls"
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Syslog:
    """Sends to one collector; each call is a connection of its own."""

    def __init__(self, collector: Collector) -> None:
        self._to = collector

    def write(self, messages: Sequence[Message]) -> None:
        """Send all of them.

        Raises:
            AuditAway: some or all were not heard; they have to be sent again.
        """
        try:
            self._send([record(message) for message in messages])
        except (OSError, UnicodeError) as error:  # a host's name may not be one
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise AuditAway(f"{self._to.host} port {self._to.port}: {words}") from error

    def _send(self, records: Sequence[bytes]) -> None:
        if self._to.transport == "udp":
            self._send_datagrams(records)
            return
        data = b"".join(b"%d %b" % (len(each), each) for each in records)
        with socket.create_connection((self._to.host, self._to.port), _WAIT_S) as plain:
            channel = Channel(plain) if self._to.transport == "tcp" else self._safe(plain)
            channel.say(data)
            plain.settimeout(_FAREWELL_S)
            with suppress(TimeoutError):  # it neither ends nor breaks the connection
                channel.end()

    def _send_datagrams(self, records: Sequence[bytes]) -> None:
        place = (self._to.host, self._to.port)
        family, kind, *_, to = socket.getaddrinfo(*place, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as channel:
            for each in records:
                channel.sendto(each, to)

    def _safe(self, plain: socket.socket) -> Channel:
        return SafeChannel(plain, self._context(), self._to.host)

    def _context(self) -> ssl.SSLContext:
        """Read at each connection: certificates are renewed while the node runs."""
        to = self._to
        try:
            context = ssl.create_default_context(cafile=to.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if to.certificate is not None:
                context.load_cert_chain(to.certificate, to.key)
        except OSError as error:
            files = ", ".join(str(file) for file in (to.ca, to.certificate, to.key) if file)
            raise AuditAway(f"{files}: {error.strerror or error}") from error
        return context


def record(message: Message) -> bytes:
    """A SYSLOG-MSG (RFC 5424 6) without its frame; the XML is UTF-8 with its mark (6.4)."""
    severity = _NOTICE if message.outcome == 0 else _WARNING
    at = message.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    machine = _printable(socket.gethostname(), 255)
    head = f"<{_FACILITY * 8 + severity}>1 {at} {machine} dicomnode {os.getpid()} {_MESSAGE_ID} - "
    return head.encode() + b"\xef\xbb\xbf" + as_xml(message).encode()


def _printable(text: str, most: int) -> str:
    """PRINTUSASCII, or - for nothing."""
    return "".join(c for c in text if "!" <= c <= "~")[:most] or "-"

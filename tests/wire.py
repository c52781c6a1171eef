"""The upper layer by hand (PS3.8 section 9.3), to send what no library would."""

import socket
import ssl
import struct
from contextlib import suppress

from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID

__all__ = ["Wire", "command", "p_data", "pdv"]

_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
COMMAND_END, DATA_PART, DATA_END = 3, 0, 2


class Wire:
    """One TCP connection that speaks in bytes."""

    def __init__(self, port: int, connected: socket.socket | None = None) -> None:
        self.socket = connected or socket.create_connection(("127.0.0.1", port), timeout=10)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *raised: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def associate(self, sop_class: str, syntax: str, *, calling: str = "MODALITY") -> int:
        """Ask for an association with context 1; return the type of the answering PDU."""
        return self.propose(sop_class, syntax, calling=calling)[0]

    def propose(
        self, sop_class: str, syntax: str, *, calling: str = "MODALITY"
    ) -> tuple[int, bytes]:
        """The same; return type and content of the answering PDU."""
        context = b"\x01\x00\x00\x00" + _item(0x30, sop_class.encode())
        context += _item(0x40, syntax.encode())
        user = _item(0x51, struct.pack(">I", 16384)) + _item(
            0x52, IMPLEMENTATION_CLASS_UID.encode()
        )
        body = struct.pack(">HH16s16s32x", 1, 0, b"DICOMNODE".ljust(16), calling.encode().ljust(16))
        body += _item(0x10, _APPLICATION_CONTEXT) + _item(0x20, context) + _item(0x50, user)
        self.send(pdu(1, body))
        return self.receive()

    def receive(self) -> tuple[int, bytes]:
        """The next PDU: its type and its content. (0, b"") when the connection was closed."""
        try:
            head = self._exactly(6)
            return head[0], self._exactly(struct.unpack(">I", head[2:])[0])
        except ConnectionError:
            return 0, b""

    def closed(self) -> bool:
        """Is the connection closed, perhaps after an A-ABORT? Waits for it."""
        while (kind := self.receive()[0]) == 7:
            pass
        return kind == 0

    def closed_or_garbled(self) -> bool:
        """Is the connection closed, whatever came before? Waits for it."""
        with suppress(ConnectionError, ssl.SSLError):
            while self.socket.recv(4096):
                pass
        return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionResetError
            data += more
        return data


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def pdv(control: int, data: bytes, context: int = 1) -> bytes:
    """One presentation data value (PS3.8 E.2)."""
    return struct.pack(">IBB", len(data) + 2, context, control) + data


def p_data(*values: bytes) -> bytes:
    """A P-DATA-TF of presentation data values."""
    return pdu(4, b"".join(values))


def command(sop_class: str, sop_instance: str, field: int = 0x0001) -> bytes:
    """A C-STORE-RQ (PS3.7 9.3.1.1), or another request with its fields."""
    elements = b"".join(
        (
            _element(0x0002, _even(sop_class)),
            _element(0x0100, struct.pack("<H", field)),
            _element(0x0110, struct.pack("<H", 1)),
            _element(0x0700, struct.pack("<H", 0)),
            _element(0x0800, struct.pack("<H", 1)),
            _element(0x1000, _even(sop_instance)),
        )
    )
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def _even(uid: str) -> bytes:
    return uid.encode() + b"\x00" * (len(uid) % 2)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value

"""Objects that are encoded once and sent again and again under fresh UIDs, to load a receiver.

Speaks the upper layer by hand (PS3.8 section 9.3), so that sending costs next to nothing and may
also break off, dawdle or repeat itself, which no library would do. Every object is synthetic.
"""

import os
import secrets
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, repeat
from typing import Self

from pydicom import Dataset

from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID
from dicomnode.errors import PeerAway

__all__ = ["SAMPLES", "Message", "ReplayAssociation", "Sample", "UIDs", "multiframe"]

_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_EXPLICIT_VR_LITTLE_ENDIAN = b"1.2.840.10008.1.2.1"
_CONTEXT_ID = 1
_LAST_COMMAND, _DATA, _LAST_DATA = 3, 0, 2  #: message control header (PS3.8 E.2)
_MOST_BYTES_A_PDU = 1024 * 1024  #: of ours, where the receiver takes any length
_NOISE_BYTES = 1024 * 1024
_MADE_WHOLE_BYTES = 64 * 1024 * 1024  #: up to this size a message is one piece of memory
_PLACE = b"2.25." + b"9" * 31  #: stands where the SOP Instance UID comes


class UIDs:
    """Fresh UIDs of one length (PS3.5 B.2), different in each run."""

    def __init__(self) -> None:
        self._run = 10**22 + secrets.randbelow(9 * 10**22)
        self._last = 10**7

    def __next__(self) -> str:
        self._last += 1
        return f"2.25.{self._run}{self._last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What an object looks like; its UIDs and its noise come when it is encoded."""

    sop_class_uid: str
    modality: str
    rows: int
    columns: int
    frames: int = 1

    @property
    def pixel_bytes(self) -> int:
        """Length of Pixel Data, in bytes: 16 bits a pixel."""
        return self.rows * self.columns * self.frames * 2

    def head(self, study_uid: str, series_uid: str) -> bytes:
        """The dataset in Explicit VR Little Endian, up to the value of Pixel Data."""
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SOPClassUID = self.sop_class_uid
        ds.SOPInstanceUID = _PLACE.decode()
        ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20250102", "030405", "BENCH"
        ds.Modality, ds.Manufacturer = self.modality, "Nobody"
        ds.PatientName, ds.PatientID = "SYNTHETIC^LOAD", "SYN-LOAD"
        ds.PatientBirthDate, ds.PatientSex = "", "O"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
        ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", 1, 1
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        if self.frames > 1:
            ds.NumberOfFrames = self.frames
        ds.Rows, ds.Columns = self.rows, self.columns
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        out = BytesIO()
        ds.save_as(out, implicit_vr=False, little_endian=True)
        return out.getvalue() + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, self.pixel_bytes)


#: What receivers are measured with: a CT slice of 0.5 MB, a radiograph of 15 MB, and 10 KB.
SAMPLES = {
    "ct": Sample(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", modality="CT", rows=512, columns=512),
    "dx": Sample(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1", modality="DX", rows=3000, columns=2500
    ),
    "tiny": Sample(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", modality="CT", rows=64, columns=76),
}


def multiframe(gigabytes: float) -> Sample:
    """One object of so many GB (10^9 bytes): Multi-frame Grayscale Word Secondary Capture."""
    frames = max(2, round(gigabytes * 1e9 / (1024 * 1024 * 2)))
    uid = "1.2.840.10008.5.1.4.1.1.7.3"
    return Sample(sop_class_uid=uid, modality="OT", rows=1024, columns=1024, frames=frames)


class Message:
    """A C-STORE-RQ with its dataset, as P-DATA-TF PDUs of one length (PS3.8 9.3.5)."""

    def __init__(self, sample: Sample, study_uid: str, series_uid: str, max_pdu: int) -> None:
        value_bytes = max_pdu - 6  # the PDV's own length, context and control
        head = sample.head(study_uid, series_uid)
        in_first = min(sample.pixel_bytes, value_bytes - len(head))
        self._left = sample.pixel_bytes - in_first
        self._value_bytes = value_bytes
        noise = os.urandom(_NOISE_BYTES)
        self._noise = noise + noise[:_MOST_BYTES_A_PDU]
        self._first = bytearray(
            _p_data(_LAST_COMMAND, _command(sample.sop_class_uid))
            + _p_data(_DATA if self._left else _LAST_DATA, head + self._noise[:in_first])
        )
        self.bytes = len(head) + sample.pixel_bytes  #: of the dataset
        self._places = _places(self._first)
        if sample.pixel_bytes <= _MADE_WHOLE_BYTES:
            self._first, self._left = bytearray().join(self._pieces()), 0

    def pieces(self, sop_instance_uid: str) -> Iterator[bytes | bytearray]:
        """What to write to the socket, under this UID; one piece, unless it is very large."""
        for place in self._places:
            self._first[place : place + len(_PLACE)] = sop_instance_uid.encode()
        return self._pieces()

    def _pieces(self) -> Iterator[bytes | bytearray]:
        whole, last = divmod(self._left, self._value_bytes)
        if self._left and not last:
            whole, last = whole - 1, self._value_bytes
        middle = _p_data(_DATA, self._noise[: self._value_bytes]) if whole else b""
        end = [_p_data(_LAST_DATA, self._noise[:last])] if last else []
        return chain((self._first,), repeat(middle, whole), end)


class ReplayAssociation:
    """An association with one presentation context, for objects like one sample.

    Raises:
        PeerAway: nobody listens, the association was not accepted or was aborted, or the receiver
            hung up or was silent for `timeout_s`.
    """

    def __init__(
        self,
        port: int,
        called: str,
        calling: str,
        sample: Sample,
        *,
        timeout_s: float = 60.0,
        host: str = "127.0.0.1",
    ) -> None:
        self.sample = sample
        self._left = b""
        try:
            self.socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise PeerAway(f"nobody listens on {host}:{port}") from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.write(_associate_request(called, calling, sample.sop_class_uid))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.socket.close()

    def accepted(self) -> Self:
        """Wait for the A-ASSOCIATE-AC; sets `max_pdu`, the largest P-DATA the receiver takes."""
        kind, body = self._receive()
        items = dict(_items(body[68:])) if kind == 2 else {}
        if items.get(0x21, b"\0\0\xff")[2]:
            self.socket.close()
            raise PeerAway("the association was rejected")
        (length,) = struct.unpack(">I", dict(_items(items[0x50])).get(0x51, bytes(4)))
        self.max_pdu = min(length or _MOST_BYTES_A_PDU, _MOST_BYTES_A_PDU)
        return self

    def message(self, study_uid: str, series_uid: str) -> Message:
        """An object of this association's sample, encoded for this receiver."""
        return Message(self.sample, study_uid, series_uid, self.max_pdu)

    def store(self, message: Message, sop_instance_uid: str) -> int:
        """Send one object and wait for its C-STORE-RSP; return the status (PS3.4 B.2.3)."""
        for piece in message.pieces(sop_instance_uid):
            self.write(piece)
        return self.status()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write bytes as they are."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            self.socket.close()
            raise PeerAway(f"the receiver hung up: {error}") from error

    def status(self) -> int:
        """Wait for a response; return its Status (0000,0900)."""
        command = b""
        while True:
            kind, body = self._receive()
            if kind != 4:
                raise PeerAway(f"a PDU of type {kind} came instead of a response")
            at = 0
            while at < len(body):
                length, _, control = struct.unpack_from(">IBB", body, at)
                command += body[at + 6 : at + 4 + length]
                at += 4 + length
                if control & 2:
                    return _status(command)

    def release(self) -> None:
        """Ask for the release and wait for its answer (PS3.8 9.3.6, 9.3.7)."""
        self.ask_release()
        self._receive()
        self.socket.close()

    def ask_release(self) -> None:
        """Send the A-RELEASE-RQ, and wait for nothing."""
        self.write(_pdu(5, bytes(4)))

    def abort(self) -> None:
        """Send an A-ABORT and hang up (PS3.8 9.3.8)."""
        self.write(_pdu(7, bytes(4)))
        self.socket.close()

    def _receive(self) -> tuple[int, bytes]:
        self._fill(6)
        kind, length = struct.unpack_from(">BxI", self._left)
        self._fill(6 + length)
        body, self._left = self._left[6 : 6 + length], self._left[6 + length :]
        return kind, body

    def _fill(self, count: int) -> None:
        while len(self._left) < count:
            try:
                more = self.socket.recv(65536)
            except OSError as error:
                self.socket.close()
                raise PeerAway(f"the receiver does not answer: {error}") from error
            if not more:
                self.socket.close()
                raise PeerAway("the receiver hung up")
            self._left += more


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def _p_data(control: int, value: bytes) -> bytes:
    """A P-DATA-TF with one presentation data value."""
    return _pdu(4, struct.pack(">IBB", len(value) + 2, _CONTEXT_ID, control) + value)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from(">BxH", data, at)
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _associate_request(called: str, calling: str, sop_class_uid: str) -> bytes:
    """A-ASSOCIATE-RQ with one presentation context (PS3.8 9.3.2)."""
    context = struct.pack(">B3x", _CONTEXT_ID) + _item(0x30, sop_class_uid.encode())
    context += _item(0x40, _EXPLICIT_VR_LITTLE_ENDIAN)
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
    titles = called.encode().ljust(16), calling.encode().ljust(16)
    body = struct.pack(">HH16s16s32x", 1, 0, *titles) + _item(0x10, _APPLICATION_CONTEXT)
    return _pdu(1, body + _item(0x20, context) + _item(0x50, user))


def _command(sop_class_uid: str) -> bytes:
    """A C-STORE-RQ (PS3.7 9.3.1.1); each is alone on its association, so all have one number."""
    fields = (
        (0x0002, sop_class_uid.encode() + b"\0" * (len(sop_class_uid) % 2)),
        (0x0100, struct.pack("<H", 1)),
        (0x0110, struct.pack("<H", 1)),
        (0x0700, struct.pack("<H", 0)),
        (0x0800, struct.pack("<H", 1)),
        (0x1000, _PLACE),
    )
    elements = b"".join(struct.pack("<HHI", 0, tag, len(value)) + value for tag, value in fields)
    return struct.pack("<HHII", 0, 0, 4, len(elements)) + elements


def _places(data: bytearray) -> list[int]:
    """Where the SOP Instance UID comes: once in the command, once in the dataset."""
    first = data.index(_PLACE)
    return [first, data.index(_PLACE, first + 1)]


def _status(command: bytes) -> int:
    """Status (0000,0900) of a response: little endian, implicit VR (PS3.7 6.3.1)."""
    at = 0
    while at + 8 <= len(command):
        element, length = struct.unpack_from("<2xHI", command, at)
        if element == 0x0900:
            return int.from_bytes(command[at + 8 : at + 8 + length], "little")
        at += 8 + length
    raise PeerAway("a response came without a status")

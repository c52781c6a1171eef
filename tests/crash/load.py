"""Objects without end and four senders of them, in bytes, with a memory for what was answered."""

import itertools
import random
import socket
import struct
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from tests.factories import encode, make_dataset
from tests.wire import COMMAND_END, DATA_END, DATA_PART, Wire, command, p_data, pdv

__all__ = ["Load", "dataset", "message", "name", "number_of", "received_status", "study"]

P_DATA = 4
_SENDERS = 4
_STUDIES = 7
_PDV_BYTES = 65_000
_SIDES = (8, 24, 64, 160, 400, 1000)  #: rows and columns; files of 1 KB to 2 MB
_OFTEN = (30, 30, 25, 10, 4, 1)


def name(number: int) -> str:
    """SOP Instance UID of an object; each is as long as the next."""
    return f"2.25.{10**30 + number}"


def number_of(path: Path) -> int:
    """The object that a file is, by its name."""
    return int(path.stem.removeprefix("2.25.")) - 10**30


def study(number: int) -> str:
    """The study an object belongs to."""
    return f"2.25.{2 * 10**30 + number % _STUDIES}"


def _template(side: int) -> bytes:
    ds = make_dataset(1, rows=side, columns=side, SOPInstanceUID=name(0), StudyInstanceUID=study(0))
    return encode(ds, ImplicitVRLittleEndian)


_TEMPLATES = tuple(_template(side) for side in _SIDES)
_HEAD_BYTES = 1000  #: the UIDs stand before, only pixels behind


def dataset(number: int, *, other: bool = False) -> bytes:
    """An object's dataset; `other` bytes under the same UID contradict it."""
    side = random.Random(number).choices(range(len(_SIDES)), _OFTEN)[0]  # noqa: S311  the same always
    whole = _TEMPLATES[side]
    head = whole[:_HEAD_BYTES].replace(name(0).encode(), name(number).encode())
    head = head.replace(study(0).encode(), study(number).encode())
    return (head.replace(b"Nobody", b"Others") if other else head) + whole[_HEAD_BYTES:]


def message(number: int, data: bytes) -> bytes:
    """A whole C-STORE-RQ with its dataset."""
    parts = [data[at : at + _PDV_BYTES] for at in range(0, len(data), _PDV_BYTES)]
    controls = [DATA_PART] * (len(parts) - 1) + [DATA_END]
    return b"".join(
        [
            p_data(pdv(COMMAND_END, command(CTImageStorage, name(number)))),
            *(p_data(pdv(control, part)) for control, part in zip(controls, parts, strict=True)),
        ]
    )


def received_status(wire: Wire) -> int:
    """Status (0000,0900) of the next response; ConnectionError when the peer is gone."""
    kind, body = wire.receive()
    if kind != P_DATA:
        raise ConnectionResetError
    at = body.index(b"\x00\x00\x00\x09\x02\x00\x00\x00")
    return int(struct.unpack_from("<H", body, at + 8)[0])


class Load:
    """What four senders sent, over many lives of a receiver, and what they were told."""

    def __init__(self, seed: int) -> None:
        self.acknowledged: dict[int, bool] = {}  #: object -> was it the other one?
        self.complaints: list[str] = []  #: answers that should not have been given
        self._fresh: list[int] = []  #: acknowledged and not yet asked for
        self._seed = seed
        self._sent: set[tuple[int, bool]] = set()
        self._numbers = itertools.count()
        self._newest = 0
        self._lives = itertools.count()
        self._senders: list[threading.Thread] = []
        self._over = threading.Event()

    def begin(self, port: int) -> None:
        """Begin to send over four associations; each ends with its receiver, or with `end`."""
        life = next(self._lives)
        self._over.clear()
        for number in range(_SENDERS):
            chance = random.Random(f"{self._seed} {life} {number}")  # noqa: S311  always the same
            sender = threading.Thread(target=self._send, args=(port, chance))
            sender.start()
            self._senders.append(sender)

    def end(self) -> None:
        """Send no more, and wait for the last answers."""
        self._over.set()
        while self._senders:
            self._senders.pop().join()

    def newly_acknowledged(self) -> list[int]:
        """Objects acknowledged since this was asked last; once more for each time."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def check(self, paths: Iterable[Path]) -> set[str]:
        """Each file must be an object that was sent, and whole; return the names."""
        found = set()
        for path in paths:
            number = number_of(path)
            whole = path.read_bytes()
            data = whole[144 + int.from_bytes(whole[140:144], "little") :]
            others = self._variants(number)
            assert any(data == dataset(number, other=other) for other in others), (
                f"{path.name}: {len(data)} bytes, which are not those that were sent"
            )
            assert path.stem not in found, f"{path.name} is there twice"
            found.add(path.stem)
        return found

    def _variants(self, number: int) -> list[bool]:
        """Which of its two datasets may be kept under an object's name."""
        if number in self.acknowledged:
            return [self.acknowledged[number]]
        return [other for other in (False, True) if (number, other) in self._sent]

    def _send(self, port: int, chance: random.Random) -> None:
        with suppress(OSError), Wire(port) as wire:
            wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire.associate(CTImageStorage, ImplicitVRLittleEndian)
            while not self._over.is_set():
                number, other = self._next(chance)
                self._sent.add((number, other))
                wire.send(message(number, dataset(number, other=other)))
                self._note(number, other, received_status(wire))

    def _next(self, chance: random.Random) -> tuple[int, bool]:
        """Mostly a new object; else one of the last or of any, or its contradiction."""
        kind = chance.random()
        if kind < 0.7 or self._newest < 10:
            self._newest = next(self._numbers)
            return self._newest, False
        oldest = max(0, self._newest - 20) if kind < 0.95 else 0
        return chance.randint(oldest, self._newest), 0.9 < kind < 0.95

    def _note(self, number: int, other: bool, status: int) -> None:
        if status == 0x0000 and self.acknowledged.setdefault(number, other) is other:
            self._fresh.append(number)
            return
        both_sent = {(number, True), (number, False)} <= self._sent
        if status != 0xC002 or self.acknowledged.get(number) is other or not both_sent:
            self.complaints.append(f"object {number}, other {other}: 0x{status:04X}")

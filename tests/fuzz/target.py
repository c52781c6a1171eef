"""A receiver in a process of its own, sent malformed associations by many callers at once."""

import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from tests.factories import encode, make_dataset, uid
from tests.fuzz.pdus import UNHEARD, Stream, stream
from tests.landing import being_received
from tests.running import until
from tests.wire import COMMAND_END, DATA_END, Wire, command, p_data, pdv

__all__ = ["Attack", "Target", "attacked", "target"]

ROOT = Path(__file__).resolve().parents[2]
CALLERS = 4
WARM_UP = 2000  #: streams, before the receiver is measured
PATIENCE_S = 20.0  #: of a caller that waits for the receiver to hang up
P_DATA = 4
C_STORE_RSP = 0x8001


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a process holds."""

    threads: int
    handles: int
    resident_kb: int


class Target:
    """The receiver and how it is."""

    def __init__(self, pid: int, port: int, folder: Path, log: Path) -> None:
        self.port = port
        self.folder = folder
        self._pid = pid
        self._log = log

    def size(self) -> Size:
        """What it holds now."""
        process = Path("/proc") / str(self._pid)
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return Size(
            threads=int(status["Threads"]),
            handles=len(list((process / "fd").iterdir())),
            resident_kb=int(status["VmRSS"].split()[0]),
        )

    def log(self) -> list[str]:
        """What it has logged and printed."""
        return self._log.read_text("utf-8").splitlines()

    def names(self, folder: str) -> set[str]:
        """Files in one of its folders."""
        return {path.stem for path in (self.folder / folder).iterdir()}

    def takes(self, number: int) -> bool:
        """Does it acknowledge a good object?"""
        data = encode(make_dataset(number), ImplicitVRLittleEndian)
        request = p_data(pdv(COMMAND_END, command(CTImageStorage, uid("instance", number))))
        with Wire(self.port) as wire:
            wire.associate(CTImageStorage, ImplicitVRLittleEndian)
            wire.send(request + p_data(pdv(DATA_END, data)))
            kind, body = wire.receive()
        return kind == P_DATA and b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" in body


@contextmanager
def target(folder: Path, log: Path) -> Iterator[Target]:
    """Start one and stop it."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.serve", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        yield Target(process.pid, int(process.stdout.readline()), folder, log)
        process.stdin.close()
        process.wait(30)


class Attack:
    """Callers that send streams, and what they were told."""

    def __init__(self, target: Target, seed: int) -> None:
        self.acknowledged: set[str] = set()
        self.held: list[int] = []  #: streams after whose end the receiver did not hang up
        self.answers: Counter[int] = Counter()  #: by the type of PDU
        self._target = target
        self._seed = seed
        self._lock = threading.Lock()

    def send(self, numbers: range) -> None:
        """Send these streams, several at a time."""
        with ThreadPoolExecutor(CALLERS) as callers:
            parts = [numbers[first::CALLERS] for first in range(CALLERS)]
            for _ in callers.map(self._call, parts):
                pass

    def _call(self, numbers: range) -> None:
        for number in numbers:
            one = stream(self._seed, number)
            try:
                heard = self._say(one)
            except TimeoutError:
                with self._lock:
                    self.held.append(number)
                continue
            with self._lock:
                self._note(heard)

    def _say(self, one: Stream) -> bytes:
        """Send a stream and its end; what is answered until the receiver hangs up."""
        with socket.create_connection(("127.0.0.1", self._target.port), PATIENCE_S) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            heard = b""
            with suppress(ConnectionError):
                caller.sendall(one.data)
                if one.waits:
                    caller.shutdown(socket.SHUT_WR)
                    while more := caller.recv(65536):
                        heard += more
            return heard

    def _note(self, heard: bytes) -> None:
        at = 0
        while at + 6 <= len(heard):
            kind, length = struct.unpack_from(">BxI", heard, at)
            self.answers[kind] += 1
            if kind == P_DATA:
                self._note_response(heard[at + 12 : at + 6 + length])
            at += 6 + length

    def _note_response(self, encoded: bytes) -> None:
        fields, at = {}, 0
        while at + 8 <= len(encoded):
            tag, length = struct.unpack_from("<II", encoded, at)
            fields[tag >> 16] = encoded[at + 8 : at + 8 + length]
            at += 8 + length
        if fields.get(0x0100) == struct.pack("<H", C_STORE_RSP) and fields[0x0900] == bytes(2):
            self.acknowledged.add(fields[0x1000].decode().rstrip("\x00"))


def attacked(folder: Path, seed: int, count: int) -> str:
    """Send so many streams to a receiver, and assert that it is as it was; say how it went."""
    with target(folder / "node", folder / "log") as receiver:
        attack = Attack(receiver, seed)
        threads = receiver.size().threads
        attack.send(range(min(count, WARM_UP)))
        before = _settled(receiver, threads)
        attack.send(range(WARM_UP, count))
        after = _settled(receiver, threads)
        assert attack.held == [], f"the receiver did not hang up after the end of {attack.held}"
        assert receiver.takes(UNHEARD * 2), "a good object is no longer taken"
        _assert_as_before(before, after)
        _assert_kept_what_was_acknowledged(receiver, attack)
        return _assert_quiet(receiver, count) + f", {dict(attack.answers)}, {before}, {after}"


def _settled(receiver: Target, threads: int) -> Size:
    """What it holds when all callers are gone, and their threads."""
    until(lambda: receiver.size().threads <= threads)
    return receiver.size()


def _assert_as_before(before: Size, after: Size) -> None:
    assert after.handles <= before.handles, f"{before} became {after}"
    assert after.resident_kb - before.resident_kb < 5 * 1024, f"{before} became {after}"


def _assert_kept_what_was_acknowledged(receiver: Target, attack: Attack) -> None:
    unheard = {uid("instance", number) for number in range(UNHEARD, UNHEARD * 3)}
    assert attack.acknowledged <= receiver.names("inbox")
    assert receiver.names("inbox") <= attack.acknowledged | unheard
    until(lambda: not being_received(receiver.folder))


def _assert_quiet(receiver: Target, count: int) -> str:
    """No exception in any thread, and a line for a bad connection, not for each of its bytes."""
    lines = receiver.log()
    unforeseen = [line for line in lines if " WARNING " not in line or " py.warnings" in line]
    assert not unforeseen, unforeseen[:20]
    of_objects = (" store.refused ", " commitment.refused ")
    assert sum(not any(event in line for event in of_objects) for line in lines) <= count
    return f"{count} streams, {len(lines)} lines"

"""A receiver is killed under load: what it acknowledged is there, and nothing is there by half.

Killing a process does not test fsync, as the kernel lives on; the order of the calls before each
answer is checked with strace where that is installed.
"""

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicomnode.storage.objects import ObjectStore
from tests.factories import encode, make_dataset, uid
from tests.wire import COMMAND_END, DATA_END, Wire, command, p_data, pdv

P_DATA = 4
ROOT = Path(__file__).resolve().parents[2]
SERVE = """
import sys, threading
from pathlib import Path
from tests.receiver import Receiver
receiver = Receiver(Path(sys.argv[1]))
receiver.server.start()
print(receiver.server.port, flush=True)
sys.stdin.read()
receiver.server.stop(0)
"""


@contextmanager
def serving(folder: Path, *wrapper: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A child process with a receiver in it, and its port."""
    child = subprocess.Popen(
        [*wrapper, sys.executable, "-c", SERVE, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield child, int(child.stdout.readline())
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()


def message(number: int) -> bytes:
    store = p_data(pdv(COMMAND_END, command(CTImageStorage, uid("instance", number))))
    return store + p_data(pdv(DATA_END, dataset(number)))


def dataset(number: int) -> bytes:
    return encode(make_dataset(number, rows=64, columns=64), ImplicitVRLittleEndian)


def store_until_killed(child: subprocess.Popen[str], port: int, after_s: float) -> set[int]:
    """Send objects over four connections until the child is killed; which were acknowledged?"""
    acknowledged: set[int] = set()
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(port)) for _ in range(4)]
        for wire in wires:
            wire.associate(CTImageStorage, ImplicitVRLittleEndian)
        killer = threading.Timer(after_s, os.kill, (child.pid, signal.SIGKILL))
        killer.start()
        with suppress(ConnectionError):
            for first in itertools.count(step=len(wires)):
                for number, wire in enumerate(wires, first):
                    wire.send(message(number))
                for number, wire in enumerate(wires, first):
                    if wire.receive()[0] != P_DATA:
                        raise ConnectionError
                    acknowledged.add(number)
        killer.join()
    return acknowledged


@pytest.mark.parametrize("after_s", [0.1, 0.33, 0.71])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, after_s: float) -> None:
    with serving(tmp_path) as (child, port):
        acknowledged = store_until_killed(child, port, after_s)
    assert acknowledged
    found = {path.stem: path.read_bytes() for path in (tmp_path / "inbox").iterdir()}
    expected = {uid("instance", number): dataset(number) for number in acknowledged}
    assert set(expected) <= set(found)
    assert all(found[name].endswith(data) for name, data in expected.items())
    store = ObjectStore(tmp_path)
    store.prepare()
    assert list((tmp_path / "partial").iterdir()) == []
    assert {path.stem for path in store.waiting(10_000)} == set(found)


def test_the_answer_leaves_after_the_bytes_and_their_name_are_synced(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is missing")
    trace = tmp_path / "trace"
    calls = "trace=fsync,link,sendto,open,openat"
    with (
        serving(
            tmp_path / "node", "strace", "-f", "-y", "-s", "64", "-e", calls, "-o", str(trace)
        ) as (
            _,
            port,
        ),
        Wire(port) as wire,
    ):
        wire.associate(CTImageStorage, ImplicitVRLittleEndian)
        wire.send(message(1))
        assert wire.receive()[0] == P_DATA
        wire.socket.shutdown(socket.SHUT_RDWR)
    steps = []
    for line in trace.read_text().splitlines():
        for name, pattern in (
            ("bytes synced", r"fsync\(\d+<.*/partial/\w+>"),
            ("named", r"link\(\"[^\"]*/partial/"),
            ("name synced", r"fsync\(\d+<.*/inbox>"),
            ("answered", r"sendto\(.*\"\\4\\0"),
        ):
            if re.search(pattern, line):
                steps.append(name)
    assert steps == ["bytes synced", "named", "name synced", "answered"]

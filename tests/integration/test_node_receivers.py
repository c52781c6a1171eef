"""Receivers as processes of their own: one port, one desk, and neither outlives the node."""

import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicomnode.node.receivers import Receivers
from dicomnode.records import Verdict
from tests.factories import uid
from tests.receivers import ACCEPTED, receivers
from tests.running import until
from tests.wire import Wire


def test_several_processes_serve_one_port(tmp_path: Path) -> None:
    with receivers(tmp_path, 2) as node:
        until(lambda: len(node.receivers.pids) == 2)
        assert node.send(1, 2, 3) == [Verdict.STORED] * 3
        assert node.listener.wait_ended(1)
        assert node.listener.kept_uids == [uid("instance", 1)]  # of their study, the first is told
        assert len(node.store.waiting(10)) == 3


def test_the_limit_counts_over_all_processes(tmp_path: Path) -> None:
    with receivers(tmp_path, 2, extra="max_associations = 4") as node:
        inside = [node.associate() for _ in range(4)]
        with Wire(node.receivers.port) as fifth:
            assert fifth.associate(CTImageStorage, ImplicitVRLittleEndian) != ACCEPTED
        for wire in inside:
            wire.socket.close()
        assert node.listener.wait_ended(4)
        node.associate().socket.close()


def test_a_receiver_that_dies_is_started_again_and_what_it_held_has_ended(tmp_path: Path) -> None:
    with receivers(tmp_path) as node:
        inside = node.associate()
        [pid] = node.receivers.pids
        shutil.rmtree(tmp_path / "config")  # a new one goes on with what the node read
        os.kill(pid, signal.SIGKILL)
        assert node.listener.wait_ended(1)
        assert inside.closed()
        inside.socket.close()
        assert node.send(1) == [Verdict.STORED]
        assert node.receivers.pids != [pid]


def test_an_association_that_is_open_may_end_while_stopping(tmp_path: Path) -> None:
    with receivers(tmp_path) as node:
        inside = node.associate()
        stopping = threading.Thread(target=node.receivers.stop, args=(20.0,))
        stopping.start()
        inside.send(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        assert inside.receive()[0] == 6
        inside.socket.close()
        started = time.monotonic()
        stopping.join()
        assert time.monotonic() - started < 15
        assert node.receivers.pids == []


def test_who_does_not_end_in_time_is_aborted(tmp_path: Path) -> None:
    with receivers(tmp_path) as node:
        inside = node.associate()
        node.receivers.stop(0.1)
        assert inside.receive()[0] == 7
        inside.socket.close()
        assert len(node.listener.ends) == 1


def test_a_receiver_that_hangs_is_killed_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.receivers._MORE_THAN_DRAIN_S", 0.1)
    with receivers(tmp_path) as node:
        node.associate().socket.close()
        assert node.listener.wait_ended(1)
        [pid] = node.receivers.pids
        os.kill(pid, signal.SIGSTOP)
        node.receivers.stop(0.0)
        assert node.receivers.pids == []


def test_a_receiver_that_says_what_nobody_understands_is_over(tmp_path: Path) -> None:
    """Its end is waited for and told, so that nothing of it stays behind."""
    torn = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).send(b'{')"
    gone: list[int] = []
    with receivers(tmp_path, 1) as node:
        desk = node.receivers._desk
        receive = node.settings.node.receive.model_copy(update={"port": 0})
        settings = node.settings.node.model_copy(update={"receive": receive})
        lying = Receivers(
            settings, desk, lambda _, line: [sys.executable, "-c", torn, str(line)], gone.append
        )
        lying.start()
        until(lambda: bool(gone))
        lying.stop(0.0)


def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with receivers(tmp_path) as node:
        second = Receivers(node.settings.node, node.receivers._desk)
        with pytest.raises(OSError, match="in use"):
            second.start()
        second.stop(0)


def test_other_settings_count_for_associations_that_begin_and_no_receiver_ends(
    tmp_path: Path,
) -> None:
    with receivers(tmp_path) as node:
        assert node.send(1) == [Verdict.STORED]
        pids = node.receivers.pids
        with node.associate() as inside:
            receive = node.settings.node.receive.model_copy(update={"max_object_bytes": 100})
            node.receivers.renew(node.settings.node.model_copy(update={"receive": receive}))

            until(lambda: node.send(2) == [Verdict.NEVER], timeout_s=30)
            inside.send(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")
            assert inside.receive()[0] == 6  # it was released, not dropped

        assert node.receivers.pids == pids
        os.kill(pids[0], signal.SIGKILL)  # and the next one goes by them from its start
        until(lambda: node.receivers.pids not in ([], pids), timeout_s=30)
        assert node.send(3) == [Verdict.NEVER]

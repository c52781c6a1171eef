"""How busy the machine is."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import process_time

import pytest

from dicomnode.node.machine import Machine


def test_shares_are_shares_and_memory_and_disk_are_there(tmp_path: Path) -> None:
    load = Machine(tmp_path).look()

    assert 0 <= load.cpu <= 1
    assert load.memory_bytes > 1_000_000
    assert load.disk_free_bytes > 0


def test_the_first_look_counts_from_the_beginning_by_whichever_thread(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    until = process_time() + 0.3
    while process_time() < until:
        pass
    with ThreadPoolExecutor(1) as other:
        assert other.submit(machine.look).result().cpu > 0


def test_memory_is_that_of_all_processes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    before = machine.look().memory_bytes
    program = "data = bytes(b'1' * 200_000_000); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert machine.look().memory_bytes - before > 100_000_000
        child.communicate(b"\n")


@pytest.mark.parametrize(
    ("says", "share"),
    [("echo 40; echo 20", 0.3), ("echo '[N/A]'", None), ("exit 9", None), ("true", None)],
)
def test_gpus_are_asked_where_there_are_some(
    says: str, share: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{says}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert Machine(tmp_path).look().gpu == pytest.approx(share)


def test_there_may_be_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert Machine(tmp_path).look().gpu is None

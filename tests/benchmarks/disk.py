"""The disk's own limit: what any receiver must do to keep an object durably, and nothing else."""

import os
import threading
import time
from pathlib import Path

from tests.benchmarks.load import Measured
from tests.benchmarks.memory import use_memory

__all__ = ["disk"]


def disk(folder: Path, size: int, count: int, threads: int) -> Measured:
    """Write, sync, rename into a folder and sync that folder, from so many threads at once."""
    partial, kept = folder / "partial", folder / "kept"
    partial.mkdir(parents=True)
    kept.mkdir()
    data, ready = os.urandom(size), threading.Barrier(threads + 1)

    def work(numbers: range) -> None:
        ready.wait()
        for number in numbers:
            _keep(data, partial / str(number), kept / str(number))

    workers = [
        threading.Thread(target=work, args=(range(n, count, threads),)) for n in range(threads)
    ]
    for worker in workers:
        worker.start()
    use_memory(size * count)
    ready.wait()
    started = time.monotonic()
    for worker in workers:
        worker.join()
    seconds = time.monotonic() - started
    return Measured(objects_per_s=count / seconds, mb_per_s=count * size / seconds / 1e6)


def _keep(data: bytes, partial: Path, final: Path) -> None:
    with partial.open("xb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())
    partial.rename(final)
    folder = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

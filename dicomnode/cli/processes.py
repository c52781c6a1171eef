"""What a process and all that it started use of the machine, read from /proc (Linux)."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peak", "Usage", "settled", "tree", "usage", "watching"]

_PROC = Path("/proc")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Sums over a process and its descendants."""

    cpu_s: float  #: user and system, of children that have ended too, in seconds
    rss_bytes: int  #: resident; pages that two processes share count twice
    threads: int
    descriptors: int
    processes: int


@dataclass(slots=True)
class Peak:
    """The most that a process tree held while it was watched."""

    rss_bytes: int = 0  #: largest sum seen
    before_bytes: int = 0  #: sum at the start


def tree(pid: int) -> list[int]:
    """A process and its descendants; those that end meanwhile are left out."""
    children: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parent = int(_stat(folder)[1])
                children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def _stat(folder: Path) -> list[str]:
    """The fields after the command's name, which may hold anything: state, parent, ..."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def usage(pid: int) -> Usage:
    """What a process tree uses now; nothing where it has ended."""
    parts = [part for one in tree(pid) if (part := _usage(one)) is not None]
    return Usage(
        cpu_s=sum(part.cpu_s for part in parts),
        rss_bytes=sum(part.rss_bytes for part in parts),
        threads=sum(part.threads for part in parts),
        descriptors=sum(part.descriptors for part in parts),
        processes=len(parts),
    )


def _usage(pid: int) -> Usage | None:
    folder = _PROC / str(pid)
    try:
        ticks = _stat(folder)[11:15]
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        descriptors = sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return None
    return Usage(
        cpu_s=sum(map(int, ticks)) / _TICKS_A_SECOND,
        rss_bytes=int(status.get("VmRSS", "0 kB").split()[0]) * 1024,
        threads=int(status["Threads"]),
        descriptors=descriptors,
        processes=1,
    )


def settled(pid: int, *, longest_s: float = 60.0) -> None:
    """Wait until a process tree has finished starting: it uses hardly any CPU for a second."""
    deadline, before = time.monotonic() + longest_s, usage(pid).cpu_s
    while time.monotonic() < deadline:
        time.sleep(1)
        now = usage(pid).cpu_s
        if now - before < 0.1:
            return
        before = now


@contextmanager
def watching(pid: int, *, every_s: float = 0.1) -> Iterator[Peak]:
    """Look at a process tree's memory from time to time while the block runs."""
    now = usage(pid).rss_bytes
    peak, over = Peak(rss_bytes=now, before_bytes=now), threading.Event()

    def look() -> None:
        while not over.wait(every_s):
            peak.rss_bytes = max(peak.rss_bytes, usage(pid).rss_bytes)

    watcher = threading.Thread(target=look, name="peak", daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()
        peak.rss_bytes = max(peak.rss_bytes, usage(pid).rss_bytes)

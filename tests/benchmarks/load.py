"""Send to a receiver from as many processes as associations, and measure both ends."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from dicomnode.cli.processes import usage, watching
from dicomnode.cli.replay import SAMPLES
from tests.benchmarks.memory import use_memory
from tests.benchmarks.peers import Receiver

__all__ = ["Measured", "load"]

_SENDER = Path(__file__).with_name("sender.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run against one receiver."""

    objects_per_s: float
    mb_per_s: float
    p50_ms: float = 0.0  #: from the first byte of a request to its response
    p99_ms: float = 0.0
    cpu_s: float = 0.0  #: of the receiver's process tree
    peak_mb: float = 0.0  #: resident memory of the tree, pages shared by two counted twice
    grown_mb: float = 0.0  #: peak less what it held before
    entered_s: float | None = None  #: from the last answer until all is in the worklist


def load(
    receiver: Receiver, sample: str, count: int, associations: int, *, gigabytes: float = 0.0
) -> Measured:
    """Send `count` objects over so many associations at once.

    Raises:
        RuntimeError: an object was refused, or is not there afterwards.
    """
    shares = [count // associations + (n < count % associations) for n in range(associations)]
    there = receiver.kept()
    senders = [_start(receiver, sample, share, gigabytes) for share in shares if share]
    try:
        for sender in senders:
            _line(sender)
        use_memory(0 if gigabytes else count * SAMPLES[sample].pixel_bytes)
        cpu_s = usage(receiver.pid).cpu_s
        with watching(receiver.pid) as peak:
            for sender in senders:
                _tell(sender)
            parts = [json.loads(_line(sender)) for sender in senders]
            ended = max(part["ended"] for part in parts)
            entered_s = receiver.wait_for_worklist(there + count, ended)
        cpu_s = usage(receiver.pid).cpu_s - cpu_s
    finally:
        for sender in senders:
            sender.communicate(timeout=60)
    if any(part["refused"] for part in parts):
        raise RuntimeError(f"{receiver.name} refused {sum(part['refused'] for part in parts)}")
    if (kept := receiver.kept() - there) != count:
        raise RuntimeError(f"{receiver.name} acknowledged {count} objects and keeps {kept}")
    seconds = ended - min(part["started"] for part in parts)
    spent = [second for part in parts for second in part["spent_s"]]
    cuts = quantiles(spent, n=100, method="inclusive") if len(spent) > 1 else spent * 99
    return Measured(
        objects_per_s=count / seconds,
        mb_per_s=sum(part["bytes"] for part in parts) / seconds / 1e6,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        cpu_s=cpu_s,
        peak_mb=peak.rss_bytes / 1e6,
        grown_mb=(peak.rss_bytes - peak.before_bytes) / 1e6,
        entered_s=entered_s,
    )


def _start(
    receiver: Receiver, sample: str, count: int, gigabytes: float
) -> "subprocess.Popen[str]":
    what = {"port": receiver.port, "called": receiver.ae_title, "sample": sample, "count": count}
    return subprocess.Popen(
        [sys.executable, str(_SENDER), json.dumps(what | {"gigabytes": gigabytes})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _line(sender: "subprocess.Popen[str]") -> str:
    assert sender.stdout is not None
    if not (line := sender.stdout.readline()):
        raise RuntimeError("a sender ended early; what it met stands above")
    return line


def _tell(sender: "subprocess.Popen[str]") -> None:
    assert sender.stdin is not None
    sender.stdin.write("go\n")
    sender.stdin.flush()

"""What is not throughput: latency to the job, many idle associations, one very large object."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles
from typing import Any

from dicomnode.cli.output import console, print_table
from dicomnode.cli.processes import usage
from dicomnode.cli.replay import SAMPLES, ReplayAssociation, UIDs, multiframe
from dicomnode.errors import PeerAway
from tests.benchmarks.load import load
from tests.benchmarks.peers import PEERS, Receiver, dicomnode

__all__ = ["big", "idle", "latency"]

_TIMES = 20
_QUIET_S = 0.0  #: a study is complete as soon as its association is released
_IDLE_S = 10.0


def latency(folder: Path) -> list[dict[str, Any]]:
    """From the A-RELEASE-RQ until the study's job may be claimed, with an idle node."""
    with dicomnode(folder, quiet_s=_QUIET_S) as receiver:
        uids = UIDs()
        spent = [_until_ready(receiver, uids) for _ in range(_TIMES)]
    cuts = quantiles(spent, n=100, method="inclusive")
    row = {"p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000, "most_ms": max(spent) * 1000}
    shown = [f"{value:.1f}" for value in row.values()]
    print_table([*row, "goal ms"], [[*shown, "50"]], title="release to a job that is ready")
    return [row]


def _until_ready(receiver: Receiver, uids: UIDs) -> float:
    study = next(uids)
    with _open(receiver) as association:
        message = association.message(study, next(uids))
        for _ in range(3):
            association.store(message, next(uids))
        started = time.monotonic()
        association.release()
    sql = f"SELECT count(*) FROM jobs WHERE study_uid = '{study}' AND state != 'waiting'"  # noqa: S608
    while not receiver.query(sql):
        time.sleep(0.001)
    spent = time.monotonic() - started
    time.sleep(1)  # the next one finds the node at rest
    return spent


def idle(folder: Path, targets: list[str], count: int) -> list[dict[str, Any]]:
    """Open so many associations at once, leave them idle, release them all."""
    return _each(folder, targets, lambda receiver: _idle(receiver, count))


def _idle(receiver: Receiver, count: int) -> dict[str, Any]:
    before, started = usage(receiver.pid), time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        opened = [one for one in pool.map(lambda _: _accepted(receiver), range(count)) if one]
        accept_s = time.monotonic() - started
        time.sleep(1)
        then, since = usage(receiver.pid), time.monotonic()
        time.sleep(_IDLE_S)
        now = usage(receiver.pid)
        share = (now.cpu_s - then.cpu_s) / (time.monotonic() - since)
        released = sum(pool.map(_released, opened))
    return {
        "accepted": len(opened),
        "in s": round(accept_s, 2),
        "released": released,
        "core %": round(share * 100, 1),
        "threads": now.threads,
        "processes": now.processes,
        "grown MB": round((now.rss_bytes - before.rss_bytes) / 1e6),
    }


def _open(receiver: Receiver) -> ReplayAssociation:
    sample = SAMPLES["tiny"]
    return ReplayAssociation(receiver.port, receiver.ae_title, "BENCH", sample).accepted()


def _accepted(receiver: Receiver) -> ReplayAssociation | None:
    try:
        return _open(receiver)
    except PeerAway:
        return None


def _released(association: ReplayAssociation) -> bool:
    with association:
        try:
            association.release()
        except PeerAway:
            return False
        return True


def big(folder: Path, targets: list[str], gigabytes: float) -> list[dict[str, Any]]:
    """One multi-frame object: how much memory a receiver takes for it."""
    sample = multiframe(gigabytes)
    console.print(f"{sample.frames} frames, {sample.pixel_bytes / 1e9:.2f} GB")

    def measure(receiver: Receiver) -> dict[str, Any]:
        measured = load(receiver, "", 1, 1, gigabytes=gigabytes)
        return {
            "MB/s": round(measured.mb_per_s),
            "peak MB": round(measured.peak_mb),
            "grown MB": round(measured.grown_mb),
        }

    return _each(folder, targets, measure)


def _each(
    folder: Path, targets: list[str], measure: Callable[[Receiver], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Measure one receiver after the other, and show them together."""
    rows: list[dict[str, Any]] = []
    for name in targets:
        console.print(f"{name} ...", style="dim")
        (folder / name).mkdir()
        with PEERS[name](folder / name) as receiver:
            rows.append({"receiver": name, **measure(receiver)})
    print_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    return rows

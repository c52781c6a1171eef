"""A soak: hours of traffic on one node, what it holds of the machine meanwhile, and whether any of
it grows.
"""

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import linear_regression, median, quantiles

from dicomnode.cli.processes import Usage, usage
from dicomnode.cli.soak_traffic import Traffic

__all__ = ["MEASURES", "Measure", "Sample", "Trend", "sampled", "trend", "writing"]

_FEWEST_SAMPLES = 12  #: to tell anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the node's process tree held at one moment, and how it answered since the last."""

    seconds: float  #: since the start
    rss_mb: float
    threads: int
    descriptors: int
    processes: int
    cpu_percent: float  #: of one core
    objects: int  #: of whole studies, stored so far
    problems: int  #: so far
    p50_ms: float  #: from request to response; the last known where nothing was sent
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One column that must not grow."""

    field: str
    words: str
    unit: str
    slack: float  #: a smaller difference means nothing
    share: float = 0.0  #: nor does a smaller part of what it was


MEASURES = (
    Measure("rss_mb", "resident memory", "MB", 10),
    Measure("threads", "threads", "", 2),
    Measure("descriptors", "open descriptors", "", 4),
    Measure("processes", "processes", "", 0.5),
    Measure("p50_ms", "request to response, median", "ms", 1, 0.25),
    Measure("p99_ms", "request to response, 99th percentile", "ms", 20, 0.5),
)


@dataclass(frozen=True, slots=True)
class Trend:
    """What became of one measure after the node had warmed up."""

    measure: Measure
    early: float  #: median of the first third
    late: float  #: median of the last third
    an_hour: float  #: slope of the straight line through all
    grows: bool

    def __str__(self) -> str:
        unit = f" {self.measure.unit}".rstrip()
        verdict = "GROWS" if self.grows else "does not grow"
        moved = f"from {self.early:.4g} to {self.late:.4g}{unit}"
        return f"{self.measure.words}: {verdict}, {moved}, slope {self.an_hour:+.2g}{unit} an hour"


def sampled(
    pid: int, traffic: Traffic, *, seconds: float, every_s: float, alive: Callable[[], bool]
) -> Iterator[Sample]:
    """A sample every `every_s`, until the time is over or the node is gone."""
    started = time.monotonic()
    before, before_at, latency = usage(pid), started, (0.0, 0.0)
    for number in range(1, max(1, round(seconds / every_s)) + 1):
        time.sleep(max(0.0, started + number * every_s - time.monotonic()))
        if not alive():
            return
        now, now_at = usage(pid), time.monotonic()
        latency = _middle_and_end(traffic.take_spent()) or latency
        share = (now.cpu_s - before.cpu_s) / (now_at - before_at)
        yield _sample(now, now_at - started, share, traffic, latency)
        before, before_at = now, now_at


def _sample(
    now: Usage, seconds: float, share: float, traffic: Traffic, latency: tuple[float, float]
) -> Sample:
    return Sample(
        seconds=round(seconds, 1),
        rss_mb=round(now.rss_bytes / 1e6, 2),
        threads=now.threads,
        descriptors=now.descriptors,
        processes=now.processes,
        cpu_percent=round(share * 100, 1),
        objects=traffic.counts["stored"],
        problems=traffic.counts["problems"],
        p50_ms=round(latency[0] * 1000, 2),
        p99_ms=round(latency[1] * 1000, 2),
    )


def _middle_and_end(spent: Sequence[float]) -> tuple[float, float] | None:
    if len(spent) < 2:
        return None
    cuts = quantiles(spent, n=100, method="inclusive")
    return cuts[49], cuts[98]


def trend(samples: Sequence[Sample], measure: Measure) -> Trend | None:
    """Does a measure grow? None where there are too few samples to tell.

    The first quarter is left out: the node warms up. Growth is more than the measure's slack
    between the first and the last third of the rest, with the middle third between them: one high
    hour that passes is no growth.
    """
    rest = samples[len(samples) // 4 :]
    if len(rest) < _FEWEST_SAMPLES:
        return None
    values = [float(getattr(sample, measure.field)) for sample in rest]
    third = len(values) // 3
    parts = values[:third], values[third:-third], values[-third:]
    early, middle, late = (median(part) for part in parts)
    slope, _ = linear_regression([sample.seconds / 3600 for sample in rest], values)
    slack = max(measure.slack, measure.share * early)
    return Trend(measure, early, late, slope, late - early > slack and early < middle < late)


@contextmanager
def writing(path: Path) -> Iterator[Callable[[Sample], None]]:
    """A CSV file that holds every sample as soon as it was taken."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Sample)])
        table.writeheader()

        def write(sample: Sample) -> None:
            table.writerow(asdict(sample))
            file.flush()

        yield write

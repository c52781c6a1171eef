"""What there is now, as gauges for Prometheus: asked for anew at each scrape."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from prometheus_client.core import GaugeMetricFamily as Gauge

from dicomnode.config.load import Settings
from dicomnode.errors import StoreError
from dicomnode.logbook import standing
from dicomnode.storage.database import Connection
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import measures, overview, to_audit

__all__ = ["ALIVE", "OTHER", "free", "gauge", "known", "now_standing"]

ALIVE = timedelta(seconds=45)  #: a node that was not seen for longer is not up
OTHER = "other"  #: a sender, peer or pipeline that is not configured

_Labels = TypeVar("_Labels", bound=tuple[str, ...])


def known(name: str, configured: Mapping[str, object]) -> str:
    """The name, or `OTHER`: what senders make up is no label."""
    return name if name in configured else OTHER


def gauge(name: str, words: str, value: float | None) -> Gauge:
    """One figure; not a number where it is not known."""
    return Gauge(f"dicomnode_{name}", words, value=float("nan") if value is None else value)


def _by(name: str, words: str, labels: tuple[str, ...], rows: Mapping[_Labels, float]) -> Gauge:
    family = Gauge(f"dicomnode_{name}", words, labels=labels)
    for values, value in rows.items():
        family.add_metric(list(values), value)
    return family


def free(store: ObjectStore) -> float | None:
    """Bytes where the objects are; None where the disk does not say."""
    try:
        return store.free_bytes()
    except StoreError:
        return None


def now_standing(tx: Connection, settings: Settings, now: datetime) -> Iterator[Gauge]:
    """What there is now."""
    yield _jobs(tx, settings)
    since = measures.queued_since(tx)
    age = max(0.0, (now - since).total_seconds()) if since else 0.0
    yield gauge("queue_age_seconds", "How long the job is ready that waits longest", age)
    owed = {(peer,): float(n) for peer, n in measures.owed(tx, settings.peers).items()}
    words = f"Results that a peer has not taken yet; at most {measures.COUNTED}"
    yield _by("deliveries_owed", words, ("peer",), owed)
    yield from _peers(tx, settings)
    yield _models(tx, settings)
    rules = settings.node.audit
    sinks = [name for name, on in (("file", rules.file), ("syslog", rules.syslog.host)) if on]
    rows = {(name,): float(to_audit.behind(tx, name)) for name in sinks}
    yield _by("audit_behind", "Lines that the audit trail has not told yet", ("sink",), rows)
    yield from _nodes(tx, now)


def _jobs(tx: Connection, settings: Settings) -> Gauge:
    rows: dict[tuple[str, ...], float] = {}
    for (pipeline, state), count in measures.standing_jobs(tx).items():
        key = (known(pipeline, settings.pipelines), state)
        rows[key] = rows.get(key, 0) + count
    words = f"Jobs that are not over; of a state at most {measures.COUNTED}"
    return _by("jobs", words, ("pipeline", "state"), rows)


def _peers(tx: Connection, settings: Settings) -> Iterator[Gauge]:
    found = {name: each for name, each in standing.peers(tx).items() if name in settings.peers}
    up = {(name,): float(not each.problem) for name, each in found.items()}
    yield _by("peer_up", "Did it answer the last C-ECHO?", ("peer",), up)
    asked = {(name,): each.echoed_at.timestamp() for name, each in found.items()}
    yield _by("peer_echoed_timestamp_seconds", "When that was", ("peer",), asked)


def _models(tx: Connection, settings: Settings) -> Gauge:
    rows: dict[tuple[str, ...], float] = {}
    for each in overview.models(tx, settings.pipelines):
        name, _, version = each.model.rpartition("@")
        if name:
            rows[each.pipeline, name, version] = 0.0 if each.stopped else 1.0
    words = "What answered last in a pipeline; 0 where it was recalled"
    return _by("model_info", words, ("pipeline", "model", "version"), rows)


def _nodes(tx: Connection, now: datetime) -> Iterator[Gauge]:
    nodes = {each.holder: each for each in standing.nodes_known(tx)}
    up = {(name,): float(now - each.seen_at < ALIVE) for name, each in nodes.items()}
    yield _by("node_up", "Was it heard of just now?", ("node",), up)
    versions = {(name, each.version): 1.0 for name, each in nodes.items()}
    yield _by("node_info", "Its version", ("node", "version"), versions)
    mistakes = {(name,): float(len(each.mistakes)) for name, each in nodes.items()}
    yield _by("configuration_mistakes", "In the files as they are", ("node",), mistakes)
    waiting = {(name,): float(len(each.restart)) for name, each in nodes.items()}
    yield _by("configuration_restart_keys", "That count after a restart", ("node",), waiting)
    lately = now - timedelta(minutes=5)
    last = {
        name: found[-1] for name in nodes if (found := standing.samples_since(tx, lately, name))
    }
    cpu = {(name,): each.cpu for name, each in last.items()}
    yield _by("cpu_share", "Of all cores, 0 to 1, in the last minute", ("node",), cpu)
    gpu = {(name,): each.gpu for name, each in last.items() if each.gpu is not None}
    yield _by("gpu_share", "Of the GPUs, 0 to 1", ("node",), gpu)
    memory = {(name,): float(each.memory_bytes) for name, each in last.items()}
    yield _by("memory_bytes", "Of the node's processes", ("node",), memory)

"""Today at a glance: what page, stream and interface say of it."""

import shutil
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from dicomnode.config.load import Settings
from dicomnode.logbook import standing
from dicomnode.logbook.standing import Node, Sample
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.web.monitoring.peers import Health, health_of
from dicomnode.worklist import overview
from dicomnode.worklist.overview import Count, Hour, ModelInUse, PeerStanding, Times

__all__ = ["Machine", "NodeStanding", "Overview", "Overviews", "glance"]

_SILENT = timedelta(seconds=60)
_SAMPLES = timedelta(hours=6)
_FRESH_S = 1.5  #: for so long all who look see the same one


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStanding:
    """A node, and whether it still says that it lives."""

    holder: str  #: AE title @ machine
    version: str
    port: int
    started_at: datetime
    seen_at: datetime
    silent: bool  #: it has said nothing for a minute
    mistakes: tuple[str, ...]  #: of the files; the configuration before them is in force
    restart: tuple[str, ...]  #: changed keys that count after a restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a node's machine did in the last hours."""

    holder: str
    samples: list[Sample]  #: of each minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All of it."""

    at: datetime
    today: datetime  #: when today began where the node is
    nodes: list[NodeStanding]
    disk_free_bytes: int | None  #: where images are kept; none where that cannot be read
    disk_bytes: int | None
    keep_free_bytes: int  #: with less, no image is taken
    received: Count
    unmatched: int  #: studies of today that no pipeline took
    states: dict[State, Count]
    times: Times
    hours: list[Hour]
    machines: list[Machine]
    peers: list[PeerStanding]
    health: dict[str, Health]  #: of each of them, in one word and why
    models: list[ModelInUse]


def glance(database: Database, settings: Settings, *, now: datetime) -> Overview:
    """How everything stands now."""
    today = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    free, whole = _disk(settings)
    with database.reading() as tx:
        nodes = [_node(node, now) for node in standing.nodes_known(tx)]
        since = now - _SAMPLES
        peers = overview.peers(tx, {name: p.ae_title for name, p in settings.peers.items()})
        seen = [(node.holder, standing.samples_since(tx, since, node.holder)) for node in nodes]
        return Overview(
            at=now,
            today=today,
            nodes=nodes,
            disk_free_bytes=free,
            disk_bytes=whole,
            keep_free_bytes=settings.node.storage.min_free_bytes,
            received=overview.received(tx, today),
            unmatched=overview.unmatched(tx, today),
            states=overview.states(tx, today),
            times=overview.times(tx, today),
            hours=overview.hours(tx, now),
            machines=[Machine(holder=who, samples=found) for who, found in seen if found],
            peers=peers,
            health=health_of(peers, settings.called),
            models=overview.models(tx, sorted(settings.pipelines)),
        )


class Overviews:
    """One overview for all who look at the same time; may be asked by many threads."""

    def __init__(self, fresh_s: float = _FRESH_S) -> None:
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._made_s = float("-inf")
        self._latest: Overview | None = None

    def latest(self, database: Database, settings: Settings, *, now: datetime) -> Overview:
        """How everything stands, or stood a second ago."""
        with self._lock:
            if self._latest is None or time.monotonic() - self._made_s > self._fresh_s:
                self._latest = glance(database, settings, now=now)
                self._made_s = time.monotonic()
            return self._latest


def _node(node: Node, now: datetime) -> NodeStanding:
    return NodeStanding(
        holder=node.holder,
        version=node.version,
        port=node.port,
        started_at=node.started_at,
        seen_at=node.seen_at,
        silent=now - node.seen_at > _SILENT,
        mistakes=node.mistakes,
        restart=node.restart,
    )


def _disk(settings: Settings) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(settings.node.storage.folder)
    except OSError:
        return None, None
    return usage.free, usage.total

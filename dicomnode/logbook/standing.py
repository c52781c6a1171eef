"""How things stand: the node, its machine and its peers. The node writes it, the page reads it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from dicomnode.logbook.tables import nodes, peer_health, samples
from dicomnode.storage.database import Connection

__all__ = [
    "Node",
    "PeerHealth",
    "Sample",
    "add_sample",
    "echoed",
    "nodes_known",
    "peers",
    "report",
    "samples_since",
]

_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that works on this worklist, and what it has in force."""

    holder: str  #: AE title @ machine
    version: str
    port: int  #: that it listens on for associations
    started_at: datetime
    seen_at: datetime  #: every ten seconds or so, while it lives
    digest: str  #: of the configuration in force, as `Configuration.digest`
    mistakes: tuple[str, ...] = ()  #: of the files as they are now; then an older set is in force
    restart: tuple[str, ...] = ()  #: keys that were changed and count after a restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The node's machine in one minute."""

    holder: str
    at: datetime
    cpu: float  #: share of all cores that was busy, 0 to 1
    gpu: float | None  #: share of the GPUs, 0 to 1; None where there is none
    memory_bytes: int  #: in use by the node's processes, in all
    disk_free_bytes: int  #: where the objects are


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerHealth:
    """What a peer said when it was last asked whether it hears us (C-ECHO)."""

    peer: str
    echoed_at: datetime
    problem: str  #: in words; empty where it heard us
    heard_at: datetime | None  #: when it last did


def report(tx: Connection, node: Node) -> None:
    """Say how a node stands; one that has not been seen for a week is forgotten."""
    row = asdict(node) | {"mistakes": list(node.mistakes), "restart": list(node.restart)}
    _put(tx, nodes, nodes.c.holder, row)
    tx.execute(sa.delete(nodes).where(nodes.c.seen_at < node.seen_at - _KEPT))


def nodes_known(tx: Connection) -> list[Node]:
    """Every node, the one that was seen last first."""
    rows = tx.execute(sa.select(nodes).order_by(nodes.c.seen_at.desc())).mappings()
    lists = ("mistakes", "restart")
    return [Node(**dict(row) | {name: tuple(row[name]) for name in lists}) for row in rows]


def add_sample(tx: Connection, sample: Sample) -> None:
    """Keep a sample, and of its machine those of a week; one of a moment that has one is lost."""
    mine = samples.c.holder == sample.holder
    tx.execute(sa.delete(samples).where(mine, samples.c.at < sample.at - _KEPT))
    if not tx.execute(sa.select(samples.c.at).where(mine, samples.c.at == sample.at)).first():
        tx.execute(sa.insert(samples).values(asdict(sample)))


def samples_since(tx: Connection, since: datetime, holder: str) -> list[Sample]:
    """What a node's machine did from a moment on, oldest first."""
    wanted = sa.select(samples).where(samples.c.holder == holder, samples.c.at >= since)
    return [Sample(**row) for row in tx.execute(wanted.order_by(samples.c.at)).mappings()]


def echoed(tx: Connection, peer: str, problem: str, *, now: datetime) -> None:
    """Note how a peer answered a C-ECHO; `problem` is empty where it heard us."""
    row = {"peer": peer, "echoed_at": now, "problem": problem}
    _put(tx, peer_health, peer_health.c.peer, row if problem else row | {"heard_at": now})


def peers(tx: Connection) -> dict[str, PeerHealth]:
    """How each peer that was ever asked answered, by name; the configuration says who counts."""
    rows = tx.execute(sa.select(peer_health)).mappings()
    return {row["peer"]: PeerHealth(**row) for row in rows}


def _put(tx: Connection, table: sa.Table, key: sa.Column[str], row: Mapping[str, object]) -> None:
    """Change the row of this key, or make it; each has one writer."""
    if not tx.execute(sa.update(table).where(key == row[key.name]).values(row)).rowcount:
        tx.execute(sa.insert(table).values(row))

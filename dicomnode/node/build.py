"""The one place where the node's parts are chosen and joined."""

import socket
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from dicomnode.config.current import Current
from dicomnode.config.load import Settings, hand_over
from dicomnode.deliver import commitment
from dicomnode.deliver.sender import send
from dicomnode.dicom import network
from dicomnode.dicom.commitment import CommitmentReport, CommitmentRequest
from dicomnode.node.arrivals import Arrivals
from dicomnode.node.auditing import Auditing
from dicomnode.node.commitment import CommitmentDesk, name_strangers
from dicomnode.node.completeness import CompletenessCheck
from dicomnode.node.confirmation import Confirmations
from dicomnode.node.counts import StudyCounts
from dicomnode.node.courier import Courier
from dicomnode.node.crew import Crew
from dicomnode.node.heartbeat import Heartbeat
from dicomnode.node.machine import Machine
from dicomnode.node.parts import Part, Parts
from dicomnode.node.process import (
    ChildProcess,
    Place,
    page_command,
    worker_command,
    workers_wanted,
)
from dicomnode.node.promises import Promises
from dicomnode.node.receivers import Receivers
from dicomnode.node.registrar import Registrar
from dicomnode.node.service import Service
from dicomnode.node.stopped import log_stopped
from dicomnode.node.takeover import Takeover
from dicomnode.node.timers import Timers
from dicomnode.node.visitors import Visitors
from dicomnode.receive.commitment import take
from dicomnode.receive.desk import FrontDesk
from dicomnode.records import Outcome, Peer
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.spool import Spool
from dicomnode.worklist import queue
from dicomnode.worklist.schema import upgrade

__all__ = ["build_service", "open_store", "open_worklist"]

_SLOWEST_START_S = 60.0  #: a worker says that it is alive once torch and all that is imported
_LONGEST_REPORT_WAIT_S = 5.0  #: on the association that asks; a report may come later by itself


def open_store(settings: Settings) -> ObjectStore:
    """The node's folder of objects."""
    storage = settings.node.storage
    return ObjectStore(storage.folder, storage.min_free_bytes)


def open_worklist(settings: Settings) -> Database:
    """The worklist's database; nothing is connected yet."""
    worklist = settings.node.worklist
    url = worklist.url or f"sqlite:///{settings.node.storage.folder / 'worklist.db'}"
    return Database(url, worklist.password_file)


def build_service(config: Path, settings: Settings) -> Service:
    """The whole node. `config` is the folder that `settings` came from; it is watched."""
    ours = settings.node.receive.ae_title
    holder = f"{ours}@{socket.gethostname()}"
    current, parts = Current(settings), Parts()
    store, database = open_store(settings), open_worklist(settings)
    crew = Crew(lambda: parts.looks("worker"))
    registrar = Registrar(store, database, current, crew.look)
    arrivals = Arrivals(registrar.wake, registrar.note_conflict)
    counts = StudyCounts(
        current,
        lambda peer, uid: network.count_instances(peer, ours, uid),
        database,
        registrar.wake,
    )
    completeness = CompletenessCheck(
        database, current, arrivals, counts, registrar.horizon, crew.complete
    )
    visitors = Visitors(database, lambda: desk.inside)
    desk = FrontDesk(
        current,
        arrivals,
        lambda: store.has_room(current.node.storage.low_water_mark_bytes),
        visitors.note,
    )
    receivers = Receivers(settings.node, desk, ended=store.drop_partial)
    takeover = Takeover(config, current)
    heartbeat = Heartbeat(database, holder, lambda: receivers.port, takeover, Machine(store.folder))
    auditing = Auditing(database, current, holder, arrivals.is_open)

    def wanted() -> dict[str, Part]:
        return {
            **_parts(config, current, store, database, holder, registrar.horizon, parts.looks),
            "heartbeat": Part(run=heartbeat.run, look=heartbeat.look),
            "associations": Part(run=visitors.run),
            **auditing.parts(),
        }

    return Service(
        store,
        receivers,
        database,
        partial(_open_up, current, store, database, holder),
        registrar,
        completeness,
        Timers(current, database, store, _echo(ours)),
        parts,
        wanted,
        takeover,
    )


def _open_up(current: Current, store: ObjectStore, database: Database, holder: str) -> None:
    """What the worklist needs before anybody works on it."""
    upgrade(database)
    _take_back(current, database, holder)  # what the workers of an earlier life held
    name_strangers(Spool(store.folder), current.peers.values())
    log_stopped(current.settings, database)


def _parts(
    config: Path,
    current: Current,
    store: ObjectStore,
    database: Database,
    holder: str,
    horizon: Callable[[], datetime],
    looks: Callable[[str], Sequence[Callable[[], None]]],
) -> dict[str, Part]:
    """What the settings in force want."""
    return {
        **_workers(config, current, database, holder, lambda: _tell(looks("deliver"))),
        **_couriers(current.settings, store, database, holder),
        **_confirmations(current.settings, database),
        **_commitment_desks(current.settings, store, database, horizon),
        **_page(config, current.settings),
    }


def _tell(looks: Sequence[Callable[[], None]]) -> None:
    for look in looks:
        look()


def _workers(
    config: Path, current: Current, database: Database, holder: str, deliver: Callable[[], None]
) -> dict[str, Part]:
    """One for each device, each under names of its own."""
    settings = current.settings
    node, count = settings.node, workers_wanted(settings.node.classify)
    rules = (node.classify, node.worklist, node.log, dict(settings.pipelines), count)

    def give_back(worker: str) -> None:
        with database.transaction() as tx:
            queue.release(tx, worker, now=datetime.now(UTC))

    def process(place: Place) -> Part:
        worker = ChildProcess(
            lambda name, careful: worker_command(config, name, place, careful=careful),
            lambda: f"{holder}/{uuid4().hex[:8]}",
            partial(_take_back, current, database),
            give_back,
            told=deliver,
            silent_s=node.classify.stuck_after_s + _SLOWEST_START_S,
            hand_over=hand_over(settings),
        )
        return Part(run=worker.run, rules=rules, look=worker.look, kill=worker.kill)

    return {f"worker {n}": process(Place(number=n, of=count)) for n in range(count)}


def _page(config: Path, settings: Settings) -> dict[str, Part]:
    """The page's process, where the page is on."""
    rules = settings.node.web
    if not rules.on:
        return {}
    page = ChildProcess(
        lambda name, again: page_command(config), lambda: "page", hand_over=hand_over(settings)
    )
    return {"page": Part(run=page.run, rules=(rules, settings.node.log), kill=page.kill)}


def _take_back(current: Current, database: Database, worker: str) -> None:
    """Give what a lost worker held to others; a node's name stands for all its workers."""
    with database.transaction() as tx:
        attempts = current.node.worklist.attempts
        queue.expire(tx, attempts=attempts, now=datetime.now(UTC), worker=worker)


def _couriers(
    settings: Settings, store: ObjectStore, database: Database, holder: str
) -> dict[str, Part]:
    """One for each peer, named by a pipeline or not: it may be owed something since before."""
    ours, rules = settings.node.receive.ae_title, settings.node.deliver

    def deliver(files: Sequence[Path], peer: Peer, tell: Callable[[Path, Outcome], None]) -> None:
        send(files, peer, ours, on_outcome=tell, in_order=True)

    def part(peer: Peer) -> Part:
        courier = Courier(peer, store, database, deliver, rules, holder=holder)
        return Part(run=courier.run, rules=(peer, rules), look=courier.look)

    return {f"deliver {name}": part(peer) for name, peer in settings.peers.items()}


def _confirmations(settings: Settings, database: Database) -> dict[str, Part]:
    """One for each peer that is asked to confirm what it was sent."""
    ours, rules = settings.node.receive.ae_title, settings.node.deliver
    spool = Spool(settings.node.storage.folder)

    def ask(peer: Peer, request: CommitmentRequest) -> None:
        wait_s = min(_LONGEST_REPORT_WAIT_S, peer.timeout_s)
        commitment.ask(peer, ours, request, on_report=partial(take, spool), wait_s=wait_s)

    return {
        f"confirm {name}": Part(
            run=Confirmations(peer, database, ask, rules).run, rules=(peer, rules)
        )
        for name, peer in settings.peers.items()
        if peer.storage_commitment
    }


def _commitment_desks(
    settings: Settings, store: ObjectStore, database: Database, horizon: Callable[[], datetime]
) -> dict[str, Part]:
    """One for each AE title that a peer has."""
    ours, rules = settings.node.receive.ae_title, settings.node.deliver
    spool, promises = Spool(settings.node.storage.folder), Promises(store, database)
    by_title: dict[str, list[Peer]] = defaultdict(list)
    for peer in settings.peers.values():
        by_title[peer.ae_title].append(peer)

    def report(peer: Peer, answer: CommitmentReport) -> None:
        commitment.report(peer, ours, answer)

    def part(peers: list[Peer]) -> Part:
        desk = CommitmentDesk(peers, spool, database, promises.report_on, report, horizon, rules)
        return Part(run=desk.run, rules=(peers, rules))

    return {f"commitment {title}": part(peers) for title, peers in by_title.items()}


def _echo(ours: str) -> Callable[[Peer], str]:
    """A peer's trouble in words; empty when it hears us."""

    def ask(peer: Peer) -> str:
        answer = network.echo(peer, ours)
        return "" if answer.ok else answer.message

    return ask

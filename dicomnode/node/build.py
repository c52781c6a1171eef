"""The one place where the node's parts are chosen and joined."""

import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from dicomnode.config.load import Settings
from dicomnode.deliver import commitment
from dicomnode.deliver.sender import send
from dicomnode.dicom import network
from dicomnode.dicom.commitment import CommitmentReport, CommitmentRequest
from dicomnode.node.arrivals import Arrivals
from dicomnode.node.commitment import CommitmentDesk, name_strangers
from dicomnode.node.completeness import CompletenessCheck
from dicomnode.node.confirmation import Confirmations
from dicomnode.node.counts import StudyCounts
from dicomnode.node.courier import Courier
from dicomnode.node.process import WorkerProcess, worker_command
from dicomnode.node.promises import Promises
from dicomnode.node.receivers import Receivers
from dicomnode.node.registrar import Registrar
from dicomnode.node.service import Service
from dicomnode.node.stopped import log_stopped
from dicomnode.node.timers import Timers
from dicomnode.receive.commitment import take
from dicomnode.receive.desk import FrontDesk
from dicomnode.records import Outcome, Peer
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.spool import Spool
from dicomnode.worklist import queue
from dicomnode.worklist.schema import upgrade

__all__ = ["build_service", "open_store", "open_worklist"]

_LONGEST_REPORT_WAIT_S = 5.0  #: on the association that asks; a report may come later by itself

_Loop = Callable[[threading.Event], None]


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
    """The whole node. `config` is the folder that `settings` came from; the worker reads it too."""
    ours = settings.node.receive.ae_title
    holder = f"{ours}@{socket.gethostname()}"
    store, database = open_store(settings), open_worklist(settings)
    registrar = Registrar(store, database, settings.pipelines)
    arrivals = Arrivals(registrar.wake, registrar.note_conflict)
    counts = StudyCounts(
        settings.peers,
        lambda peer, uid: network.count_instances(peer, ours, uid),
        database,
        registrar.wake,
    )
    completeness = CompletenessCheck(
        database, settings.pipelines, arrivals, counts, registrar.horizon
    )
    receive, low_water = settings.node.receive, settings.node.storage.low_water_mark_bytes
    desk = FrontDesk(receive, settings.peers, arrivals, lambda: store.has_room(low_water))

    def take_back(worker: str) -> None:
        with database.transaction() as tx:
            attempts = settings.node.worklist.attempts
            queue.expire(tx, attempts=attempts, now=datetime.now(UTC), worker=worker)

    def give_back(worker: str) -> None:
        with database.transaction() as tx:
            queue.release(tx, worker, now=datetime.now(UTC))

    def open_up() -> None:
        upgrade(database)
        take_back(holder)  # what the workers of an earlier life held
        name_strangers(Spool(store.folder), settings.peers.values())
        log_stopped(settings, database)

    return Service(
        store,
        Receivers(settings.node, desk, ended=store.drop_partial),
        database,
        open_up,
        registrar,
        completeness,
        Timers(settings.node, settings.peers, database, store, _echo(ours)),
        _couriers(settings, store, database, holder)
        | _confirmations(settings, database)
        | _commitment_desks(settings, store, database, registrar.horizon),
        WorkerProcess(
            lambda name: worker_command(config, name),
            lambda: f"{holder}/{uuid4().hex[:8]}",
            take_back,
            give_back,
        ),
    )


def _couriers(
    settings: Settings, store: ObjectStore, database: Database, holder: str
) -> dict[str, _Loop]:
    """One for each peer, named by a pipeline or not: it may be owed something since before."""
    ours = settings.node.receive.ae_title

    def deliver(files: Sequence[Path], peer: Peer, tell: Callable[[Path, Outcome], None]) -> None:
        send(files, peer, ours, on_outcome=tell, in_order=True)

    return {
        f"deliver {name}": Courier(
            peer, store, database, deliver, settings.node.deliver, holder=holder
        ).run
        for name, peer in settings.peers.items()
    }


def _confirmations(settings: Settings, database: Database) -> dict[str, _Loop]:
    """One for each peer that is asked to confirm what it was sent."""
    ours, spool = settings.node.receive.ae_title, Spool(settings.node.storage.folder)

    def ask(peer: Peer, request: CommitmentRequest) -> None:
        wait_s = min(_LONGEST_REPORT_WAIT_S, peer.timeout_s)
        commitment.ask(peer, ours, request, on_report=partial(take, spool), wait_s=wait_s)

    return {
        f"confirm {name}": Confirmations(peer, database, ask, settings.node.deliver).run
        for name, peer in settings.peers.items()
        if peer.storage_commitment
    }


def _commitment_desks(
    settings: Settings, store: ObjectStore, database: Database, horizon: Callable[[], datetime]
) -> dict[str, _Loop]:
    """One for each AE title that a peer has."""
    ours, spool = settings.node.receive.ae_title, Spool(settings.node.storage.folder)
    by_title: dict[str, list[Peer]] = defaultdict(list)
    for peer in settings.peers.values():
        by_title[peer.ae_title].append(peer)

    def report(peer: Peer, answer: CommitmentReport) -> None:
        commitment.report(peer, ours, answer)

    return {
        f"commitment {title}": CommitmentDesk(
            peers,
            spool,
            database,
            Promises(store, database).report_on,
            report,
            horizon,
            settings.node.deliver,
        ).run
        for title, peers in by_title.items()
    }


def _echo(ours: str) -> Callable[[Peer], str]:
    """A peer's trouble in words; empty when it hears us."""

    def ask(peer: Peer) -> str:
        answer = network.echo(peer, ours)
        return "" if answer.ok else answer.message

    return ask

"""A receiver of our own on a free port, with a folder behind it and a listener beside it."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dicomnode.config.settings import NodeSettings, ReceiveSettings
from dicomnode.receive.desk import FrontDesk, Listener
from dicomnode.receive.intake import Intake
from dicomnode.receive.server import StoreServer, listen
from dicomnode.records import Peer, Visit
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.spool import Spool
from tests.factories import make_peer
from tests.fakes import RememberingListener
from tests.node import in_force

__all__ = ["Receiver", "ReceiverHere", "running"]

PEERS = {"modality": make_peer(), "deaf": make_peer(name="deaf", ae_title="DEAF", may_send=False)}


class ReceiverHere:
    """A receiver and its desk in this process; else as `node.receivers.Receivers`."""

    def __init__(
        self,
        settings: ReceiveSettings,
        peers: Mapping[str, Peer],
        store: ObjectStore,
        listener: Listener,
    ) -> None:
        self.has_room = True
        #: what the desk was told came of the last connections
        self.visits: deque[Visit] = deque(maxlen=100)
        self._settings = settings
        self._desk = FrontDesk(
            in_force(node=NodeSettings(receive=settings), peers=peers),
            listener,
            lambda: self.has_room,
            self.visits.append,
        )
        intake = Intake(
            store, conflict=settings.conflict, max_object_bytes=settings.max_object_bytes
        )
        self._server = StoreServer(settings, self._desk, intake, Spool(store.folder))

    @property
    def port(self) -> int:
        return self._server.port

    def start(self) -> None:
        """Listen and receive."""
        self._server.start(listen(self._settings))

    def stop(self, drain_s: float) -> None:
        """Let in nobody any more, and end what is open."""
        self._desk.close()
        self._server.stop(drain_s)


class Receiver:
    """A receiver of our own and what is behind it."""

    def __init__(self, folder: Path, **changes: object) -> None:
        settings = ReceiveSettings().model_copy(update={"port": 0, "idle_timeout_s": 5.0} | changes)
        self.store = ObjectStore(folder)
        self.store.prepare()
        self.spool = Spool(folder)
        self.listener = RememberingListener()
        self.server = ReceiverHere(settings, PEERS, self.store, self.listener)

    def kept(self) -> dict[str, bytes]:
        """Name and dataset of everything in the inbox."""
        found = {}
        for path in self.store.waiting(1000):
            data = path.read_bytes()
            found[path.stem] = data[144 + int.from_bytes(data[140:144], "little") :]
        return found


@contextmanager
def running(folder: Path, **changes: object) -> Iterator[Receiver]:
    node = Receiver(folder, **changes)
    node.server.start()
    try:
        yield node
    finally:
        node.server.stop(0)

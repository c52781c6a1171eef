"""A receiver of our own on a free port, with a folder behind it and a listener beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicomnode.config.settings import ReceiveSettings
from dicomnode.receive.desk import FrontDesk
from dicomnode.receive.intake import Intake
from dicomnode.receive.server import StoreServer, listen
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.spool import Spool
from tests.factories import make_peer
from tests.fakes import RememberingListener

__all__ = ["Receiver", "running"]

PEERS = {"modality": make_peer(), "deaf": make_peer(name="deaf", ae_title="DEAF", may_send=False)}


class Receiver:
    """A running receiver and what is behind it."""

    def __init__(self, folder: Path, **changes: object) -> None:
        values = {"port": 0, "idle_timeout_s": 5.0} | changes
        settings = ReceiveSettings().model_copy(update=values)
        self.store = ObjectStore(folder)
        self.store.prepare()
        self.listener = RememberingListener()
        intake = Intake(
            self.store, conflict=settings.conflict, max_object_bytes=settings.max_object_bytes
        )
        self.settings = settings
        self.desk = FrontDesk(settings, PEERS, self.listener, lambda: self.has_room)
        self.has_room = True
        self.spool = Spool(folder)
        self.server = StoreServer(settings, self.desk, intake, self.spool)

    def start(self) -> None:
        """Listen and receive."""
        self.server.start(listen(self.settings))

    def stop(self, drain_s: float) -> None:
        """Let in nobody any more, and end what is open."""
        self.desk.close()
        self.server.stop(drain_s)

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
    node.start()
    try:
        yield node
    finally:
        node.stop(0)

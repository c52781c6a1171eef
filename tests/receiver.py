"""A receiver of our own on a free port, with a folder behind it and a listener beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicomnode.config.settings import ReceiveSettings
from dicomnode.receive.intake import Intake
from dicomnode.receive.server import StoreServer
from dicomnode.storage.objects import ObjectStore
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
        self.server = StoreServer(settings, PEERS, intake, self.listener)

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

"""An archive AE that stands in for a PACS in the demonstration: it keeps what it is sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicomnode.config.current import Current
from dicomnode.config.load import Settings
from dicomnode.config.settings import NodeSettings, ReceiveSettings
from dicomnode.receive.desk import FrontDesk
from dicomnode.receive.intake import Intake
from dicomnode.receive.server import StoreServer, listen
from dicomnode.records import Association, Peer
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.spool import Spool

__all__ = ["Archive", "archive"]


class Archive:
    """Keeps every object in its study; listens to its own receiver."""

    def __init__(self, folder: Path) -> None:
        self.store = ObjectStore(folder)

    def kept(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """Move a new object to its study."""
        for path in self.store.waiting(100):
            if path.stem == sop_instance_uid:
                self.store.settle(path, study_uid)

    def conflict(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """The sender was told; the first bytes stay."""

    def turned_away(self, association: Association) -> None:
        """The sender was told; it may send again."""

    def ended(self, association: Association) -> None:
        """Nothing waits for the end of an association here."""

    def path_of(self, study_uid: str, sop_instance_uid: str) -> Path:
        """Where an object lies."""
        return self.store.path_of(study_uid, sop_instance_uid)


@contextmanager
def archive(folder: Path, ae_title: str, sender: Peer) -> Iterator[tuple[Archive, int]]:
    """An archive that listens on loopback while the block runs; gives it and its port.

    Raises:
        StoreError: the folder cannot be written.
    """
    kept = Archive(folder)
    kept.store.prepare()
    settings = ReceiveSettings(ae_title=ae_title, port=0)
    intake = Intake(kept.store, conflict="refuse", max_object_bytes=settings.max_object_bytes)
    node = NodeSettings(receive=settings)
    current = Current(Settings(node=node, peers={sender.name: sender}, pipelines={}))
    desk = FrontDesk(current, kept)
    server = StoreServer(settings, desk, intake, Spool(folder))
    server.start(listen(settings))
    try:
        yield kept, server.port
    finally:
        server.stop(5.0)

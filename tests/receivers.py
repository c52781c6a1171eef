"""Receivers in processes of their own, as the node starts them, and nothing else of a node."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicomnode.config.current import Current
from dicomnode.config.load import load
from dicomnode.deliver.sender import send
from dicomnode.node.receivers import Receivers
from dicomnode.receive.desk import FrontDesk
from dicomnode.records import Verdict
from dicomnode.storage.objects import ObjectStore
from tests.factories import make_dataset, make_peer, write_part10
from tests.fakes import RememberingListener
from tests.pacs import free_port
from tests.wire import Wire

__all__ = ["ACCEPTED", "RunningReceivers", "receivers"]

ACCEPTED = 2

_NODE = """
[receive]
port = {port}
processes = {processes}
{extra}
[web]
on = false

[storage]
folder = "{folder}"
min_free_bytes = 0
"""
_PEER = 'ae_title = "MODALITY"\nhost = "127.0.0.1"\nport = 104\nmay_send = true\n'


class RunningReceivers:
    """Receivers on a configuration of their own, and what they tell."""

    def __init__(self, folder: Path, processes: int, extra: str) -> None:
        config = folder / "config"
        (config / "peers").mkdir(parents=True)
        node = _NODE.format(
            port=free_port(), processes=processes, folder=folder / "node", extra=extra
        )
        (config / "node.toml").write_text(node)
        (config / "peers" / "modality.toml").write_text(_PEER)
        settings = self.settings = load(config)
        self.folder = folder
        self.store = ObjectStore(settings.node.storage.folder)
        self.store.prepare()
        self.listener = RememberingListener()
        self.receivers = Receivers(
            settings.node,
            FrontDesk(Current(settings), self.listener),
        )

    def send(self, *numbers: int) -> list[Verdict]:
        files = [write_part10(make_dataset(n), self.folder / f"{n}.dcm") for n in numbers]
        peer = make_peer(name="node", ae_title="DICOMNODE", port=self.receivers.port)
        return [outcome.verdict for outcome in send(files, peer, "MODALITY")]

    def associate(self) -> Wire:
        wire = Wire(self.receivers.port)
        assert wire.associate(CTImageStorage, ImplicitVRLittleEndian) == ACCEPTED
        return wire


@contextmanager
def receivers(folder: Path, processes: int = 1, *, extra: str = "") -> Iterator[RunningReceivers]:
    """Receivers that run while the block does; `extra` are lines of `[receive]`."""
    found = RunningReceivers(folder, processes, extra)
    found.receivers.start()
    try:
        yield found
    finally:
        found.receivers.stop(0.0)

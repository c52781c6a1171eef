"""The other end: a small PACS in this process, and peers that misbehave on the wire."""

import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socketserver import BaseServer
from typing import Any

from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import ThreadedAssociationServer

from dicomnode.records import Peer
from tests.factories import make_peer

__all__ = ["FakePacs", "free_port", "listening", "pacs"]

VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_STORAGE = [
    BasicTextSRStorage,
    CTImageStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    DigitalXRayImageStorageForPresentation,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
]


@dataclass
class FakePacs:
    """Keeps the bytes it was sent and answers what it is told to answer."""

    peer: Peer
    statuses: list[int] = field(default_factory=list)  #: of the next C-STOREs; then 0x0000
    stored: dict[str, bytes] = field(default_factory=dict)  #: dataset by SOP Instance UID
    order: list[str] = field(default_factory=list)
    associations: int = 0
    matches: list[Dataset] = field(default_factory=list)  #: what C-FIND answers
    find_status: int = 0x0000
    before_answer: Callable[[evt.Event], object] = lambda event: None

    def on_store(self, event: evt.Event) -> int:
        assert isinstance(event.request, C_STORE)
        uid = str(event.request.AffectedSOPInstanceUID)
        self.before_answer(event)
        self.order.append(uid)
        status = self.statuses.pop(0) if self.statuses else 0x0000
        if status == 0x0000 or status >> 12 == 0xB:
            self.stored[uid] = event.encoded_dataset(include_meta=False)
        return status

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.before_answer(event)
        for match in self.matches:
            yield 0xFF00, match
        yield self.find_status, None

    def on_echo(self, event: evt.Event) -> int:
        self.before_answer(event)
        return 0x0000

    def on_accepted(self, event: evt.Event) -> None:
        self.associations += 1


class _Server(ThreadedAssociationServer):
    """Closes every connection in the end; pynetdicom leaves some whose caller hung up first."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._accepted: list[socket.socket] = []
        super().__init__(*arguments, **options)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._accepted.append(connection)
        return connection, address

    def server_close(self) -> None:
        super().server_close()
        for connection in self._accepted:
            connection.close()


@contextmanager
def pacs(
    *,
    ae_title: str = "PACS",
    calling: str = "DICOMNODE",
    sop_classes: list[str] | None = None,
    transfer_syntaxes: list[str] | None = None,
    port: int = 0,
    contexts: Sequence[PresentationContext] = (),
    handlers: Sequence[EventHandlerType] = (),
) -> Iterator[FakePacs]:
    """A PACS on a free port, or this one, that requires to be called by its title, by `calling`.

    `contexts` and `handlers` add services to those of every PACS.
    """
    ae = AE(ae_title)
    ae.require_called_aet = True
    ae.require_calling_aet = [calling]
    everything = [*_STORAGE, VERIFICATION, STUDY_ROOT_FIND]
    ae.supported_contexts = [
        build_context(uid, transfer_syntaxes or ALL_TRANSFER_SYNTAXES)
        for uid in sop_classes or everything
    ]
    ae.supported_contexts = [*ae.supported_contexts, *contexts]
    fake = FakePacs(peer=make_peer())
    server = ae.make_server(
        ("127.0.0.1", port),
        server_class=_Server,
        evt_handlers=[
            (evt.EVT_C_STORE, fake.on_store),
            (evt.EVT_C_FIND, fake.on_find),
            (evt.EVT_C_ECHO, fake.on_echo),
            (evt.EVT_ACCEPTED, fake.on_accepted),
            *handlers,
        ],
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    port = server.server_address[1]
    fake.peer = make_peer(name="pacs", ae_title=ae_title, port=port, timeout_s=30.0)
    try:
        yield fake
    finally:
        BaseServer.shutdown(server)  # pynetdicom's own expects to have started the thread
        server.server_close()
        thread.join()


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose one connection is handed to `talk`; closed when the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections: list[socket.socket] = []

        def serve() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connections.append(connection)
            talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in connections:
                connection.close()
            thread.join(5)
            for connection in connections:  # one that was accepted at the last moment
                connection.close()


def free_port() -> int:
    """A port on which nothing listens, below those that the system gives away meanwhile."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port

"""The SCP: listens, makes an association of every connection, starts and stops."""

import logging
import socket
import threading
from collections.abc import Mapping
from socketserver import TCPServer
from typing import Any

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association as DicomAssociation
from pynetdicom.transport import AssociationServer, RequestHandler

from dicomnode.config.settings import ReceiveSettings
from dicomnode.dicom.network import Connection
from dicomnode.dicom.sop_classes import VERIFICATION
from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.receive.association import StoreAssociation
from dicomnode.receive.desk import Desk, Listener
from dicomnode.receive.intake import Intake
from dicomnode.records import Peer

__all__ = ["StoreServer"]

log = logging.getLogger(__name__)

_BACKLOG = 128  #: connections the kernel holds until we take them
_STRANGERS = 100  #: connections beyond `max_associations` that have not said who they are
_LONGEST_GREETING_S = 30.0  #: from the connection to the A-ASSOCIATE-RQ (ARTIM, PS3.8 9.1.5)
_LONGEST_ABORT_S = 5.0
_POLL_S = 0.1  #: how soon `stop` is noticed
_LEAST_PDU_BYTES = 256 * 1024  #: an A-ASSOCIATE-RQ may be longer than the P-DATA we ask for


class StoreServer:
    """Takes images from peers, from `start` to `stop`."""

    def __init__(
        self,
        settings: ReceiveSettings,
        peers: Mapping[str, Peer],
        intake: Intake,
        listener: Listener,
    ) -> None:
        self._settings = settings
        self._desk = Desk(settings, peers, intake, listener)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The TCP port that is listened on; also when 0 was asked for."""
        if self._server is None:
            return self._settings.port
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen, and return; OSError where the address or port cannot be had."""
        ae = ApplicationEntity(self._settings.ae_title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_pdu_size = self._settings.max_pdu_bytes
        ae.network_timeout = self._settings.idle_timeout_s
        ae.acse_timeout = min(self._settings.idle_timeout_s, _LONGEST_GREETING_S)
        ae.maximum_associations = self._settings.max_associations + _STRANGERS + 1  # Desk counts
        ae.add_supported_context(VERIFICATION)
        self._server = _Server(ae, self._settings, self._desk)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="listen"
        )
        self._thread.start()
        log.info("receive.started", extra={"aet": self._settings.ae_title, "port": self.port})

    def stop(self, drain_s: float) -> None:
        """Take no new association, let open ones end for `drain_s` seconds, then abort them."""
        if self._server is None or self._thread is None:
            return
        self._desk.close()
        self._server.shutdown()
        self._thread.join()
        late = self._desk.wait_empty(drain_s)
        for association in late:
            association.abort()
        self._desk.wait_empty(_LONGEST_ABORT_S)
        self._server.drop_connections()
        log.info("receive.stopped", extra={"count": len(late)})


class _Server(AssociationServer):
    """pynetdicom's server with a longer queue, a limit on strangers, and our associations."""

    request_queue_size = _BACKLOG

    def __init__(self, ae: ApplicationEntity, settings: ReceiveSettings, desk: Desk) -> None:
        self.settings = settings
        self.desk = desk
        self._connections: list[StoreAssociation] = []
        super().__init__(
            ae,
            (settings.address, settings.port),
            settings.ae_title,
            ae.supported_contexts,
            request_handler=_Handler,
        )

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Drop a connection when there are far more than may become associations."""
        self._connections = [each for each in self._connections if each.is_alive()]
        if len(self._connections) < self.settings.max_associations + _STRANGERS:
            return True
        log.warning("connection.dropped", extra={"address": client_address[0]})
        return False

    def remember(self, association: StoreAssociation) -> None:
        """Count a connection from now on, until its thread ends."""
        self._connections.append(association)

    def drop_connections(self) -> None:
        """Close what is left: strangers, and associations that an abort did not end."""
        for association in self._connections:
            association.drop()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that could not even begin; the listener goes on."""
        log.error(
            "connection.failed",
            exc_info=True,  # noqa: LOG014  # socketserver calls this while handling it
            extra={"address": client_address[0]},
        )

    def service_actions(self) -> None:
        """pynetdicom collects garbage here, every minute; Python does so by itself."""

    def shutdown(self) -> None:
        """Stop listening; associations go on."""
        TCPServer.shutdown(self)
        self.server_close()


class _Socket(Connection):
    """Reads in large pieces, and never a PDU longer than anybody needs."""

    longest_pdu_bytes = 0

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly so many bytes, or fewer where the connection ends."""
        if nr_bytes > self.longest_pdu_bytes or self.socket is None:
            raise OSError("a PDU is longer than any this node asked for")
        data = bytearray(nr_bytes)
        view = memoryview(data)
        filled = 0
        while filled < nr_bytes and (count := self.socket.recv_into(view[filled:])):
            filled += count
        return data[:filled]


class _Handler(RequestHandler):
    """Makes a StoreAssociation of a connection."""

    server: _Server

    def _create_association(self) -> DicomAssociation:
        server, settings = self.server, self.server.settings
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(settings.idle_timeout_s)
        assoc = StoreAssociation(self.ae, server.desk)
        assoc._server = server
        wire = _Socket(assoc, client_socket=self.request)
        wire.longest_pdu_bytes = max(2 * settings.max_pdu_bytes, _LEAST_PDU_BYTES)
        assoc.set_socket(wire)
        assoc.acceptor.maximum_length = settings.max_pdu_bytes
        assoc.acceptor.ae_title = settings.ae_title
        assoc.acceptor.address_info = self.local
        assoc.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        assoc.acceptor.implementation_version_name = self.ae.implementation_version_name
        assoc.requestor.address_info = self.remote
        server.remember(assoc)
        return assoc

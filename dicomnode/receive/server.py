"""The SCP: makes an association of every connection to a listening socket, from start to stop.

Several servers, each in a process of its own, may share one listening socket.
"""

import errno
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace

from dicomnode.config.settings import ReceiveSettings
from dicomnode.errors import ConfigError, Mistake
from dicomnode.receive.association import House, StoreAssociation
from dicomnode.receive.desk import Desk
from dicomnode.receive.intake import Intake
from dicomnode.receive.services import Services
from dicomnode.receive.wire import Wire
from dicomnode.storage.spool import Spool

__all__ = ["StoreServer", "listen", "tls_context"]

log = logging.getLogger(__name__)

_BACKLOG = 1024  #: connections the kernel holds until we take them
_MOST_STRANGERS = 128  #: connections that have not said who they are, in one process
_LONGEST_ABORT_S = 5.0
_PARTING_S = 2.0  #: for threads to close what was hung up
_SAY_EVERY_S = 10.0  #: that callers must go, or cannot come
_BROKEN_WAIT_S = 0.1  #: after the system had no connection to give, such as for want of handles


def listen(settings: ReceiveSettings) -> socket.socket:
    """Listen where the settings say; OSError where the address or port cannot be had."""
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    return socket.create_server((settings.address, settings.port), family=family, backlog=_BACKLOG)


def tls_context(settings: ReceiveSettings) -> ssl.SSLContext | None:
    """TLS as the settings say (BCP 195 profile, PS3.15 B.9); None where they name no certificate.

    Raises:
        ConfigError: a file cannot be read, or is not what it should be.
    """
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file, key = settings.tls_certificate, "receive.tls_certificate"
    try:
        certificate = file.read_bytes()
        if settings.tls_key is not None:
            file, key = settings.tls_key, "receive.tls_key"
            file.read_bytes()
        elif b"PRIVATE KEY" not in certificate:
            raise ssl.SSLError("there is no private key in it; name its file in tls_key")
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        if settings.tls_client_ca is not None:
            file, key = settings.tls_client_ca, "receive.tls_client_ca"
            context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        why = f"TLS cannot be set up with it: {error.strerror or error}"
        raise ConfigError(Mistake(file=file, key=key, problem=why)) from error
    return context


class StoreServer:
    """Takes images from `start` to `stop`; one thread a connection, and one that accepts them."""

    def __init__(self, settings: ReceiveSettings, desk: Desk, intake: Intake, spool: Spool) -> None:
        self._settings = settings
        self._spool = spool
        self._house = House(
            settings=settings,
            desk=desk,
            serve=lambda record: Services(record, desk, intake, spool),
            tls=tls_context(settings),
            entered=self._entered,
            left=self._left,
        )
        self._listening: socket.socket | None = None
        self._port = settings.port
        self._stopping = False
        self._dropped = 0  #: connections that had to go
        self._quiet_until = 0.0  #: nothing is said again before
        self._changed = threading.Condition()
        #: connections in the order in which they came, until they are let in
        self._strangers: dict[StoreAssociation, None] = {}
        self._inside: set[StoreAssociation] = set()

    @property
    def port(self) -> int:
        """The TCP port that is listened on; the configured one before the start."""
        return self._port

    def renew(self, settings: ReceiveSettings, intake: Intake) -> None:
        """Go by these with the connections that come from now on; those that are open go on.

        Where is listened, and TLS, stay as they are.
        """
        desk, spool = self._house.desk, self._spool
        self._settings = settings
        self._house = replace(
            self._house,
            settings=settings,
            serve=lambda record: Services(record, desk, intake, spool),
        )

    def start(self, listening: socket.socket) -> None:
        """Accept connections in a thread of their own."""
        self._listening = listening
        self._port = int(listening.getsockname()[1])
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def stop(self, drain_s: float) -> int:
        """Take no new connection, let associations end for `drain_s` seconds, then abort them.

        Return how many were aborted. The listening socket is shut down, for all who share it.
        """
        self._stopping = True
        if self._listening is not None:
            with suppress(OSError):  # not connected: said on some systems, of all that listen
                self._listening.shutdown(socket.SHUT_RDWR)
        for stranger in self._all(self._strangers):
            stranger.hang_up()
        self._wait_empty(drain_s)
        late = self._all(self._inside)
        for association in late:
            association.drop("this node is stopping")
        self._wait_empty(_LONGEST_ABORT_S)
        for association in [*self._all(self._inside), *self._all(self._strangers)]:
            association.hang_up()
        with self._changed:
            self._changed.wait_for(lambda: not (self._inside or self._strangers), _PARTING_S)
        if self._listening is not None:
            self._listening.close()
        return len(late)

    def _accept(self) -> None:
        """Waiting in `accept` itself, processes that share a socket get connections in turn."""
        assert self._listening is not None  # noqa: S101  # set by `start`
        while not self._stopping:
            try:
                connection, address = self._listening.accept()
            except OSError as error:
                if self._stopping or error.errno == errno.EINVAL:  # somebody shut it down
                    return
                self._complain(error)
                continue
            try:
                self._greet(connection, str(address[0]))
            except Exception:  # such as no memory for one more thread; the next one may have it
                log.exception("connection.failed", extra={"address": address[0]})
                connection.close()

    def _greet(self, connection: socket.socket, address: str) -> None:
        """Give a connection a thread; of too many strangers the longest here must go."""
        wire = Wire(
            connection,
            patience_s=self._settings.idle_timeout_s,
            max_pdu_bytes=self._settings.max_pdu_bytes,
        )
        association = StoreAssociation(wire, address, self._house)
        with self._changed:
            self._strangers[association] = None
            surplus = self._surplus() if len(self._strangers) > _MOST_STRANGERS else None
        if surplus is not None:
            self._drop(surplus)
        try:
            threading.Thread(target=association.run, name="receive", daemon=True).start()
        except RuntimeError:
            self._left(association)
            raise

    def _complain(self, error: OSError) -> None:
        """The system has no connection to give, such as for want of handles: wait a little."""
        if self._quiet_until < time.monotonic():
            self._quiet_until = time.monotonic() + _SAY_EVERY_S
            log.error("receive.waiting", extra={"error": error.strerror})
        time.sleep(_BROKEN_WAIT_S)

    def _drop(self, surplus: StoreAssociation) -> None:
        surplus.hang_up()
        self._dropped += 1
        if self._quiet_until < time.monotonic():
            self._quiet_until = time.monotonic() + _SAY_EVERY_S
            fields = {"address": surplus.address, "count": self._dropped}
            words = "more callers wait than may without saying who they are"
            log.warning("connection.dropped", extra=fields | {"problem": words})

    def _surplus(self) -> StoreAssociation:
        """The first of those from the address that has most of them here."""
        [(busiest, _)] = Counter(each.address for each in self._strangers).most_common(1)
        first = next(each for each in self._strangers if each.address == busiest)
        del self._strangers[first]
        return first

    def _entered(self, association: StoreAssociation) -> None:
        with self._changed:
            self._strangers.pop(association, None)
            self._inside.add(association)

    def _left(self, association: StoreAssociation) -> None:
        with self._changed:
            self._strangers.pop(association, None)
            self._inside.discard(association)
            self._changed.notify_all()

    def _all(
        self, which: dict[StoreAssociation, None] | set[StoreAssociation]
    ) -> list[StoreAssociation]:
        with self._changed:
            return list(which)

    def _wait_empty(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._inside, timeout_s)

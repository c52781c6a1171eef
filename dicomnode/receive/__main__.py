"""A receiver as a process of its own: `python -m dicomnode.receive LISTENING LINE`.

Started by the node with two sockets by their handles: the one that listens, and the line to the
desk. The node's own settings come as JSON on standard input, as the files may have changed since,
and again on the line when others are in force. It imports what receiving needs and nothing else, so
it is small and starts quickly.
"""

import logging
import os
import signal
import socket
import sys
import threading
import warnings

from dicomnode.config.settings import NodeSettings
from dicomnode.log import configure
from dicomnode.receive.desk_line import DistantDesk
from dicomnode.receive.intake import Intake
from dicomnode.receive.server import StoreServer
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.spool import Spool

log = logging.getLogger("dicomnode.receive")


def run(settings: NodeSettings, listening: socket.socket, line: socket.socket) -> None:
    """Receive until the desk says stop; end at once where the desk is gone."""
    told = threading.Event()
    drain_s: list[float] = []

    def stop(seconds: float | None) -> None:
        if seconds is None:
            os._exit(1)  # nobody hears any more what is received: not one more answer may leave
        drain_s.append(seconds)
        told.set()

    def renew(text: str) -> None:
        others = NodeSettings.model_validate_json(text)
        _configure_log(others)
        server.renew(others.receive, _intake(others))

    desk, spool = DistantDesk(line, stop, renew), Spool(settings.storage.folder)
    server = StoreServer(settings.receive, desk, _intake(settings), spool)
    server.start(listening)
    told.wait()
    if late := server.stop(drain_s[0]):
        log.warning("receive.aborted", extra={"count": late})


def _intake(settings: NodeSettings) -> Intake:
    receive, storage = settings.receive, settings.storage
    return Intake(
        ObjectStore(storage.folder, storage.min_free_bytes),
        conflict=receive.conflict,
        max_object_bytes=receive.max_object_bytes,
    )


def _configure_log(settings: NodeSettings) -> None:
    configure(level=settings.log.level, json_lines=settings.log.format == "json")


def main() -> None:
    """What the node starts."""
    listening, line = (int(handle) for handle in sys.argv[1:])
    settings = NodeSettings.model_validate_json(sys.stdin.read())
    _configure_log(settings)
    warnings.simplefilter("ignore")  # each bad UID of a caller would be a line, and be remembered
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the node decides when we stop
    run(settings, socket.socket(fileno=listening), socket.socket(fileno=line))


if __name__ == "__main__":
    main()

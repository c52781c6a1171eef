"""Serve the page: uvicorn, quiet, until told to stop."""

import logging
import socket
import threading

import uvicorn

from dicomnode.config.web import WebSettings
from dicomnode.web.app import build_app
from dicomnode.web.site import Site

__all__ = ["serve"]

log = logging.getLogger(__name__)


def serve(site: Site, settings: WebSettings, stop: threading.Event) -> None:
    """Serve until `stop`.

    Raises:
        OSError: the port cannot be listened on, or the certificate not be read.
    """
    config = uvicorn.Config(
        build_app(site),
        log_config=None,
        access_log=False,  # addresses hold what was searched for
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=2,
    )
    with _listening(settings) as listening:
        server = uvicorn.Server(config)
        ended = threading.Thread(target=_end, args=(server, stop), daemon=True)
        ended.start()
        address, port = listening.getsockname()[:2]
        log.info("web.started", extra={"address": address, "port": port})
        server.run(sockets=[listening])


def _listening(settings: WebSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    return socket.create_server((settings.address, settings.port), family=family)


def _end(server: uvicorn.Server, stop: threading.Event) -> None:
    stop.wait()
    server.should_exit = True

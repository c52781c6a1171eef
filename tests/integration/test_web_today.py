import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from dicomnode.config.web import WebSettings
from dicomnode.storage.database import Database
from dicomnode.web import live
from dicomnode.web.access import COOKIE
from dicomnode.web.monitoring.overview import Overviews
from dicomnode.web.serve import serve
from dicomnode.web.site import Site
from tests.running import until
from tests.web import client, make_site
from tests.worklist import waiting_job


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Site:
    site = make_site(tmp_path, Database(sqlite_url))
    return replace(site, overviews=Overviews(fresh_s=0.1))


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    """Where the page is served, as a node serves it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(site, WebSettings(port=port), stop))
    thread.start()
    yield f"http://127.0.0.1:{port}"
    stop.set()
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_a_change_comes_without_being_asked_and_the_stream_ends_with_the_browser(
    site: Site, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.2)
    known = client(site)
    cookies = {COOKIE: str(known.cookies.get(COOKIE))}

    def is_there() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", httpx.URL(address).port or 0)) == 0

    until(is_there)
    with httpx.Client(base_url=address, cookies=cookies, timeout=30) as browser:
        with browser.stream("GET", "/today/live") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            while '"models"' not in next(lines):
                pass
            assert len(site.streams) == 1
            with site.database.transaction() as tx:
                waiting_job(tx, now=site.now())
            while ">1</span> waiting for images" not in next(lines).replace('\\"', '"'):
                pass
        until(lambda: not len(site.streams))

"""The page as uvicorn serves it: who is believed about where a call comes from."""

import threading
import time
from pathlib import Path

import httpx
import pytest

from dicomnode.config.load import load
from dicomnode.logbook import audit
from dicomnode.people import accounts
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web.login import passwords
from dicomnode.web.serve import serve
from dicomnode.web.site import Site
from tests.pacs import free_port
from tests.web import make_site

KNOWN = "a good password"


def log_in_behind_a_proxy(site: Site, proxies: str) -> httpx.Response:
    """The answer to a login that came, as its headers say, over TLS from 10.1.2.3."""
    port, node = free_port(), site.config / "node.toml"
    text, web = node.read_text().replace("[web]", ""), f"port = {port}\nproxies = {proxies}\n"
    node.write_text(f"{text.replace('on = false', '')}\n[web]\n{web}")
    stop = threading.Event()
    running = threading.Thread(target=serve, args=(site, load(site.config).node.web, stop))
    running.start()
    sent = {"x-forwarded-for": "6.6.6.6, 10.1.2.3", "x-forwarded-proto": "https"}
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            httpx.get(f"{address}/login")
            break
        except httpx.ConnectError:
            time.sleep(0.05)
    try:
        data = {"name": "ada", "password": KNOWN}
        return httpx.post(f"{address}/login", data=data, headers=sent)
    finally:
        stop.set()
        running.join()


@pytest.mark.parametrize(
    ("proxies", "address", "secure"),
    [
        ("[]", "127.0.0.1", False),
        ('["10.0.0.0/8"]', "127.0.0.1", False),
        ('["127.0.0.1"]', "10.1.2.3", True),
        ('["127.0.0.0/8", "10.0.0.0/8"]', "6.6.6.6", True),
    ],
)
def test_only_a_proxy_that_is_named_is_believed(
    tmp_path: Path,
    sqlite_url: str,
    proxies: str,
    address: str,
    secure: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "dicomnode.web.serve")
    site = make_site(tmp_path, Database(sqlite_url))
    with site.database.transaction() as tx:
        accounts.add(tx, "ada", Role.VIEWER, passwords.hashed(KNOWN), now=site.now())

    answer = log_in_behind_a_proxy(site, proxies)

    assert answer.status_code == 303
    assert ("; Secure" in answer.headers["set-cookie"]) is secure
    assert ("strict-transport-security" in answer.headers) is secure
    assert "server" not in answer.headers
    (started,) = [vars(each) for each in caplog.records if each.msg == "web.started"]
    assert started["address"] == "127.0.0.1"
    with site.database.reading() as tx:
        ((_, entry),) = audit.listed(tx)
    assert (entry.user, entry.address) == ("ada", address)
    site.database.close()

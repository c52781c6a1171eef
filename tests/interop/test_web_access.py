"""Chromium logs in, lets somebody in, makes a key; and a page of another site gets nothing done."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.sync_api import Page, expect

from dicomnode.logbook import audit
from dicomnode.people import accounts
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web.app import build_app
from dicomnode.web.login import passwords
from dicomnode.web.site import Site
from tests.browser import chromium
from tests.openid import CLIENT, Provider, running
from tests.pacs import free_port
from tests.tools import require
from tests.web import make_site

KNOWN = "a good password"


@contextmanager
def served(site: Site) -> Iterator[str]:
    """The address of a page."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(build_app(site), port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    require("chromium")
    site = make_site(tmp_path, Database(sqlite_url))
    with site.database.transaction() as tx:
        hashed = passwords.hashed(KNOWN)
        accounts.add(tx, "ada", Role.ADMINISTRATOR, hashed, now=site.now())
    yield site
    site.database.close()


def log_in(page: Page, address: str, name: str = "ada", password: str = KNOWN) -> None:
    page.goto(address)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_an_administrator_lets_somebody_in_who_makes_a_key(site: Site) -> None:
    with served(site) as address, chromium() as page:
        page.on("dialog", lambda dialog: dialog.accept())
        log_in(page, f"{address}/people", password="wrong password")  # noqa: S106  # is wrong
        expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        log_in(page, f"{address}/people")
        expect(page).to_have_url(f"{address}/people")

        page.get_by_label("Name").fill("bob")
        page.get_by_label("Role").select_option("operator")
        page.get_by_label("Password").fill("another password")
        page.get_by_role("button", name="Let in").click()
        expect(page.get_by_role("status").first).to_have_text("May log in from now on.")
        page.get_by_role("button", name="Log out").first.click()

        log_in(page, f"{address}/me", "bob", "another password")
        expect(page.get_by_role("link", name="People")).to_have_count(0)
        page.get_by_label("What it is for").fill("a script")
        page.get_by_role("button", name="Make key").click()
        key = page.get_by_label("Key", exact=True).input_value()
        asked = {"authorization": f"Bearer {key}"}
        assert httpx.get(f"{address}/api/me", headers=asked).json()["name"] == "bob"
        page.get_by_role("button", name="Revoke the key for a script").click()
        expect(page.get_by_text("The key is revoked")).to_be_visible()
        assert httpx.get(f"{address}/api/me", headers=asked).status_code == 401


def test_who_is_refused_something_is_told_why_where_it_was_asked(site: Site) -> None:
    with served(site) as address, chromium() as page:
        page.on("dialog", lambda dialog: dialog.accept())
        log_in(page, f"{address}/people/ada")
        page.get_by_role("button", name="Disable").click()
        expect(page.get_by_role("alert")).to_contain_text("last administrator")


def test_a_page_of_another_site_gets_nothing_done(site: Site) -> None:
    """Another port of this machine is another origin of the same site: its cookies are sent."""
    other = make_site(site.config.parent / "other", site.database)
    with served(site) as address, served(other) as elsewhere, chromium() as page:
        log_in(page, f"{address}/people")
        expect(page).to_have_url(f"{address}/people")
        page.route(f"{elsewhere}/evil", lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method="post" action="{address}/people"><input name="name" value="eve">'
            '<input name="role" value="administrator"><input name="password" value="123456789012">'
            "</form><script>document.forms[0].submit()</script>",
        ))  # fmt: skip
        with page.expect_response(f"{address}/people") as answer:
            page.goto(f"{elsewhere}/evil")
        assert answer.value.status == 403
        page.goto(f"{address}/people")
        expect(page.get_by_role("link", name="ada", exact=True).first).to_be_visible()
        expect(page.get_by_role("link", name="eve")).to_have_count(0)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as made:
        made.claims = {"groups": ["radiology"], "preferred_username": "grace"}
        made.metadata = {"token_endpoint_auth_methods_supported": ["none"]}
        yield made


def test_chromium_logs_in_by_openid(site: Site, provider: Provider, tmp_path: Path) -> None:
    """The policy of the page does not stand in its way, and the cookie comes back from there."""
    with served(site) as address, chromium() as page:
        node = site.config / "node.toml"
        node.write_text(
            f"{node.read_text()}\n[web.openid]\nissuer = '{provider.issuer}'\n"
            f"client_id = '{CLIENT}'\npage = '{address}'\nviewers = ['radiology']\n"
        )
        problems: list[str] = []
        page.on("console", lambda said: problems.append(said.text))
        page.goto(f"{address}/me")
        page.get_by_role("link", name="Log in at").click()
        expect(page).to_have_url(f"{address}/me")
        expect(page.get_by_text("your password is changed there")).to_be_visible()
        assert problems == []
    with site.database.reading() as tx:
        assert [e.user for _, e in audit.listed(tx) if e.action == "login"] == ["grace"]

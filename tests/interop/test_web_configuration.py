"""Chromium changes the configuration: a peer is added, asked, saved; files that are broken by hand
are told without loading again; and one goes back."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Page, expect

from dicomnode.config.current import Followed
from dicomnode.config.load import digest_of, load, read
from dicomnode.logbook import standing
from dicomnode.logbook.standing import Node
from dicomnode.storage.database import Database
from dicomnode.web.access import COOKIE
from dicomnode.web.app import build_app
from dicomnode.web.site import Site
from tests.browser import chromium
from tests.interop.test_deliver_dcmtk import storescp
from tests.pacs import free_port
from tests.tools import require
from tests.web import client, make_site


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    require("chromium")
    made = make_site(tmp_path, Database(sqlite_url))
    site = Site(
        config=made.config,
        settings=Followed(made.config, load(made.config)),
        database=made.database,
        store=made.store,
    )
    yield site
    site.database.close()


@contextmanager
def administrator(site: Site) -> Iterator[Page]:
    """A browser that is logged in; its script errors fail the test."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(build_app(site), port=port, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        with chromium() as page:
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            key = client(site).cookies.get(COOKIE) or ""
            page.context.add_cookies(
                [{"name": COOKIE, "value": key, "url": f"http://127.0.0.1:{port}"}]
            )
            page.goto(f"http://127.0.0.1:{port}/configuration")
            yield page
            assert errors == []
    finally:
        server.should_exit = True
        thread.join()


def run_node(site: Site) -> None:
    """Say that a node runs with the files as they are."""
    node = Node(
        holder="us",
        version="1",
        port=1,
        started_at=site.now(),
        seen_at=site.now(),
        digest=digest_of(read(site.config)),
    )
    with site.database.transaction() as tx:
        standing.report(tx, node)


def test_a_peer_is_added_and_answers(site: Site, tmp_path: Path) -> None:
    require("dcmtk")
    with storescp(tmp_path / "got") as peer, administrator(site) as page:
        page.get_by_role("link", name="Add a peer").click()
        page.get_by_label("Name", exact=False).first.fill("archive")
        page.locator('[name="v.ae_title"]').fill("A TITLE THAT IS TOO LONG")
        wrong = page.locator('[id="w.ae_title"]')
        expect(wrong).to_have_text("an AE title has 1 to 16 characters")
        expect(page.locator('[name="v.ae_title"]')).to_have_attribute("aria-invalid", "true")
        page.locator('[name="v.ae_title"]').fill("STORESCP")
        expect(wrong).to_be_empty()
        page.locator('[name="v.host"]').fill("127.0.0.1")
        page.locator('[name="v.port"]').fill(str(peer.port))
        page.get_by_role("button", name="Test: C-ECHO").click()
        expect(page.get_by_text("It hears us")).to_be_visible()
        page.get_by_role("button", name="See what changes").click()
        page.get_by_label("Why, in a few words").fill("the archive")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("heading", name="Peer archive")).to_be_visible()
        assert load(site.config).peers["archive"].port == peer.port


def test_on_a_small_screen_what_saves_is_in_sight(site: Site) -> None:
    with administrator(site) as page:
        page.set_viewport_size({"width": 1366, "height": 680})
        page.goto(f"{page.url}/add/peers")
        page.get_by_label("Name", exact=False).first.fill("xray")
        page.locator('[name="v.ae_title"]').fill("XRAY1")
        page.locator('[name="v.host"]').fill("10.0.0.7")
        page.get_by_role("button", name="See what changes").click()
        expect(page.get_by_role("button", name="Save", exact=True)).to_be_in_viewport(ratio=1)


def test_what_is_typed_before_a_button_does_not_overtake_its_answer(site: Site) -> None:
    with administrator(site) as page:
        page.get_by_role("link", name="pacs").first.click()
        for port in ("105", "106", "107"):
            page.locator('[name="v.port"]').fill(port)
            page.get_by_role("button", name="See what changes").click()
            expect(page.locator("#look ins")).to_contain_text(f"+port = {port}")
            time.sleep(0.4)
            expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()


def test_a_file_broken_by_hand_is_told_live_and_one_goes_back(site: Site) -> None:
    with administrator(site) as page:
        page.goto(f"{page.url}/peers/pacs")
        page.locator('[name="v.port"]').fill("105")
        page.get_by_role("button", name="See what changes").click()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        run_node(site)
        expect(page.get_by_text("These files are in force.")).to_be_visible(timeout=10_000)
        peer = site.config / "peers" / "pacs.toml"
        peer.write_text(peer.read_text() + "prot = 1\n")
        expect(page.get_by_text("The files are wrong.")).to_be_visible(timeout=10_000)
        page.get_by_role("link", name="Configuration").first.click()
        expect(page.get_by_text("is not known; did you mean port?")).to_be_visible()
        page.get_by_role("link", name="History").click()
        page.get_by_role("link", name="1", exact=True).click()
        page.get_by_role("button", name="Roll back").click()
        expect(page.get_by_role("heading", name="Peer pacs")).to_be_visible()
        assert load(site.config).peers["pacs"].port == 4242


def test_with_a_keyboard_alone_and_on_a_phone(site: Site) -> None:
    with administrator(site) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        base = page.url
        places = ("", "/node", "/peers/pacs", "/pipelines/all", "/add/peers", "/history")
        for place in places:
            page.goto(f"{base}{place}")
            wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not page.evaluate(wide), place
        page.goto(f"{base}/peers/pacs")
        page.locator('[name="v.port"]').focus()
        page.keyboard.press("Control+A")
        page.keyboard.type("108")
        page.keyboard.press("Enter")
        expect(page.locator("#look ins")).to_have_text("+port = 108")
        page.get_by_label("Why, in a few words").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("Saved.")).to_be_visible()
        assert load(site.config).peers["pacs"].port == 108

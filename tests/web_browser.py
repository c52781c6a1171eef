"""The page in Chromium: a whole node that serves it, a person before it, and what axe-core says.

A browser waits for what a person would see (`expect`, by words), never for a time.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from dicomnode.node.build import open_worklist
from dicomnode.people import accounts
from dicomnode.people.accounts import Role
from dicomnode.web.login import passwords
from tests.browser import chromium
from tests.running import RunningNode, node, until
from tests.tools import axe_file

__all__ = ["LONG_MS", "SIZES", "Served", "faults", "log_in", "person", "served", "too_wide"]

LONG_MS = 120_000  #: for what a busy machine does in seconds
SIZES: Mapping[str, tuple[int, int]] = {"wide": (1280, 800), "phone": (390, 844)}
_KNOWN = "a good password"
_PEOPLE = {"ada": Role.ADMINISTRATOR, "bob": Role.OPERATOR, "eve": Role.VIEWER}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A node and the address of its page."""

    node: RunningNode
    address: str


@contextmanager
def served(
    folder: Path, archive_port: int, *, extra: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """A node with a page on a free port; `ada` administers it, `bob` operates, `eve` looks."""
    with node(folder, archive_port, start=False, extra=extra) as running:
        file = running.config / "node.toml"
        file.write_text(file.read_text().replace("on = false", "on = true\nport = 0"))
        running.__post_init__()
        running.start()
        until(lambda: _port(running) != "", timeout_s=LONG_MS / 1000)
        _let_in(running)
        yield Served(node=running, address=f"http://127.0.0.1:{_port(running)}")


def _port(running: RunningNode) -> str:
    found = re.search(r"web\.started.* port=(\d+)", running.log)
    return found[1] if found else ""


def _let_in(running: RunningNode) -> None:
    """As `dicomnode users add` does."""
    database, hashed = open_worklist(running.settings), passwords.hashed(_KNOWN)
    with database.transaction() as tx:
        for name, role in _PEOPLE.items():
            accounts.add(tx, name, role, hashed, now=datetime.now(UTC))
    database.close()


@contextmanager
def person(
    there: Served,
    name: str = "ada",
    *,
    size: tuple[int, int] = SIZES["wide"],
    by_keyboard: bool = False,
) -> Iterator[Page]:
    """A browser that somebody has logged in with; no script of a page may fail in it."""
    wrong: list[str] = []
    with chromium(size) as page:
        page.set_default_timeout(LONG_MS)
        expect.set_options(timeout=LONG_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("dialog", lambda dialog: dialog.accept())
        log_in(page, there.address, name, by_keyboard=by_keyboard)
        yield page
    assert wrong == []


def log_in(page: Page, address: str, name: str, *, by_keyboard: bool = False) -> None:
    """As a person does; the name has the focus from the start."""
    page.goto(f"{address}/login")
    if by_keyboard:
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.type(name)
        page.keyboard.press("Tab")
        page.keyboard.type(_KNOWN)
        page.keyboard.press("Enter")
    else:
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(_KNOWN)
        page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name=name)).to_be_visible()


def faults(page: Page) -> list[str]:
    """What axe-core finds serious or critical in the page as it is now: rule, what it is, where."""
    script = axe_file()
    assert script
    page.evaluate(script.read_text("utf-8"))  # not as a tag: the page forbids scripts of others
    found: list[dict[str, Any]] = page.evaluate(
        "async () => (await axe.run({resultTypes: ['violations']})).violations"
    )
    return [
        f"{each['id']}: {each['help']}: {node['target']} {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def too_wide(page: Page) -> list[str]:
    """What sticks out so that the whole page scrolls sideways; nothing where it does not."""
    found: list[str] = page.evaluate(
        """() => {
          const { scrollWidth, clientWidth } = document.documentElement;
          if (scrollWidth <= clientWidth) return [];
          const out = [...document.body.querySelectorAll("*")].filter(
            (each) => each.getBoundingClientRect().right > clientWidth + 1);
          const named = out.slice(0, 20).map((each) => each.outerHTML.slice(0, 160));
          return [`${scrollWidth} px`, ...named];
        }"""
    )
    return found

"""The page in a test: a site on a fresh worklist, and clients that are logged in."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi.testclient import TestClient

from dicomnode.config.load import load
from dicomnode.people import accounts, sessions
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.web.access import COOKIE
from dicomnode.web.app import build_app
from dicomnode.web.site import Site
from tests.cli import configure

__all__ = ["client", "make_site", "nobody"]

_LONG = timedelta(days=1)


def make_site(folder: Path, database: Database, now: Callable[[], datetime] | None = None) -> Site:
    """A site with a configuration, a store and this worklist."""
    config = configure(folder)
    settings = load(config)
    return Site(
        config=config,
        settings=lambda: load(config),
        database=database,
        store=ObjectStore(settings.node.storage.folder, 0),
        now=now or (lambda: datetime.now(UTC)),
    )


def nobody(site: Site) -> TestClient:
    """A browser that is not logged in."""
    return TestClient(build_app(site), base_url="http://node", follow_redirects=False)


def client(site: Site, role: Role = Role.ADMINISTRATOR) -> TestClient:
    """A browser that is logged in; what it sends bears the token of its session."""
    with site.database.transaction() as tx:
        if accounts.get(tx, role) is None:
            accounts.add(tx, role, role, None, now=site.now())
        key = sessions.begin(tx, role, now=site.now())
        found = sessions.whose(tx, key, longest=_LONG, idle=_LONG, now=site.now())
    assert found is not None
    browser = nobody(site)
    browser.cookies.set(COOKIE, key)
    browser.headers["x-csrf-token"] = found.csrf
    return browser

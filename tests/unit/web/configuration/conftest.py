from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dicomnode.config.load import load
from dicomnode.storage.database import Database
from dicomnode.web.site import Site
from tests.web import client, make_site
from tests.web_forms import PACS
from tests.worklist import NOW


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Site:
    site = make_site(tmp_path, Database(sqlite_url), lambda: NOW)
    (site.config / "peers" / "pacs.toml").write_text(PACS)
    good = load(site.config)
    return replace(site, settings=lambda: good)


@pytest.fixture
def browser(site: Site) -> TestClient:
    browser = client(site)
    browser.headers["accept"] = "text/html"
    return browser

"""Nobody gets in who may not: every route is tried by strangers, by other sites, by lower roles."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Mount

from dicomnode.logbook import audit
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web.access import ACCESS, COOKIE
from dicomnode.web.app import build_app
from dicomnode.web.site import Site
from tests.web import client, make_site, nobody

SAFE = ("GET", "HEAD")
VIEWER, OPERATOR, ADMINISTRATOR, ANYONE = ACCESS

#: What may be asked without a login, and no more.
OPEN = {
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/login/openid"),
    ("GET", "/login/openid/answer"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
}
#: What a viewer may do that changes something: all of it is the viewer's own.
OWN = re.compile(r"/logout|/me(/.*)?|/api/me(/.*)?")


class Way(NamedTuple):
    """A method, a path, and who may use it."""

    method: str
    path: str
    needs: object

    @property
    def filled(self) -> str:
        """The path with something in each place."""
        return re.sub(r"\{[^}]*\}", "1", self.path)


def ways() -> list[Way]:
    """Everything that can be asked; nothing is, so there need be no site."""
    found = []
    for route in _routes(build_app(cast(Site, None)).routes):
        (needs,) = {each.call for each in route.dependant.dependencies} & set(ACCESS)
        found += [Way(method, route.path, needs) for method in sorted(route.methods or ())]
    return found


def _routes(found: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    """What routers bring too, which FastAPI keeps as one route each; but for the files of pages."""
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        elif isinstance(route, Mount):
            assert route.path == "/static"
        else:
            yield from _routes(cast(APIRouter, getattr(route, "original_router")).routes)  # noqa: B009  # it has no public type


WAYS = ways()
UNSAFE = [way for way in WAYS if way.method not in SAFE]


def named(way: Way) -> str:
    return f"{way.method} {way.path}"


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url))
    yield site
    site.database.close()


def test_all_routes_are_tried() -> None:
    assert len(WAYS) > 60
    assert {(way.method, way.path) for way in WAYS if way.needs is ANYONE} == OPEN


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_stranger_gets_nothing(site: Site, accept: str) -> None:
    browser = nobody(site)
    browser.headers["accept"] = accept
    for way in WAYS:
        if way.needs is ANYONE:
            continue
        answer = browser.request(way.method, way.filled)
        page = accept == "text/html" and way.method == "GET"
        assert answer.status_code == (303 if page else 401), named(way)
        if page:
            assert answer.headers["location"].startswith("/login?to="), named(way)
            assert answer.text == ""


@pytest.mark.parametrize(
    "sent",
    [
        {"authorization": "Bearer"},
        {"authorization": "Bearer guess"},
        {"authorization": "Bearer dicomnode_guess"},
        {"authorization": "Bearer " + "x" * 7000},
        {"authorization": "Basic YWRhOmE="},
        {"cookie": "dicomnode=guess"},
        {"cookie": "dicomnode="},
        {"cookie": "__Host-dicomnode=guess"},
        {"x-forwarded-for": "127.0.0.1", "x-forwarded-user": "ada", "remote-user": "ada"},
    ],
)
def test_no_guess_opens_anything(site: Site, sent: dict[str, str]) -> None:
    client(site)  # there is somebody whom one could be
    assert nobody(site).get("/api/me", headers=sent).status_code == 401


LESSER = [
    (role, way)
    for role, mays in ((Role.VIEWER, {VIEWER}), (Role.OPERATOR, {VIEWER, OPERATOR}))
    for way in WAYS
    if way.needs not in mays | {ANYONE}
]


def test_a_lesser_role_is_refused_and_that_is_noted(site: Site) -> None:
    browsers = {role: client(site, role) for role in (Role.VIEWER, Role.OPERATOR)}
    for role, way in LESSER:
        assert browsers[role].request(way.method, way.filled).status_code == 403, named(way)
    with site.database.reading() as tx:
        noted = [entry for _, entry in audit.listed(tx, limit=1000)]
    assert {entry.action for entry in noted} == {"refused"}
    assert len(noted) == len(LESSER)


def test_a_viewer_changes_only_what_is_the_viewers_own() -> None:
    theirs = [way.path for way in UNSAFE if way.needs is VIEWER]
    assert theirs
    assert [path for path in theirs if not OWN.fullmatch(path)] == []


@pytest.mark.parametrize(
    "sent",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "http://node.evil.example"},
        {"origin": "null"},
    ],
)
def test_a_page_of_another_site_can_send_nothing(site: Site, sent: dict[str, str]) -> None:
    """Not even with the right token."""
    browser = client(site)
    for way in UNSAFE:
        answer = browser.request(way.method, way.filled, headers=sent)
        assert answer.status_code == 403, named(way)
    assert unchanged(site, browser)


@pytest.mark.parametrize("token", [None, "", "guess", "é"])
def test_nothing_is_done_without_the_token_of_the_session(site: Site, token: str | None) -> None:
    browser = client(site)
    del browser.headers["x-csrf-token"]
    sent = {} if token is None else {b"x-csrf-token": token.encode()}
    for way in UNSAFE:
        if way.needs is ANYONE:
            continue
        answer = browser.request(way.method, way.filled, headers=sent)
        assert answer.status_code == 403, named(way)
    assert unchanged(site, browser)


def unchanged(site: Site, browser: TestClient) -> bool:
    """Is the browser still logged in, and was nothing noted?"""
    with site.database.reading() as tx:
        return browser.get("/api/me").status_code == 200 and not audit.listed(tx)


def test_no_file_is_served_but_those_meant(site: Site) -> None:
    browser = nobody(site)
    assert browser.get("/static/app.js").status_code == 200
    for path in ("../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc/passwd", "%2fetc%2fpasswd", ""):
        assert browser.get(f"/static/{path}").status_code in (401, 404), path


@pytest.mark.parametrize("path", ["/login", "/nothing", "/api/me", "/static/style.css", "/"])
def test_whatever_the_answer_a_browser_is_told_to_be_careful(site: Site, path: str) -> None:
    headers = nobody(site).get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_mistake_of_ours_tells_nothing_of_itself(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = client(site).cookies[COOKIE]
    monkeypatch.setattr("dicomnode.web.access.sessions.whose", lambda *_, **__: 1 / 0)
    browser = TestClient(build_app(site), raise_server_exceptions=False)
    browser.cookies.set(COOKIE, key)
    for accept in ("text/html", "application/json"):
        answer = browser.get("/me", headers={"accept": accept})
        assert answer.status_code == 500
        assert "mistake of dicomnode" in answer.text
        assert "division" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"

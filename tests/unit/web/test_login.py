from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import APIRouter, Request
from starlette.routing import Mount

from dicomnode.logbook import audit
from dicomnode.people import accounts
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web import app as application
from dicomnode.web.access import COOKIE, Operator
from dicomnode.web.headers import MAX_BODY_BYTES
from dicomnode.web.login import passwords
from dicomnode.web.site import Site
from tests.web import client, make_site, nobody

KNOWN = "a good password"


class Clock:
    """A time that goes on when told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def hashed() -> str:
    return passwords.hashed(KNOWN)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str, clock: Clock, hashed: str) -> Iterator[Site]:
    database = Database(sqlite_url)
    site = make_site(tmp_path, database, clock)
    with database.transaction() as tx:
        accounts.add(tx, "ada", Role.ADMINISTRATOR, hashed, now=site.now())
    yield site
    database.close()


def log_in(site: Site, name: str = "ada", password: str = KNOWN) -> int:
    return nobody(site).post("/login", data={"name": name, "password": password}).status_code


def lines(site: Site) -> list[tuple[str, str, bool, str]]:
    """User, action, done and detail, newest first."""
    with site.database.reading() as tx:
        return [(e.user, e.action, e.done, e.detail) for _, e in audit.listed(tx)]


def test_logins_are_noted_right_and_wrong_and_never_what_was_typed(site: Site) -> None:
    log_in(site)
    log_in(site, "ada", "secret-guess")
    log_in(site, "secret-typed-as-name", "secret-guess")

    assert lines(site) == [
        ("", "login", False, "unknown name"),
        ("ada", "login", False, ""),
        ("ada", "login", True, ""),
    ]


def test_after_some_wrong_passwords_one_has_to_wait(site: Site) -> None:
    browser = nobody(site)
    wrong = {"name": "ada", "password": "wrong"}
    for _ in range(5):
        assert browser.post("/login", data=wrong).status_code == 403

    answer = browser.post("/login", data={"name": "ada", "password": KNOWN})

    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 5
    assert "wait" in answer.text
    assert not browser.cookies


def test_who_is_disabled_is_not_let_in_nor_left_in(site: Site) -> None:
    browser = client(site, Role.VIEWER)
    admin = client(site)
    assert browser.get("/me").status_code == 200

    assert admin.patch("/api/people/viewer", json={"disabled": True}).status_code == 200

    assert browser.get("/me").status_code == 401
    with site.database.transaction() as tx:
        accounts.add(tx, "eve", Role.VIEWER, passwords.hashed(KNOWN), now=site.now())
        accounts.set_disabled(tx, "eve", disabled=True, now=site.now())
    assert log_in(site, "eve") == 403


def test_a_session_that_a_browser_was_given_is_not_the_one_it_logs_in_with(site: Site) -> None:
    browser = nobody(site)
    browser.cookies.set(COOKIE, "given-by-somebody", domain="node.local", path="/")
    browser.post("/login", data={"name": "ada", "password": KNOWN})
    first = browser.cookies[COOKIE]
    browser.post("/login", data={"name": "ada", "password": KNOWN})

    assert len({"given-by-somebody", first, browser.cookies[COOKIE]}) == 3
    other = nobody(site)
    other.cookies.set(COOKIE, first)
    assert other.get("/me").status_code == 401


def test_the_cookie_is_for_this_host_and_out_of_reach_of_scripts(site: Site) -> None:
    answer = nobody(site).post("/login", data={"name": "ada", "password": KNOWN})
    plain = answer.headers["set-cookie"].lower()
    assert "httponly" in plain
    assert "samesite=lax" in plain
    assert "secure" not in plain

    safe = nobody(site)
    safe.base_url = "https://node"
    answer = safe.post("/login", data={"name": "ada", "password": KNOWN})
    assert answer.headers["set-cookie"].startswith("__Host-dicomnode=")
    assert "; Secure" in answer.headers["set-cookie"]
    assert safe.get("/me").status_code == 200


def test_who_logs_out_is_out(site: Site) -> None:
    browser = client(site)
    key = browser.cookies[COOKIE]
    assert browser.post("/logout").status_code == 303
    browser.cookies.set(COOKIE, key)
    assert browser.get("/me").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://proxy"}, 303),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://node"}, 303),
        ({}, 303),
    ],
)
def test_a_page_of_another_site_sends_nothing(
    site: Site, headers: dict[str, str], status: int
) -> None:
    data = {"name": "ada", "password": KNOWN}
    assert nobody(site).post("/login", data=data, headers=headers).status_code == status
    assert client(site).post("/logout", headers=headers).status_code == status


def test_a_password_hashed_with_other_parameters_is_hashed_again(site: Site) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(KNOWN)
    with site.database.transaction() as tx:
        accounts.add(tx, "bob", Role.VIEWER, old, now=site.now())

    assert log_in(site, "bob") == 303

    with site.database.reading() as tx:
        kept = accounts.demand(tx, "bob").password
    assert kept is not None
    assert kept != old
    assert not passwords.is_old(kept)
    assert log_in(site, "bob") == 303


def test_a_password_is_right_however_a_keyboard_writes_its_letters() -> None:
    assert passwords.is_right(passwords.hashed("Geschäft und Öl"), "Gescha\u0308ft und O\u0308l")


def test_a_page_that_is_left_open_keeps_nobody_logged_in(site: Site, clock: Clock) -> None:
    browser = client(site)
    for _ in range(2):
        clock.now += timedelta(minutes=31)
        answer = browser.get("/api/me", headers={"accept": "text/event-stream"})
    assert answer.status_code == 401
    browser = client(site)
    for _ in range(3):
        clock.now += timedelta(minutes=31)
        answer = browser.get("/api/me")
    assert answer.status_code == 200


def test_over_sessions_are_forgotten_at_the_next_login(site: Site, clock: Clock) -> None:
    for _ in range(3):
        log_in(site)
    clock.now += timedelta(hours=13)
    log_in(site)

    with site.database.reading() as tx:
        assert accounts.listed(tx)[0].sessions == 1


@pytest.mark.parametrize("path", ["/login", "/me/password", "/api/people"])
def test_much_is_not_read_of_strangers(site: Site, path: str) -> None:
    answer = nobody(site).post(path, content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413

    def pieces() -> Iterator[bytes]:
        yield b"x"

    assert nobody(site).post(path, content=pieces()).status_code == 401


def test_files_are_taken_where_a_route_says_so_and_of_its_people_only(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = APIRouter()

    @router.post("/up", max_body_size=4 * MAX_BODY_BYTES)
    async def up(request: Request, _: Operator) -> int:
        return len(await request.body())

    monkeypatch.setattr(application, "_ROUTERS", (router,))
    large = b"x" * (2 * MAX_BODY_BYTES)

    assert client(site).post("/up", content=large).json() == len(large)
    assert client(site).post("/up", content=3 * large).status_code == 413
    assert nobody(site).post("/up", content=large).status_code in (401, 413)


def test_nor_of_people_where_no_file_is_taken(site: Site) -> None:
    browser = client(site)
    assert browser.post("/api/people", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413


def test_a_route_that_names_nobody_is_found_at_the_start(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, nested, mounted = APIRouter(), APIRouter(), APIRouter()
    bare.get("/bare")(lambda: "")
    nested.include_router(bare)
    mounted.routes.append(Mount("/mounted", routes=[]))
    for router in (bare, nested, mounted):
        monkeypatch.setattr(application, "_ROUTERS", (router,))
        with pytest.raises(AssertionError, match="does not say who may call it"):
            application.build_app(site)

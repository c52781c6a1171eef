from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dicomnode.logbook import audit
from dicomnode.people import accounts, keys, sessions
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web.access import COOKIE
from dicomnode.web.site import Site
from tests.web import client, make_site, nobody

KNOWN = "a good password"
NEW = {"name": "bob", "role": "operator", "password": KNOWN}


class Clock:
    """A time that goes on when told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str, clock: Clock) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url), clock)
    yield site
    site.database.close()


@pytest.fixture
def admin(site: Site) -> TestClient:
    return client(site)


def done(site: Site) -> list[tuple[str, str]]:
    """What was done and to what, oldest first."""
    with site.database.reading() as tx:
        return [(entry.action, entry.detail) for _, entry in reversed(audit.listed(tx))]


def make_key(site: Site, role: Role, of: Role = Role.ADMINISTRATOR) -> TestClient:
    """A script with a key."""
    client(site, of)
    with site.database.transaction() as tx:
        user = accounts.demand(tx, of)
        key = keys.make(tx, user, "a test", role, None, now=site.now())
    script = nobody(site)
    script.headers["authorization"] = f"Bearer {key}"
    return script


def test_somebody_is_let_in_changed_and_removed_by_the_interface(
    site: Site, admin: TestClient
) -> None:
    made = admin.post("/api/people", json=NEW)
    assert made.status_code == 201
    assert made.json()["role"] == "operator"
    assert KNOWN not in made.text
    assert nobody(site).post("/login", data={"name": "bob", "password": KNOWN}).status_code == 303
    assert admin.get("/api/people/bob").json()["sessions"] == 1

    assert admin.patch("/api/people/bob", json={"role": "viewer"}).json()["role"] == "viewer"
    assert admin.get("/api/people/bob").json()["sessions"] == 0
    assert admin.delete("/api/people/bob").status_code == 204
    assert admin.get("/api/people/bob").status_code == 404
    assert done(site) == [
        ("user.added", "bob: operator"),
        ("login", ""),
        ("user.role", "bob: operator to viewer"),
        ("user.removed", "bob"),
    ]


def test_and_by_the_pages(site: Site, admin: TestClient) -> None:
    token = {"csrf": admin.headers.pop("x-csrf-token")}
    assert admin.post("/people", data=NEW).status_code == 403
    made = admin.post("/people", data=NEW | token)
    assert made.headers["location"] == "/people/bob?done=added"
    assert "may log in" in admin.get("/people").text
    assert "/audit?user=bob" in admin.get(made.headers["location"]).text
    assert admin.post("/people/bob", data={"disabled": "true"} | token).status_code == 303
    assert "disabled" in admin.get("/people/bob").text
    assert admin.post("/people/bob", data={"disabled": "false"} | token).status_code == 303
    assert admin.post("/people/bob", data={"role": "viewer"} | token).status_code == 303
    assert admin.post("/people/bob", data={"password": KNOWN + "!"} | token).status_code == 303
    assert admin.post("/people/bob/log-out", data=token).status_code == 303
    assert admin.post("/people/bob/remove", data=token).headers["location"] == "/people"
    assert [action for action, _ in done(site)] == [
        *("user.added", "user.disabled", "user.enabled", "user.role", "user.password"),
        *("user.logged-out", "user.removed"),
    ]


@pytest.mark.parametrize(
    ("changed", "status", "problem"),
    [
        ({"name": "ADMINISTRATOR"}, 409, "there is a user administrator already"),
        ({"name": "../etc"}, 422, "a name has 1 to 64 letters"),
        ({"password": "too short"}, 422, "at least 12 characters"),
        ({"role": "king"}, 422, "viewer"),
        ({"more": 1}, 422, "more"),
    ],
)
def test_what_cannot_be_is_said(
    admin: TestClient, changed: dict[str, str], status: int, problem: str
) -> None:
    answer = admin.post("/api/people", json=NEW | changed)
    assert answer.status_code == status
    assert problem in answer.json()["problem"]
    assert admin.get("/api/people/bob").status_code == 404


def test_a_page_says_what_cannot_be_and_keeps_what_was_typed(admin: TestClient) -> None:
    answer = admin.post("/people", data=NEW | {"password": "short"})
    assert answer.status_code == 409
    assert "at least 12 characters" in answer.text
    assert 'value="bob"' in answer.text
    assert "short" not in answer.text.replace("shortest", "")


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"disabled": True}])
def test_the_last_administrator_stays(admin: TestClient, change: dict[str, object]) -> None:
    there = "/api/people/administrator"
    answer = admin.patch(there, json=change)
    assert answer.status_code == 409
    assert "last administrator" in answer.json()["problem"]
    assert admin.delete(there).status_code == 409

    admin.post("/api/people", json=NEW | {"role": "administrator"})
    admin.patch("/api/people/bob", json={"disabled": True})
    assert admin.patch(there, json=change).status_code == 409, "who is disabled does not count"
    admin.patch("/api/people/bob", json={"disabled": False})
    assert admin.delete(there).status_code == 204


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
@pytest.mark.parametrize(
    "path", ["/people", "/audit", "/api/people", "/api/audit", "/api/audit.csv"]
)
def test_only_an_administrator_sees_people_and_the_trail(site: Site, role: Role, path: str) -> None:
    assert client(site, role).get(path).status_code == 403
    assert done(site) == [("refused", f"GET {path}")]


def test_one_changes_ones_password_and_other_browsers_are_out(site: Site) -> None:
    client(site).post("/api/people", json=NEW)
    mine, other = nobody(site), nobody(site)
    for browser in (mine, other):
        browser.post("/login", data={"name": "bob", "password": KNOWN})
    before = mine.cookies[COOKIE]
    token = mine.get("/me").text.partition('name="csrf" content="')[2].partition('"')[0]
    mine.headers["x-csrf-token"] = token
    new = "another password"

    def change(**changed: str) -> int:
        data = {"old": KNOWN, "new": new, "again": new} | changed
        return mine.post("/me/password", data=data).status_code

    assert change(old="wrong") == 409
    assert change(again="typed otherwise") == 409
    assert change(new="short", again="short") == 409
    assert change() == 303

    assert mine.cookies[COOKIE] != before
    assert mine.get("/me").status_code == 200
    assert other.get("/me").status_code == 401
    assert nobody(site).post("/login", data={"name": "bob", "password": KNOWN}).status_code == 403
    assert nobody(site).post("/login", data={"name": "bob", "password": new}).status_code == 303


def test_one_logs_out_elsewhere(site: Site) -> None:
    mine, other, third = (client(site) for _ in range(3))
    key = sessions.sha256(other.cookies[COOKIE])

    mine.post("/me/sessions", data={"which": key})
    assert other.get("/me").status_code == 401
    assert third.get("/me").status_code == 200
    mine.post("/me/sessions", data={"which": "others"})
    assert third.get("/me").status_code == 401
    assert mine.get("/me").status_code == 200


def test_nobody_ends_the_sessions_or_keys_of_others(site: Site) -> None:
    victim, script = client(site), make_key(site, Role.VIEWER)
    viewer = client(site, Role.VIEWER)
    viewer.post("/me/sessions", data={"which": sessions.sha256(victim.cookies[COOKIE])})
    viewer.post("/me/keys/1/revoke")

    assert victim.get("/me").status_code == 200
    assert script.get("/api/me").status_code == 200


def test_a_key_is_shown_once_and_opens_the_interface(site: Site, admin: TestClient) -> None:
    data = {"purpose": "night report", "role": "viewer"}
    page = admin.post("/me/keys", data=data).text
    key = page.partition('value="dicomnode_')[2].partition('"')[0]
    assert key
    assert key not in admin.get("/me").text
    assert "night report" in admin.get("/me").text
    script = nobody(site)
    script.headers["authorization"] = f"bearer dicomnode_{key}"

    assert script.get("/api/me").json() == {"name": "administrator", "role": "viewer"}
    assert script.get("/api/people").status_code == 403
    with site.database.reading() as tx:
        assert keys.of(tx, "administrator")[0].used_at == site.now()
    admin.post("/me/keys/1/revoke")
    assert script.get("/api/me").status_code == 401
    assert done(site) == [
        ("key.made", "viewer: night report"),
        ("refused", "GET /api/people; by key 1"),
        ("key.revoked", "key 1"),
    ]


def test_a_key_needs_no_token_and_a_cookie_beside_it_does_not_count(
    site: Site, admin: TestClient
) -> None:
    script = make_key(site, Role.ADMINISTRATOR)
    assert script.post("/api/people", json=NEW).status_code == 201
    assert "set-cookie" not in script.get("/api/me").headers
    admin.headers["authorization"] = "Bearer dicomnode_wrong"
    assert admin.get("/api/me").status_code == 401
    admin.headers["authorization"] = "Basic YTpi"
    assert admin.get("/api/me").status_code == 200, "that of a proxy is none of ours"


def test_a_key_does_not_make_keys_nor_change_passwords(site: Site) -> None:
    script = make_key(site, Role.ADMINISTRATOR)
    for path in ("/me/keys", "/me/password", "/me/sessions"):
        data = {"purpose": "x", "role": "viewer", "old": "", "new": "", "again": "", "which": "x"}
        assert script.post(path, data=data).status_code == 403
    assert script.get("/me").status_code == 403


def test_a_key_does_no_more_than_its_user_may_today(site: Site, admin: TestClient) -> None:
    assert client(site, Role.OPERATOR).post(
        "/me/keys", data={"purpose": "x", "role": "administrator"}
    ).status_code == 409  # fmt: skip
    script = make_key(site, Role.OPERATOR, of=Role.OPERATOR)
    assert script.get("/api/me").json()["role"] == "operator"
    admin.patch("/api/people/operator", json={"role": "viewer"})
    assert script.get("/api/me").json()["role"] == "viewer"
    admin.patch("/api/people/operator", json={"disabled": True})
    assert script.get("/api/me").status_code == 401
    admin.delete("/api/people/operator")
    assert script.get("/api/me").status_code == 401


def test_a_key_ends_after_its_last_day(site: Site, admin: TestClient, clock: Clock) -> None:
    data = {"purpose": "x", "role": "viewer", "until": "2026-01-02"}
    page = admin.post("/me/keys", data=data).text
    script = nobody(site)
    key = page.partition('value="dicomnode_')[2].partition('"')[0]
    script.headers["authorization"] = f"Bearer dicomnode_{key}"
    clock.now = datetime(2026, 1, 2, 23, 59, tzinfo=UTC)
    assert script.get("/api/me").status_code == 200
    clock.now += timedelta(minutes=1)
    assert script.get("/api/me").status_code == 401
    again = client(site).post("/me/keys", data=data)
    assert again.status_code == 409
    assert "later day" in again.text

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from dicomnode.people import accounts, keys, sessions
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web.access import COOKIE
from dicomnode.web.site import Site
from tests.web import client, make_site, nobody

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Site:
    site = make_site(tmp_path, Database(sqlite_url))
    password = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("a good password")
    with site.database.transaction() as tx:
        accounts.add(tx, "ada", Role.VIEWER, password, now=site.now())
    return site


def test_who_knows_the_password_is_let_in_and_out(site: Site) -> None:
    browser = nobody(site)
    answer = browser.post("/login", data={"name": "ada", "password": "a good password"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.cookies.get(COOKIE)


def test_a_wrong_password_and_an_unknown_name_are_told_alike(site: Site) -> None:
    browser = nobody(site)
    answers = [
        browser.post("/login", data={"name": name, "password": "guess"}) for name in ("ada", "bob")
    ]
    assert answers[0].text == answers[1].text
    assert "Name or password is wrong." in answers[0].text
    assert not browser.cookies


def test_after_the_login_no_other_site_is_gone_to(site: Site) -> None:
    for to in ("//evil.example", "https://evil.example", "\\\\evil.example"):
        data = {"name": "ada", "password": "a good password", "to": to}
        assert nobody(site).post("/login", data=data).headers["location"] == "/"


def test_a_form_of_another_site_is_refused(site: Site) -> None:
    browser = client(site)
    del browser.headers["x-csrf-token"]
    assert browser.post("/logout").status_code == 403
    assert browser.post("/logout", data={"csrf": "guess"}).status_code == 403


def test_a_session_ends_when_it_is_old_or_was_not_used(site: Site) -> None:
    day, hour = timedelta(days=1), timedelta(hours=1)
    with site.database.transaction() as tx:
        key = sessions.begin(tx, "ada", now=NOW)
        seen = sessions.whose(tx, key, longest=day, idle=hour, now=NOW + hour / 2)
        assert seen is not None
        assert seen.stale
        sessions.touch(tx, key, now=NOW + hour / 2)
        assert sessions.whose(tx, key, longest=day, idle=hour, now=NOW + 1.4 * hour)
        assert not sessions.whose(tx, key, longest=hour, idle=hour, now=NOW + 1.4 * hour)
        assert not sessions.whose(tx, key, longest=day, idle=hour, now=NOW + 3 * hour)


def test_every_answer_forbids_scripts_of_others(site: Site) -> None:
    answer = nobody(site).get("/login")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "configuration/history",
        "audit",
        "associations",
        "api/configuration/history",
        "api/audit",
        "api/associations",
    ],
)
def test_a_number_that_no_database_counts_to_is_refused(site: Site, path: str) -> None:
    for number in (2**63, -1):
        assert client(site).get(f"/{path}?before={number}").status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/configuration/history/{2**63}"),
        ("GET", f"/api/jobs/{2**63}"),
        ("POST", f"/api/configuration/rollback/{2**63}"),
        ("POST", f"/me/keys/{2**63}/revoke"),
        ("POST", "/studies"),
    ],
)
def test_so_it_is_in_an_address_and_in_a_form(site: Site, method: str, path: str) -> None:
    sent = {"act": "retry", "job": str(2**63), "sure": "true"} if method == "POST" else None
    assert client(site).request(method, path, data=sent).status_code == 422


def key_of(site: Site) -> str:
    with site.database.transaction() as tx:
        ada = accounts.demand(tx, "ada")
        return keys.make(tx, ada, "a test", Role.VIEWER, None, now=site.now())


def test_a_key_that_opens_nothing_is_told_apart_from_none(site: Site) -> None:
    script = nobody(site)
    key = key_of(site)
    assert script.get("/api/me", headers={"authorization": f"Bearer {key}"}).status_code == 200
    for wrong in (key[:-1], "guess"):
        answer = script.get("/api/me", headers={"authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401
        assert answer.json()["problem"].startswith("this key is not known: it was revoked,")
        assert wrong not in answer.text
    assert script.get("/api/me").json()["problem"].startswith("log in, or send a key")


@pytest.mark.parametrize(
    ("path", "takes"),
    [
        ("studies", "it takes accession_number, after, calling_ae,"),
        ("studies.csv", "it takes accession_number, calling_ae,"),
        ("models", "it takes none"),
    ],
)
def test_a_parameter_that_there_is_not_is_refused_and_not_repeated(
    site: Site, path: str, takes: str
) -> None:
    viewer = client(site, Role.VIEWER)
    answer = viewer.get(f"/api/{path}?SYN-0001=1")
    assert answer.status_code == 422
    assert takes in answer.json()["problem"]
    assert "SYN-0001" not in answer.text
    assert viewer.get(f"/api/{path}").status_code == 200


def test_a_stranger_is_told_no_parameters(site: Site) -> None:
    assert nobody(site).get("/api/studies?bogus=1").status_code == 401

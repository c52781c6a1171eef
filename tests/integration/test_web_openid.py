"""Log in by a provider of OpenID Connect that is run here."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc.jwk import RSAKey

from dicomnode.config.load import load
from dicomnode.logbook import audit
from dicomnode.people import accounts, keys
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.web.site import Site
from tests.cli import configure
from tests.openid import CLIENT, SECRET, Provider, path_of, running
from tests.web import client, nobody

SETTINGS = """
[web.openid]
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "{secret}"
page = "http://localhost"
viewers = ["radiology"]
operators = ["pacs"]
administrators = ["pacs-admins"]
"""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as made:
        made.claims = {"groups": ["radiology", "staff"]}
        yield made


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str, provider: Provider) -> Iterator[Site]:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\nsecond line\n")
    node = SETTINGS.format(issuer=provider.issuer, client=CLIENT, secret=secret)
    config = configure(tmp_path, node=node)
    settings = load(config)
    database = Database(sqlite_url)
    yield Site(
        config=config,
        settings=lambda: settings,
        database=database,
        store=ObjectStore(tmp_path / "node", 0),
    )
    database.close()


def go_there(browser: TestClient, to: str = "/") -> str:
    """Log in at the provider; where it sends the browser back to."""
    there = browser.get("/login/openid", params={"to": to}).headers["location"]
    return path_of(httpx.get(there).headers["location"])


def log_in(site: Site) -> tuple[TestClient, Any]:
    """A browser, and the answer to its login."""
    browser = nobody(site)
    return browser, browser.get(go_there(browser))


def role_of(browser: TestClient) -> str:
    answer = browser.get("/api/me")
    return str(answer.json()["role"]) if answer.status_code == 200 else ""


def done(site: Site) -> list[tuple[str, str, bool, str]]:
    with site.database.reading() as tx:
        lines = reversed(audit.listed(tx))
        return [(each.user, each.action, each.done, each.detail) for _, each in lines]


def test_who_is_in_a_group_is_let_in_and_made_at_the_first_login(site: Site) -> None:
    assert "Log in at 127.0.0.1" in nobody(site).get("/login").text
    browser, answer = log_in(site)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/api/me").json() == {"name": "ada", "role": "viewer"}
    log_in(site)
    assert done(site) == [
        ("ada", "user.added", True, "ada: viewer, by groups"),
        ("ada", "login", True, ""),
        ("ada", "login", True, ""),
    ]


def test_the_browser_goes_on_where_it_wanted_to_but_nowhere_else(site: Site) -> None:
    for to, gone in (("/studies?patient=1&x=a.b", None), ("//evil.example", "/")):
        browser = nobody(site)
        assert browser.get(go_there(browser, to)).headers["location"] == (gone or to)


def test_the_role_follows_the_groups(site: Site, provider: Provider) -> None:
    first, _ = log_in(site)
    provider.claims = {"groups": ["pacs-admins", "radiology"]}
    second, _ = log_in(site)
    assert role_of(second) == "administrator"
    assert role_of(first) == "", "a change of role ends the sessions"
    provider.claims = {"groups": "pacs"}
    third, _ = log_in(site)
    assert role_of(third) == "operator"
    assert ("ada", "user.role", True, "ada: administrator to operator, by groups") in done(site)


@pytest.mark.parametrize("groups", [["staff"], [], None, "staff", 7, [["radiology"]], {}])
def test_who_is_in_no_group_is_refused(site: Site, provider: Provider, groups: object) -> None:
    provider.claims = {"groups": groups}
    browser, answer = log_in(site)

    assert answer.status_code == 403
    assert "no group" in answer.text
    assert role_of(browser) == ""
    assert done(site) == [("", "login", False, "OpenID: in no group of ours")]


def test_who_left_every_group_is_out_with_all_keys(site: Site, provider: Provider) -> None:
    browser, _ = log_in(site)
    with site.database.transaction() as tx:
        ada = accounts.demand(tx, "ada")
        keys.make(tx, ada, "x", Role.VIEWER, site.now() + keys._ELSEWHERE / 2, now=site.now())
    provider.claims = {"groups": []}
    log_in(site)

    assert role_of(browser) == ""
    with site.database.reading() as tx:
        assert keys.of(tx, "ada") == []


def test_who_is_disabled_here_stays_so(site: Site) -> None:
    log_in(site)
    client(site).patch("/api/people/ada", json={"disabled": True})
    _, answer = log_in(site)
    assert answer.status_code == 403
    assert "not log in here any more" in answer.text


def test_nobody_is_given_the_account_of_a_namesake(site: Site, provider: Provider) -> None:
    with site.database.transaction() as tx:
        accounts.add(tx, "Ada", Role.ADMINISTRATOR, None, now=site.now())
    provider.claims |= {"preferred_username": "ada@example.org"}
    browser, _ = log_in(site)
    assert browser.get("/api/me").json() == {"name": "ada-example-org", "role": "viewer"}

    provider.claims |= {"sub": "4712"}
    _, answer = log_in(site)
    assert answer.status_code == 403
    assert "called ada-example-org here already" in answer.text


def test_groups_may_stand_where_the_token_has_no_room_for_them(
    site: Site, provider: Provider
) -> None:
    provider.claims = {}
    provider.info = {"groups": ["pacs"]}
    browser, _ = log_in(site)
    assert role_of(browser) == "operator"
    provider.info = {"groups": ["pacs"], "sub": "4712"}
    _, answer = log_in(site)
    assert "speaks of somebody else" in answer.text


def test_a_provider_may_want_the_secret_in_the_form(site: Site, provider: Provider) -> None:
    provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    browser, _ = log_in(site)
    assert role_of(browser) == "viewer"


Spoils = Callable[[Provider], None]


def other_key(provider: Provider) -> None:
    provider.signs = RSAKey.generate_key(2048, {"kid": "1"})


def unknown_key(provider: Provider) -> None:
    provider.header = {"alg": "RS256", "kid": "2"}


def public_key_as_secret(provider: Provider) -> None:
    provider.header = {"alg": "HS256", "kid": "1"}


def no_signature(provider: Provider) -> None:
    provider.header = {"alg": "none"}


def claim(**claims: object) -> Spoils:
    return lambda provider: provider.claims.update(claims)


@pytest.mark.parametrize(
    "spoil",
    [
        other_key,
        unknown_key,
        claim(aud="another"),
        claim(aud="another", azp=CLIENT),
        claim(aud=[CLIENT, "another"]),
        claim(azp="another"),
        claim(iss="http://127.0.0.1:1"),
        claim(nonce="another"),
        claim(nonce=None),
        claim(exp=int(time.time()) - 3600),
        claim(iat=int(time.time()) + 3600),
        claim(exp=None),
        claim(sub=None),
        claim(sub=""),
        claim(at_hash="another"),
    ],
)
def test_a_token_that_is_not_for_this_login_is_not_believed(
    site: Site, provider: Provider, spoil: Spoils
) -> None:
    spoil(provider)
    browser, answer = log_in(site)

    assert answer.status_code == 403
    assert "OpenID provider" in answer.text
    assert role_of(browser) == ""
    with site.database.reading() as tx:
        assert accounts.listed(tx) == []


@pytest.mark.parametrize("spoil", [no_signature, public_key_as_secret])
def test_a_token_without_the_providers_signature_is_not_believed(
    site: Site, provider: Provider, spoil: Spoils
) -> None:
    spoil(provider)
    browser, answer = log_in(site)

    assert answer.status_code == 403
    assert "not believed" in answer.text
    assert role_of(browser) == ""


def test_a_new_key_of_the_provider_is_fetched(site: Site, provider: Provider) -> None:
    log_in(site)
    provider.key = provider.signs = RSAKey.generate_key(2048, {"kid": "3"})
    provider.header = {"alg": "RS256", "kid": "3"}
    browser, _ = log_in(site)
    assert role_of(browser) == "viewer"


def test_an_answer_is_for_the_browser_that_asked_and_once(site: Site) -> None:
    browser, other = nobody(site), nobody(site)
    back = go_there(browser)

    assert "not begun in this browser" in other.get(back).text
    go_there(other)
    assert "not begun in this browser" in other.get(back).text
    assert browser.get(back).status_code == 303
    assert browser.get(back).status_code == 403


def test_what_the_provider_says_no_to_is_said(site: Site, provider: Provider) -> None:
    provider.refuses = "access_denied"
    _, answer = log_in(site)
    assert answer.status_code == 403
    assert "did not let you in" in answer.text


def test_a_provider_that_is_away_is_told_and_people_of_here_still_log_in(
    site: Site, provider: Provider
) -> None:
    browser = nobody(site)
    back = go_there(browser)
    provider.down = True
    assert "refuses, with HTTP 500" in browser.get(back).text
    assert client(site).get("/me").status_code == 200


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"issuer": "https://another.example"}, "calls itself https://another.example"),
        ({"jwks_uri": None, "token_endpoint": 1}, "does not say its token_endpoint, jwks_uri"),
        ({"authorization_endpoint": None}, "does not say its authorization_endpoint"),
    ],
)
def test_a_provider_that_says_odd_things_of_itself_is_not_asked(
    site: Site, provider: Provider, metadata: dict[str, object], words: str
) -> None:
    provider.metadata = metadata
    answer = nobody(site).get("/login/openid")
    assert answer.status_code == 503
    assert words in answer.text


def test_without_a_provider_there_is_no_such_login(site: Site, tmp_path: Path) -> None:
    bare = load(configure(tmp_path / "bare"))
    without = Site(
        config=site.config, settings=lambda: bare, database=site.database, store=site.store
    )
    assert nobody(without).get("/login/openid").status_code == 404
    assert "Log in at" not in nobody(without).get("/login").text

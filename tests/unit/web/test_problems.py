"""What goes wrong is told to people with the way on, to scripts of ours as a part, else as JSON."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.errors import DatabaseAway, StoreFull
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web.headers import HEADERS
from dicomnode.web.site import Site
from tests.web import client, make_site, nobody

PAGE = {"accept": "text/html"}


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url))
    yield site
    site.database.close()


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/people", 403)])
def test_a_page_that_is_not_there_or_not_allowed_has_the_way_on(
    site: Site, path: str, status: int
) -> None:
    browser = client(site, Role.VIEWER)
    del browser.headers["x-csrf-token"]
    answer = browser.get(path, headers=PAGE)
    assert answer.status_code == status
    assert '<a href="/studies">Worklist</a>' in answer.text
    assert 'href="/people"' not in answer.text, "a viewer is shown what a viewer may do"


def test_a_stranger_is_shown_no_pages(site: Site) -> None:
    answer = nobody(site).get("/nothing", headers=PAGE)
    assert answer.status_code == 404
    assert "<nav" not in answer.text


def test_a_script_of_ours_gets_a_part_to_put_into_its_page(site: Site) -> None:
    answer = client(site).get("/nothing", headers=PAGE)
    assert answer.text == '<p class="problem" role="alert">There is no such page.</p>'


def test_what_may_help_later_says_when(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = client(site)
    for error, status in ((DatabaseAway("away"), 503), (StoreFull("full"), 507)):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("dicomnode.web.pages.people.accounts.listed", fail)
        for headers in (PAGE, {}):
            answer = browser.get("/people", headers=headers)
            assert answer.status_code == status
            assert answer.headers["retry-after"] == "60"
            assert str(error) in answer.text


def test_who_sends_much_while_the_database_is_away_is_told_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = client(site)

    def away() -> None:
        raise DatabaseAway("the database does not answer")

    monkeypatch.setattr("dicomnode.web.access.sessions.whose", lambda *_, **__: away())
    answer = browser.post("/api/people", content=iter([b"x"]))
    assert answer.status_code == 503
    assert answer.json() == {"problem": "the database does not answer"}
    assert set(HEADERS) <= set(answer.headers)
    for headers in (PAGE, {}):
        assert browser.get("/me", headers=headers).status_code == 503

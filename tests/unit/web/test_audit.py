import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from dicomnode.audit.events import Deed
from dicomnode.logbook import audit
from dicomnode.storage.database import Database
from dicomnode.web.site import Site
from tests.web import client, make_site

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url), lambda: NOON)
    with site.database.transaction() as tx:
        for number in range(250):
            entry = Deed(
                at=NOON - timedelta(days=5) + timedelta(minutes=number),
                user=("ada", "bob")[number % 2],
                address="10.0.0.1",
                action=("study.seen", "study.exported", "login")[number % 3],
                study_uid=f"1.2.{number % 5}",
                patient_id="=cmd|'/c calc'!A1" if number == 249 else f"P{number}",
                done=number % 7 > 0,
            )
            audit.note(tx, entry)
    yield site
    site.database.close()


def walk(site: Site, **asked: str | int) -> list[int]:
    """The numbers of all lines, piece by piece."""
    browser, found, before = client(site), [], 0
    while True:
        piece = browser.get("/api/audit", params={**asked, "before": before}).json()
        found += [line["id"] for line in piece["lines"]]
        if piece["next"] is None:
            return found
        before = piece["next"]


def test_the_trail_is_read_in_pieces_while_it_grows(site: Site) -> None:
    found = walk(site, limit=37)

    assert found == list(range(250, 0, -1))
    with site.database.reading() as tx:
        noted = [entry for _, entry in audit.listed(tx) if entry.action == "audit.seen"]
    assert len(noted) == 1, "once a reading, not once a piece"


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"user": "ada"}, 125),
        ({"action": "study.seen"}, 84),
        ({"study_uid": "1.2.3"}, 50),
        ({"user": "ada", "action": "login", "study_uid": "1.2.0"}, 8),
        ({"since": "2026-02-24", "until": "2026-02-24"}, 250),
        ({"until": "2026-02-23"}, 0),
        ({"since": "2026-02-25"}, 0),
        ({"until": "2026-02-24", "zone": "Asia/Tokyo"}, 180),
        ({"user": "", "action": "", "study_uid": "", "since": "", "until": ""}, 250),
        ({"since": "0001-01-01", "until": "9999-12-31"}, 250),
    ],
)
def test_each_filter_finds_its_own(site: Site, asked: dict[str, str], count: int) -> None:
    assert len([each for each in walk(site, **asked, limit=100) if each <= 250]) == count


def test_the_page_shows_filters_and_older_lines(site: Site) -> None:
    browser = client(site)
    page = browser.get("/audit?user=ada&action=&study_uid=&since=&until=").text
    assert '<option value="study.seen">study seen</option>' in page
    assert '<td data-label="What">study seen <span class="state bad">refused</span></td>' in page
    assert "refused" in page
    older = page.partition("/audit?user=ada&amp;before=")[2].partition('"')[0]
    assert older
    assert browser.get(f"/audit?user=ada&before={older}").status_code == 200
    assert "There is no such line." in browser.get("/audit?user=nobody-here").text
    assert browser.get("/audit?since=yesterday").status_code == 422


def test_what_was_refused_is_said_once(site: Site) -> None:
    refused = Deed(at=NOON, user="eve", address="10.0.0.1", action="refused", done=False)
    with site.database.transaction() as tx:
        audit.note(tx, refused)
    page = client(site).get("/audit?user=eve").text
    assert '<td data-label="What"><span class="state bad">refused</span></td>' in page


def test_days_are_those_of_the_zone_that_is_named(site: Site) -> None:
    browser = client(site)
    page = browser.get("/audit?since=2026-02-24&zone=America/New_York").text
    assert 'value="2026-02-24"' in page
    assert "/api/audit.csv?since=2026-02-24&amp;zone=America%2FNew_York" in page
    for zone, day in (("Mars/Olympus", "2026-02-24"), ("../UTC", "2026-02-24")):
        answer = browser.get(f"/api/audit?since={day}&zone={zone}")
        assert (answer.status_code, answer.json()["problem"]) == (
            422,
            f"there is no {day} in the time zone {zone}",
        )
    assert browser.get("/api/audit?since=0001-01-01&zone=Asia/Tokyo").status_code == 422


def test_the_csv_holds_all_that_is_asked_for_and_nothing_that_runs(site: Site) -> None:
    query = urlencode({"user": "bob"})
    answer = client(site).get(f"/api/audit.csv?{query}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))

    assert answer.headers["content-type"].startswith("text/csv")
    assert len(rows) == 125
    assert {row["user"] for row in rows} == {"bob"}
    assert rows[0]["patient_id"] == "'=cmd|'/c calc'!A1"
    with site.database.reading() as tx:
        latest = audit.listed(tx, limit=1)[0][1]
    assert (latest.action, latest.detail) == ("audit.exported", "user bob")


def test_subjects_of_the_interface_are_headings(site: Site) -> None:
    page = client(site).get("/api").text
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert "Studies" in headings
    assert all(each[:1].isupper() for each in headings)


def test_the_interface_is_described_for_programs_and_people(site: Site) -> None:
    browser = client(site)
    document = browser.get("/api/openapi.json").json()
    page = browser.get("/api").text

    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        assert path in page
        for operation in operations.values():
            assert "422" not in operation["responses"]
            assert operation["description"], f"{path} says nothing"

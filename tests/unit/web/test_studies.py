import csv
import io
from pathlib import Path
from typing import Any

import pytest

from dicomnode.logbook import audit
from dicomnode.people.accounts import Role
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.web import studies
from dicomnode.web.site import Site
from dicomnode.worklist import jobs
from tests.factories import uid
from tests.web import client, make_site, nobody
from tests.worklist import after, delivered_job, failed_job, waiting_job


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Site:
    site = make_site(tmp_path, Database(sqlite_url))
    with site.database.transaction() as tx:
        for number, how in enumerate((delivered_job, failed_job, waiting_job), 1):
            known: dict[str, Any] = {
                "patient_id": f"SYN-{number}",
                "accession_number": f"=A{number}",
            }
            how(tx, study_uid=uid("study", number), now=after(number), **known)
    return site


def actions(site: Site) -> list[tuple[str, str, str]]:
    with site.database.reading() as tx:
        lines = [entry for _, entry in audit.listed(tx)]
    return [(line.action, line.patient_id, line.detail) for line in lines]


def test_the_page_shows_studies_with_states_in_words(site: Site) -> None:
    page = client(site, Role.VIEWER).get("/studies")
    assert page.status_code == 200
    for words in ("3 studies", "SYN-1", "waiting for images", "no pixels", "nodule", "75.0 %"):
        assert words in page.text


def test_while_one_types_only_what_is_found_is_sent(site: Site) -> None:
    browser = client(site, Role.VIEWER)
    part = browser.get("/studies", params={"patient_id": "SYN-2", "state": "", "date_from": ""})
    assert "1 study" in part.text
    assert "SYN-1" not in part.text
    assert "<html" not in part.text
    del browser.headers["x-csrf-token"]
    assert "<html" in browser.get("/studies?patient_id=SYN-2").text


def test_what_is_asked_stays_in_the_form(site: Site) -> None:
    browser = client(site, Role.VIEWER)
    del browser.headers["x-csrf-token"]
    page = browser.get(
        "/studies", params={"patient_id": "S&N", "state": "failed", "date_from": "2025-01-02"}
    )
    assert 'value="S&amp;N"' in page.text
    assert '<option value="failed" selected>' in page.text
    assert 'value="2025-01-02"' in page.text
    assert "patient_id=S%26N" in page.text  # in the address of the CSV


def test_a_viewer_sees_no_buttons_and_may_not_press_them(site: Site) -> None:
    viewer = client(site, Role.VIEWER)
    assert 'name="act"' not in viewer.get("/studies").text
    assert viewer.post("/studies", data={"act": "retry", "job": "2"}).status_code == 403


def test_many_jobs_are_retried_at_once_and_what_could_not_is_said(site: Site) -> None:
    answer = client(site, Role.OPERATOR).post("/studies", data={"act": "retry", "job": [1, 2]})
    assert "1 done, 1 not" in answer.text
    assert "job 1 is delivered" in answer.text
    assert "<small>job 1</small>" in answer.text  # which the list shows too
    with site.database.reading() as tx:
        assert jobs.get(tx, 2).state is State.READY
    assert actions(site)[0][0] == "job.retried"


def test_without_scripts_a_page_asks_before_anything_is_done(site: Site) -> None:
    browser = client(site, Role.OPERATOR)
    csrf = browser.headers.pop("x-csrf-token")
    form = {"csrf": csrf, "act": "cancel", "job": ["2", "3"]}
    page = browser.post("/studies?calling_ae=MODALITY", data=form)
    assert "Cancel: 2 jobs?" in page.text
    with site.database.reading() as tx:
        assert jobs.get(tx, 3).state is State.WAITING
    page = browser.post("/studies?calling_ae=MODALITY", data=form | {"sure": "true"})
    assert "2 done" in page.text
    with site.database.reading() as tx:
        assert jobs.get(tx, 3).state is State.CANCELLED


def test_no_job_is_ticked(site: Site) -> None:
    browser = client(site, Role.OPERATOR)
    for form in ({"act": "retry"}, {"act": "burn", "job": "1"}):
        assert "No job is ticked." in browser.post("/studies", data=form).text


def test_a_search_for_a_patient_is_noted(site: Site) -> None:
    browser = client(site, Role.VIEWER)
    browser.get("/studies?state=failed")
    assert actions(site) == []
    browser.get("/studies?patient_id=SYN-1&state=failed")
    browser.get("/api/studies?text=SYN-2")
    assert actions(site) == [
        ("studies.searched", "", "text SYN-2"),
        ("studies.searched", "SYN-1", "states failed"),
    ]


def test_the_interface_gives_pages_until_there_are_no_more(site: Site) -> None:
    browser = client(site, Role.VIEWER)
    first = browser.get("/api/studies?limit=2").json()
    second = browser.get("/api/studies", params={"limit": 2, "after": first["next"]}).json()
    found = [each["patient_id"] for each in first["studies"] + second["studies"]]
    assert found == ["SYN-3", "SYN-2", "SYN-1"]
    assert (first["count"], first["exact"], second["next"]) == (3, True, None)
    (job,) = second["studies"][0]["jobs"]
    assert (job["state"], job["findings"]) == ("delivered", {"nodule": 0.75})


def test_the_interface_takes_several_states(site: Site) -> None:
    found = client(site).get("/api/studies?state=failed&state=waiting").json()
    assert found["count"] == 2


@pytest.mark.parametrize(
    "query", ["after=x", "after=e30", "after=WzEsMiwzXQ", "limit=0", "state=lost", "date_from=soon"]
)
def test_what_cannot_be_asked_is_told(site: Site, query: str) -> None:
    assert client(site).get(f"/api/studies?{query}").status_code == 422


def test_all_that_is_found_is_exported_and_noted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "_AT_ONCE", 1)
    answer = client(site, Role.VIEWER).get("/api/studies.csv?calling_ae=MODALITY")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"].startswith("text/csv")
    assert [row["patient_id"] for row in rows] == ["SYN-3", "SYN-2", "SYN-1"]
    assert [row["state"] for row in rows] == ["waiting", "failed", "delivered"]
    assert rows[0]["accession_number"] == "'=A3"  # no spreadsheet runs it
    assert rows[2]["findings"] == "nodule 75.0 %"
    assert actions(site) == [("studies.exported", "", "calling_ae MODALITY")]


def test_nobody_sees_anything_without_a_login(site: Site) -> None:
    for path in (
        "/studies",
        "/api/studies",
        "/api/studies.csv",
        "/",
        "/today/live",
        "/api/overview",
    ):
        assert nobody(site).get(path).status_code == 401

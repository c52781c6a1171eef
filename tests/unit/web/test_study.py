from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dicomnode.errors import Cause
from dicomnode.logbook import audit
from dicomnode.people.accounts import Role
from dicomnode.records import Job, ResultKind, Verdict
from dicomnode.storage.database import Connection, Database
from dicomnode.web.access import Caller
from dicomnode.web.pages.study import _Follower
from dicomnode.web.showing import captions
from dicomnode.web.site import Site
from dicomnode.worklist import by_hand, outbox, queue, retention
from tests.answered import PATIENT, answer, image_of, make_image, result_of
from tests.factories import STUDY_UID, uid
from tests.web import client, make_site
from tests.worklist import (
    NOW,
    after,
    claim,
    enter,
    failed_job,
    held_job,
    make_results,
    not_analysed_job,
    refused_job,
    running_job,
    say,
)

ADA = Caller(name="ada", role=Role.OPERATOR, address="127.0.0.1")
HERE = f"/studies/{STUDY_UID}"


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url))
    yield site
    site.pictures.close()


def seen(site: Site) -> list[tuple[str, str, str]]:
    with site.database.reading() as tx:
        return [(line.action, line.study_uid, line.patient_id) for _, line in audit.listed(tx)]


def page(browser: TestClient, path: str) -> str:
    answer = browser.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def deliver(site: Site, job: Job, verdict: Verdict = Verdict.STORED, words: str = "") -> None:
    with site.database.transaction() as tx:
        for item in outbox.of_job(tx, job.id):
            say(tx, item, verdict, words, now=after(10))


def refused_incomplete(tx: Connection) -> Job:
    """A job of which it was told everywhere that images are missing."""
    refused_job(tx)
    job = claim(tx)
    assert job is not None
    why = {"refused": Cause.INCOMPLETE, "because": "1 of 2 images came"}
    queue.finish(tx, job, make_results(job), {}, now=NOW, **why)  # type: ignore[arg-type]
    return job


# --- the page -------------------------------------------------------------------------------


def test_the_page_tells_who_what_was_found_and_what_happened(site: Site) -> None:
    job, _ = answer(site)
    deliver(site, job)
    text = page(client(site, Role.VIEWER), HERE)
    for words in (
        *(PATIENT, "A0001", "2025-01-02", "MODALITY", "demonstration@1.0.0"),
        *("Pleural effusion", "97.0 %", "50.0 %", "present", "undetermined"),
        *("1 object from MODALITY", "Complete", "to pacs: stored", "Delivered"),
    ):
        assert words in text, words
    assert seen(site) == [("study.seen", STUDY_UID, PATIENT)]


def test_each_picture_of_a_job_says_what_it_shows(site: Site) -> None:
    _, results = answer(site, kinds=[ResultKind.SC, ResultKind.GSPS, ResultKind.SEG, ResultKind.SR])
    text = page(client(site, Role.VIEWER), HERE)
    for words in (
        *(
            ">Picture: Grad-CAM heat map of Pleural effusion<",
            ">Presentation state: Pleural effusion",
        ),
        *(">Segmentation<", ">Report<"),
    ):
        assert words in text, words
    gone = result_of(results, ResultKind.SC)
    site.store.path_of_result(STUDY_UID, gone).unlink()
    captions._read.cache_clear()
    assert ">Picture<" in page(client(site, Role.VIEWER), HERE)


def test_what_a_peer_said_of_several_results_is_said_once(site: Site) -> None:
    job, results = answer(site)
    deliver(site, job, Verdict.LATER, "0xA700: out of resources")
    text = page(client(site, Role.VIEWER), HERE)
    assert f"{len(results)} results not at pacs:" in text
    assert text.count("0xA700: out of resources") == 2  # and once in the story


def test_a_study_that_was_not_analysed_says_why(site: Site) -> None:
    with site.database.transaction() as tx:
        not_analysed_job(tx)
    text = page(client(site, Role.VIEWER), HERE)
    assert "not analysed" in text
    assert "the model is for frontal views" in text


def test_only_what_would_be_done_has_a_button(site: Site) -> None:
    with site.database.transaction() as tx:
        failed_job(tx)
    assert 'value="retry"' in page(client(site, Role.OPERATOR), HERE)
    assert 'value="resend"' not in page(client(site, Role.OPERATOR), HERE)
    assert "<button name" not in page(client(site, Role.VIEWER), HERE)


@pytest.mark.parametrize(
    ("how", "main"), [(not_analysed_job, False), (failed_job, True), (refused_incomplete, True)]
)
def test_retry_is_the_main_button_only_where_it_may_help(
    site: Site, how: Callable[[Connection], Job], main: bool
) -> None:
    with site.database.transaction() as tx:
        how(tx)
    text = page(client(site, Role.OPERATOR), HERE)
    assert ('<button name="act" value="retry"' in text) is main
    assert ("Retry would end the same" in text) is not main
    assert 'value="retry"' in text
    assert "Retry would end" not in page(client(site, Role.VIEWER), HERE)


def test_a_study_without_images_is_forgotten_but_not_its_story(site: Site) -> None:
    answer(site)
    with site.database.transaction() as tx:
        retention.forget(tx, STUDY_UID, now=NOW)
    text = page(client(site, Role.OPERATOR), HERE)
    assert PATIENT not in text
    assert "The images were removed" in text
    assert 'value="resend"' not in text


def test_an_unknown_study_is_not_here(site: Site) -> None:
    assert client(site).get("/studies/1.2.3").status_code == 404
    assert client(site).get("/api/studies/1.2.3").status_code == 404


def test_what_a_sender_wrote_into_a_study_is_text_and_no_markup(site: Site) -> None:
    with site.database.transaction() as tx:
        enter(tx, 1, patient_id="<script>alert(1)</script>", calling_ae='"><b>')
    text = page(client(site), HERE)
    assert "<script>alert" not in text
    assert "<b>" not in text


def test_images_come_24_at_a_time(site: Site) -> None:
    with site.database.transaction() as tx:
        for number in range(1, 31):
            enter(tx, number)
    browser = client(site, Role.VIEWER)
    first = page(browser, HERE)
    assert first.count("/pictures/") == 24
    _, _, rest = first.partition("?after=")
    behind = rest.partition("#")[0]
    assert page(browser, f"{HERE}?after={behind}").count("/pictures/") == 6


# --- acting on it ---------------------------------------------------------------------------


def test_a_button_does_what_it_says_and_the_part_comes_back(site: Site) -> None:
    with site.database.transaction() as tx:
        job = held_job(tx)
    browser = client(site, Role.OPERATOR)
    answer = browser.post(HERE, data={"act": "retry", "job": job.id})
    assert f"job {job.id} is ready" in answer.text
    assert "<html" not in answer.text
    again = browser.post(HERE, data={"act": "process", "pipeline": "all"})
    assert "is ready" in again.text
    assert browser.post(HERE, data={"act": "destroy"}).status_code == 404


def test_the_interface_gives_a_study_to_a_pipeline(site: Site) -> None:
    answer(site)
    browser = client(site, Role.OPERATOR)
    job = browser.post(f"/api{HERE}/process", json={"pipeline": "all"}).json()
    assert (job["revision"], job["state"]) == (2, "ready")
    assert browser.post(f"/api{HERE}/process", json={"pipeline": "all"}).status_code == 409
    assert browser.post(f"/api{HERE}/process", json={"pipeline": "no"}).status_code == 404
    assert browser.post(f"/api{HERE}/process", json={"model": "all"}).status_code == 422


def test_the_interface_tells_the_whole_study(site: Site) -> None:
    _, results = answer(site)
    told = client(site, Role.VIEWER).get(f"/api{HERE}").json()
    (job,) = told["jobs"]
    assert told["study"]["patient_id"] == PATIENT
    assert len(told["images"]) == 1
    assert len(job["results"]) == len(results)
    assert job["findings"][0] == {
        "label": "Pleural effusion",
        "probability": 0.97,
        "presence": "present",
        "threshold": 0.5,
        "calibrated": False,
    }
    assert seen(site) == [("study.seen", STUDY_UID, PATIENT)]


# --- as it happens --------------------------------------------------------------------------


def test_a_browser_hears_only_of_parts_that_it_has_not_seen(site: Site) -> None:
    with site.database.transaction() as tx:
        job = running_job(tx, pipelines={"all": 0})
    text = page(client(site, Role.OPERATOR), HERE)
    marks = text.partition("live?seen=")[2].partition('"')[0].split(".")
    admin = Caller(name="operator", role=Role.OPERATOR, address="", csrf=csrf_in(text))
    follower = _Follower(site, admin, STUDY_UID, marks)
    assert follower.look() == {}
    with site.database.transaction() as tx:
        queue.fail(tx, job, "no pixels", now=after(5))
    parts = follower.look()
    assert set(parts) == {"jobs", "story"}
    assert "no pixels" in parts["jobs"]
    assert follower.look() == parts
    with site.database.transaction() as tx:
        by_hand.retry(tx, job.id, now=after(6), by="ada")
    assert "retried by ada" in follower.look()["story"]


def csrf_in(text: str) -> str:
    return text.partition('name="csrf" content="')[2].partition('"')[0]


# --- what lies over what --------------------------------------------------------------------


def test_a_capture_lies_over_its_image_and_may_be_faded(site: Site) -> None:
    _, results = answer(site)
    text = page(client(site, Role.VIEWER), HERE)
    capture, image = result_of(results, ResultKind.SC), image_of(make_image()).sop_instance_uid
    assert f'<image href="/pictures/{image}.png?frame=1&amp;size=1280" width="160"' in text
    assert f'href="/pictures/{capture}.png' in text
    assert 'data-fades="over-1-1"' in text
    assert "heat map of Pleural effusion" in text


def test_where_nothing_was_found_nothing_lies_over_the_image(site: Site) -> None:
    answer(site, regions=0)
    assert "data-fades" not in page(client(site, Role.VIEWER), HERE)


# --- results --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(ResultKind))
def test_every_kind_of_result_has_a_page_and_a_file(site: Site, kind: ResultKind) -> None:
    _, results = answer(site)
    browser = client(site, Role.VIEWER)
    one = next((each for each in results if each.kind is kind), None)
    assert one is not None, kind
    where = f"/results/{one.ref.sop_instance_uid}"
    text = page(browser, where)
    assert "Automated and not verified" in text
    file = browser.get(f"{where}/file")
    assert file.content == one.part10
    assert file.headers["cache-control"] == "private, no-store"
    assert [action for action, *_ in seen(site)] == ["result.exported", "study.seen"]


def test_a_report_is_a_tree_with_links_to_its_images(site: Site) -> None:
    _, results = answer(site)
    text = page(client(site, Role.VIEWER), f"/results/{result_of(results, ResultKind.SR)}")
    for words in ("Imaging Measurement Report", "Pleural effusion probability", "97 %"):
        assert words in text, words
    image = image_of(make_image()).sop_instance_uid
    assert f'href="{HERE}/images/{image}"' in text


def test_a_pdf_is_opened_as_one(site: Site) -> None:
    _, results = answer(site)
    browser = client(site, Role.VIEWER)
    answered = browser.get(f"/results/{result_of(results, ResultKind.PDF)}/pdf")
    assert answered.content.startswith(b"%PDF")
    assert browser.get(f"/results/{result_of(results, ResultKind.SR)}/pdf").status_code == 404


def test_an_image_that_came_is_no_result(site: Site) -> None:
    answer(site)
    image = image_of(make_image()).sop_instance_uid
    assert client(site).get(f"/results/{image}").status_code == 404
    assert client(site).get(f"/results/{image}/file").status_code == 404


def test_an_image_has_a_page_with_what_lies_over_it(site: Site) -> None:
    _, results = answer(site)
    image = image_of(make_image()).sop_instance_uid
    browser = client(site, Role.VIEWER)
    assert "data-fades" in page(browser, f"{HERE}/images/{image}")
    assert browser.get(f"/studies/{uid('other')}/images/{image}").status_code == 404
    capture = result_of(results, ResultKind.SC)
    there = browser.get(f"{HERE}/images/{capture}")
    assert (there.status_code, there.headers["location"]) == (303, f"/results/{capture}")


def test_an_answer_stands_until_a_later_revision_has_one(site: Site) -> None:
    answer(site)
    browser = client(site, Role.OPERATOR)
    before = page(browser, HERE)
    browser.post(HERE, data={"act": "process", "pipeline": "all"})
    after_it = page(browser, HERE)
    assert ", superseded" not in after_it
    assert answers_in(after_it) == answers_in(before)
    with site.database.transaction() as tx:
        job = claim(tx, now=after(99_999_999))
        assert job is not None
        queue.finish(tx, job, make_results(job), {}, now=after(99_999_999))
    assert "revision 1, superseded" in page(browser, HERE)


def answers_in(text: str) -> str:
    return text.partition('<div id="answers">')[2].partition('aria-labelledby="images-head"')[0]

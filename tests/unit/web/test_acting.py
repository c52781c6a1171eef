from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicomnode.errors import NotFound, WrongStep
from dicomnode.logbook import audit
from dicomnode.people.accounts import Role
from dicomnode.records import State
from dicomnode.storage.database import Connection, Database
from dicomnode.web import acting
from dicomnode.web.access import Caller
from dicomnode.web.site import Site
from dicomnode.worklist import history, jobs
from tests.factories import STUDY_UID, uid
from tests.web import client, make_site
from tests.worklist import PIPELINE, delivered_job, failed_job, ready_job, undelivered_job

ADA = Caller(name="ada", role=Role.OPERATOR, address="127.0.0.1")
ALL = {"pipelines": {"all": 0}}


@pytest.fixture
def site(tmp_path: Path, database: Database) -> Site:
    return make_site(tmp_path, database)


def noted(site: Site) -> list[tuple[str, str, str]]:
    with site.database.reading() as tx:
        lines = [entry for _, entry in audit.listed(tx)][::-1]
    assert {line.user for line in lines} <= {"ada"}
    return [(line.action, line.patient_id, line.detail) for line in lines]


def begun(site: Site, make: Callable[..., Any], **changes: Any) -> int:
    with site.database.transaction() as tx:
        number: int = make(tx, **changes).id
        return number


def told(tx: Connection) -> str:
    return history.of_study(tx, STUDY_UID)[-1].detail


def test_what_can_be_done_is_and_of_the_rest_it_is_said_why_not(site: Site) -> None:
    failed = begun(site, failed_job)
    delivered = begun(site, delivered_job, study_uid="1.2.3")
    done = acting.retry(site, ADA, [failed, delivered, 99, failed])
    assert [(each.job_id, each.done, each.words) for each in done] == [
        (failed, True, f"job {failed} is ready"),
        (delivered, False, f"job {delivered} is delivered; there is nothing to retry"),
        (99, False, "there is no job 99"),
    ]
    assert acting.in_words(done) == "1 done, 2 not"
    assert noted(site) == [("job.retried", "SYN-0001", f"job {failed}")]
    with site.database.reading() as tx:
        assert told(tx) == "retried by ada"


def test_many_jobs_come_before_all_that_wait_and_keep_their_order(site: Site) -> None:
    before = begun(site, ready_job, study_uid="1.2.3", pipelines={PIPELINE: 5})
    first, second = begun(site, ready_job), begun(site, ready_job, study_uid="1.2.4")
    acting.raise_priority(site, ADA, [second, first])
    with site.database.reading() as tx:
        assert {number: jobs.get(tx, number).priority for number in (before, first, second)} == {
            before: 5,
            first: 6,
            second: 6,
        }


def test_a_job_is_cancelled_in_the_name_of_who_did_it(site: Site) -> None:
    job = begun(site, failed_job)
    assert [each.done for each in acting.cancel(site, ADA, [job])] == [True]
    with site.database.reading() as tx:
        found = jobs.get(tx, job)
    assert (found.state, found.reason) == (State.CANCELLED, "cancelled by ada")


def test_of_many_it_is_said_which_cannot_be_cancelled(site: Site) -> None:
    numbers = [begun(site, delivered_job, study_uid=study_uid) for study_uid in ("1.2", "1.3")]
    assert [each.words for each in acting.cancel(site, ADA, numbers)] == [
        f"job {number} is delivered; there is nothing to cancel" for number in numbers
    ]


def test_results_go_again_to_peers_that_are_configured_and_to_no_others(site: Site) -> None:
    job = begun(site, undelivered_job, **ALL)
    (no_peer,) = acting.resend(site, ADA, [job], "gone")
    assert (no_peer.done, no_peer.words) == (False, "there is no peer gone")
    (done,) = acting.resend(site, ADA, [job], "pacs")
    assert (done.done, done.words) == (True, f"job {job} is reported")
    assert noted(site) == [("job.resent", "SYN-0001", f"job {job} to pacs")]


def test_a_peer_that_is_no_destination_is_sent_nothing(site: Site) -> None:
    (site.config / "peers" / "other.toml").write_text(
        'ae_title = "OTHER"\nhost = "127.0.0.1"\nport = 1\n'
    )
    job = begun(site, undelivered_job, **ALL)
    (done,) = acting.resend(site, ADA, [job], "other")
    assert "no destination of all" in done.words


def test_a_study_is_given_to_a_pipeline_and_to_another_model(site: Site) -> None:
    begun(site, delivered_job)
    (done,) = acting.process(site, ADA, [STUDY_UID], "all", "demonstration")
    assert done.job_id is not None
    with site.database.reading() as tx:
        assert jobs.get(tx, done.job_id).model == "", "it is the pipeline's own"
    assert noted(site) == [("study.processed", "SYN-0001", f"job {done.job_id} by all")]
    (again,) = acting.process(site, ADA, [STUDY_UID], "all")
    assert "goes on by itself" in again.words
    (unknown,) = acting.process(site, ADA, [uid("nowhere")], "all")
    assert (unknown.job_id, unknown.done) == (None, False)


def test_a_pipeline_or_model_that_is_not_there_is_refused_for_all(site: Site) -> None:
    with pytest.raises(NotFound, match="no pipeline other"):
        acting.process(site, ADA, [STUDY_UID], "other")
    with pytest.raises(NotFound, match="no model other"):
        acting.process(site, ADA, [STUDY_UID], "all", "other")
    pipeline = site.config / "pipelines" / "all.toml"
    pipeline.write_text("enabled = false\n" + pipeline.read_text())
    with pytest.raises(WrongStep, match="turned off"):
        acting.process(site, ADA, [STUDY_UID], "all")


def test_the_interface_says_what_a_job_became_or_why_not(site: Site) -> None:
    failed, delivered = begun(site, failed_job), begun(site, delivered_job, study_uid="1.2.3")
    browser = client(site, Role.OPERATOR)
    assert browser.get("/api/jobs/99").status_code == 404
    assert browser.get(f"/api/jobs/{failed}").json()["reason"] == "no pixels"
    assert browser.post(f"/api/jobs/{failed}/retry").json()["state"] == "ready"
    raised = browser.post(f"/api/jobs/{failed}/priority", json={"priority": 7}).json()
    assert raised["priority"] == 7
    refused = browser.post(f"/api/jobs/{delivered}/retry")
    assert (refused.status_code, refused.json()) == (
        409,
        {"problem": f"job {delivered} is delivered; there is nothing to retry"},
    )
    many = {"action": "cancel", "jobs": [failed, delivered]}
    answer = browser.post("/api/jobs/actions", json=many).json()
    assert [each["done"] for each in answer] == [True, False]


def test_who_may_only_look_may_do_nothing(site: Site) -> None:
    failed = begun(site, failed_job)
    browser = client(site, Role.VIEWER)
    for way in ("retry", "cancel", "priority", "resend"):
        assert browser.post(f"/api/jobs/{failed}/{way}").status_code == 403
    assert browser.post(f"/studies/{STUDY_UID}", data={"act": "retry"}).status_code == 403
    with site.database.reading() as tx:
        assert jobs.get(tx, failed).state is State.FAILED

"""What is measured is what happened, and nothing of it is a patient's."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dicomnode.audit.events import Deed
from dicomnode.logbook import associations, audit, standing
from dicomnode.logbook.associations import Ended
from dicomnode.logbook.standing import Node, Sample
from dicomnode.people import accounts, keys
from dicomnode.people.accounts import Role
from dicomnode.records import Verdict, Visit, VisitState
from dicomnode.storage.database import Database
from dicomnode.web.app import build_app
from dicomnode.web.monitoring.measures import Measures
from dicomnode.web.site import Site
from dicomnode.worklist import by_hand, outbox, to_audit
from tests.fakes import LeavingDatabase
from tests.web import client, make_site, nobody
from tests.worklist import (
    NOW,
    after,
    delivered_job,
    enter,
    failed_job,
    not_analysed_job,
    ready_job,
    reported_job,
    say,
    undelivered_job,
)

PATIENTS = ("P-SECRET-1", "ACC-SECRET-1")


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    made = make_site(tmp_path, database, now=lambda: after(60))
    made.store.prepare()
    peer = made.config / "peers" / "pacs.toml"
    peer.write_text(peer.read_text() + "may_send = true\n")
    (made.config / "pipelines" / "chest.toml").write_text('destinations = ["pacs"]\n')
    return made


def scrape(site: Site) -> dict[str, float]:
    """Every sample by its name and labels."""
    text = site.measures.text(site.database, site.settings(), site.store, now=site.now())
    lines = (line for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_what_happened_after_the_first_scrape_is_counted_once(site: Site) -> None:
    with site.database.transaction() as tx:
        enter(tx, 90, study_uid="1.2.90")
    before = scrape(site)
    assert before['dicomnode_studies_received_total{peer="pacs"}'] == 0
    with site.database.transaction() as tx:
        for number, make in enumerate(
            (delivered_job, failed_job, not_analysed_job, undelivered_job), 1
        ):
            make(tx, study_uid=f"1.2.{number}", images=2)
        enter(tx, 5, study_uid="1.2.5", calling_ae="PACS")
        enter(tx, 91, study_uid="1.2.90")

    for found in (scrape(site), scrape(site)):
        assert found['dicomnode_studies_received_total{peer="other"}'] == 4
        assert found['dicomnode_studies_received_total{peer="pacs"}'] == 1
        assert found['dicomnode_instances_received_total{peer="other"}'] == 9
        moved = 'dicomnode_job_moves_total{pipeline="chest",state="delivered"}'
        assert (before[moved], found[moved]) == (0, 1)
        assert found['dicomnode_failures_total{kind="failed"}'] == 1
        assert found['dicomnode_failures_total{kind="undelivered"}'] == 1
        assert found['dicomnode_failures_total{kind="refused"}'] == 1
        assert found['dicomnode_not_analysed_total{cause="view"}'] == 1
        assert found['dicomnode_results_delivered_total{kind="sc",peer="pacs"}'] == 3
        assert found['dicomnode_results_refused_total{kind="sr",peer="pacs"}'] == 1
        assert found['dicomnode_result_seconds_count{pipeline="chest"}'] == 3


def test_results_that_are_sent_again_are_not_timed_again(site: Site) -> None:
    scrape(site)
    with site.database.transaction() as tx:
        job = delivered_job(tx)
    took = 'dicomnode_result_seconds_count{pipeline="chest"}'
    assert scrape(site)[took] == 1
    with site.database.transaction() as tx:
        by_hand.resend(tx, job.id, {"pacs": ()}, now=after(600))
    assert scrape(site)[took] == 1


def test_each_counter_says_since_when_it_counts(site: Site) -> None:
    text = site.measures.text(site.database, site.settings(), site.store, now=site.now()).decode()
    lines = [line.split(maxsplit=3) for line in text.splitlines() if line.startswith("#")]
    help_of = {name: words for _, what, name, words in lines if what == "HELP"}
    kinds = {name: words for _, what, name, words in lines if what == "TYPE"}
    counters = [name for name, kind in kinds.items() if kind in ("counter", "histogram")]
    assert len(counters) > 5
    for name in counters:
        assert "since the first scrape" in help_of[name]


def test_what_there_is_now_is_told_with_its_age(site: Site) -> None:
    with site.database.transaction() as tx:
        reported_job(tx, study_uid="1.2.2")
        failed_job(tx, study_uid="1.2.3", now=after(1))
        ready_job(tx, study_uid="1.2.1", now=after(10))

    found = scrape(site)

    for state in ("ready", "reported", "failed"):
        assert found[f'dicomnode_jobs{{pipeline="chest",state="{state}"}}'] == 1
    assert found["dicomnode_queue_age_seconds"] == pytest.approx(50)
    assert found['dicomnode_deliveries_owed{peer="pacs"}'] == 2
    assert found["dicomnode_disk_free_bytes"] > 0
    assert found["dicomnode_database_up"] == 1
    assert found['dicomnode_model_info{model="chest-model",pipeline="chest",version="1.0"}'] == 1


def test_nodes_machines_and_peers_are_told(site: Site) -> None:
    node = {"version": "1.0", "port": 1, "started_at": NOW, "digest": ""}
    with site.database.transaction() as tx:
        standing.report(tx, Node(holder="A@a", seen_at=after(55), mistakes=("x",), **node))  # type: ignore[arg-type]
        standing.report(tx, Node(holder="B@b", seen_at=NOW, **node))  # type: ignore[arg-type]
        sample = Sample(
            holder="A@a", at=after(30), cpu=0.5, gpu=None, memory_bytes=7, disk_free_bytes=1
        )
        standing.add_sample(tx, sample)
        standing.echoed(tx, "pacs", "no answer", now=NOW)
        standing.echoed(tx, "gone", "", now=NOW)

    found = scrape(site)

    assert found['dicomnode_node_up{node="A@a"}'] == 1
    assert found['dicomnode_node_up{node="B@b"}'] == 0
    assert found['dicomnode_configuration_mistakes{node="A@a"}'] == 1
    assert found['dicomnode_cpu_share{node="A@a"}'] == 0.5
    assert found['dicomnode_memory_bytes{node="A@a"}'] == 7
    assert found['dicomnode_peer_up{peer="pacs"}'] == 0
    assert not [name for name in found if "gone" in name or "gpu_share" in name]


def test_how_far_the_audit_trail_is_behind_is_told_for_each_that_is_wanted(site: Site) -> None:
    marker = {"after": 0, "missing": {}}
    place = {"deeds": marker, "arrived": 0, "history": marker, "open": []}
    with site.database.transaction() as tx:
        for sink in ("file", "syslog"):
            to_audit.keep_place(tx, sink, place, now=NOW)
        for _ in range(3):
            audit.note(tx, Deed(at=NOW, user="ada", address="", action="login"))

    found = scrape(site)

    assert found['dicomnode_audit_behind{sink="file"}'] == 3
    assert 'dicomnode_audit_behind{sink="syslog"}' not in found


def visit(state: VisitState, calling_ae: str = "X") -> Visit:
    return Visit(
        state=state, calling_ae=calling_ae, called_ae="DICOMNODE", address="10.0.0.1", seconds=1
    )


def test_rows_of_associations_that_are_counted_on_are_counted_once(site: Site) -> None:
    scrape(site)
    accepted = 'dicomnode_associations_total{cause="",outcome="accepted"}'
    refused = 'dicomnode_associations_total{cause="",outcome="refused"}'
    with site.database.transaction() as tx:
        rows = [
            Ended(visit=visit(VisitState.RELEASED), at=NOW, ended_at=NOW),
            Ended(visit=visit(VisitState.REJECTED), at=NOW, ended_at=NOW, count=3),
        ]
        _, number = associations.write(tx, rows)
    assert (scrape(site)[accepted], scrape(site)[refused]) == (1, 3)

    with site.database.transaction() as tx:
        again = Ended(
            visit=visit(VisitState.REJECTED), at=NOW, ended_at=after(9), count=5, id=number
        )
        associations.write(tx, [again])

    assert (scrape(site)[accepted], scrape(site)[refused]) == (1, 5)


def test_names_that_senders_choose_make_no_series(site: Site) -> None:
    scrape(site)
    size = len(scrape(site))
    with site.database.transaction() as tx:
        for number in range(200):
            enter(tx, number, study_uid=f"1.2.{number}", calling_ae=f"AE{number}")
        rows = [
            Ended(visit=visit(VisitState.REJECTED, f"AE{n}"), at=after(n), ended_at=after(n))
            for n in range(200)
        ]
        associations.write(tx, rows)

    assert len(scrape(site)) <= size + 10


def test_nothing_of_patients_is_measured(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    scrape(site)
    with site.database.transaction() as tx:
        changes = {"patient_id": PATIENTS[0], "accession_number": PATIENTS[1]}
        delivered_job(tx, study_uid="1.2.1", **changes)
        job = reported_job(tx, study_uid="1.2.2", now=after(1), **changes)
        for delivery in outbox.of_job(tx, job.id):
            say(tx, delivery, Verdict.NEVER, f"of {PATIENTS[0]}: no")
    browser = client(site)

    said = [browser.get(path).text for path in ("/metrics", "/health/live", "/health/ready")]

    assert 'kind="refused"' in said[0]
    for secret in (*PATIENTS, "1.2.1", "1.2.2"):
        assert not re.search(rf"{re.escape(secret)}\b", "".join(said) + caplog.text)


def asked(site: Site, address: str, **headers: str) -> int:
    caller = TestClient(build_app(site), base_url="http://node", client=(address, 5000))
    return caller.get("/metrics", headers=headers).status_code


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_may_ask(site: Site, address: str) -> None:
    assert asked(site, address) == 200


def test_strangers_may_not_ask_unless_it_is_said(site: Site) -> None:
    assert asked(site, "10.0.0.5") == 401
    assert asked(site, "testclient") == 401
    assert asked(site, "10.0.0.5", authorization="Bearer wrong") == 401

    node = site.config / "node.toml"
    node.write_text(node.read_text().replace("[web]\n", "[web]\nmetrics_open = true\n"))

    assert asked(site, "10.0.0.5") == 200


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
def test_a_proxy_on_this_machine_does_not_open_it_to_everybody(site: Site, header: str) -> None:
    assert asked(site, "127.0.0.1", **{header: "10.0.0.5"}) == 401


def test_who_has_a_key_or_is_logged_in_may_ask(site: Site) -> None:
    assert client(site, Role.VIEWER).get("/metrics").status_code == 200
    with site.database.transaction() as tx:
        user = accounts.get(tx, Role.VIEWER)
        assert user is not None
        key = keys.make(tx, user, "prometheus", Role.VIEWER, None, now=site.now())
    assert asked(site, "10.0.0.5", authorization=f"Bearer {key}") == 200


def test_a_database_that_is_away_is_a_measure(sqlite_url: str, tmp_path: Path) -> None:
    database = LeavingDatabase(sqlite_url)
    site = make_site(tmp_path, database)
    site.store.prepare()
    scrape(site)
    database.away = True

    found = scrape(site)

    assert found["dicomnode_database_up"] == 0
    assert found["dicomnode_disk_free_bytes"] > 0
    assert 'dicomnode_failures_total{kind="failed"}' in found
    database.close()


def ready(site: Site) -> tuple[int, list[str]]:
    answer = nobody(site).get("/health/ready")
    told = answer.json()
    assert told["ready"] is (answer.status_code == 200)
    return answer.status_code, told["problems"]


def test_a_node_that_lives_is_ready_and_one_that_was_not_heard_of_is_not(site: Site) -> None:
    assert ready(site) == (503, ["the node was not heard of lately"])
    node = Node(holder="A@a", version="1", port=1, started_at=NOW, seen_at=after(55), digest="")
    with site.database.transaction() as tx:
        standing.report(tx, node)

    assert ready(site) == (200, [])


def test_a_full_disk_and_a_database_away_are_said(sqlite_url: str, tmp_path: Path) -> None:
    database = LeavingDatabase(sqlite_url)
    site = make_site(tmp_path, database)
    node = site.config / "node.toml"
    node.write_text(
        node.read_text().replace("[storage]\n", f"[storage]\nlow_water_bytes = {10**18}\n")
    )
    database.away = True

    assert ready(site) == (503, ["the database does not answer", "the disk is nearly full"])
    assert nobody(site).get("/health/live").json() == {"status": "live"}
    database.close()


def test_a_page_that_begins_now_counts_from_now(site: Site) -> None:
    with site.database.transaction() as tx:
        delivered_job(tx, study_uid="1.2.1")
    measures = Measures()

    first = measures.text(site.database, site.settings(), site.store, now=NOW + timedelta(hours=1))

    assert b'dicomnode_failures_total{kind="failed"} 0.0' in first
    assert b'state="delivered"} 0.0' in first

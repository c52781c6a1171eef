from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.logbook import standing
from dicomnode.logbook.standing import Node, Sample
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web.access import Caller
from dicomnode.web.monitoring import plots
from dicomnode.web.monitoring.overview import Overviews
from dicomnode.web.pages import today
from dicomnode.web.site import Site
from dicomnode.worklist import outbox
from dicomnode.worklist.overview import Hour
from tests.factories import uid
from tests.web import client, make_site
from tests.worklist import (
    delivered_job,
    failed_job,
    owed,
    reported_job,
    undelivered_job,
    waiting_job,
)

NOW = datetime(2026, 1, 2, 12, 30, tzinfo=UTC)
CALLER = Caller(name="ada", role=Role.VIEWER, address="", csrf="of this session")


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Site:
    return make_site(tmp_path, Database(sqlite_url), now=lambda: NOW)


def node(**changes: object) -> Node:
    usual: dict[str, object] = {
        "holder": "DICOMNODE@ward",
        "version": "0.1.0",
        "port": 11112,
        "started_at": NOW - timedelta(hours=3),
        "seen_at": NOW,
        "digest": "",
    }
    return Node(**(usual | changes))  # type: ignore[arg-type]


def test_an_empty_worklist_says_what_to_do(site: Site) -> None:
    page = client(site, Role.VIEWER).get("/")
    assert page.status_code == 200
    for words in ("No node has said yet", "Nothing was delivered today yet", "not asked yet"):
        assert words in page.text


def test_what_is_wrong_stands_at_the_top(site: Site) -> None:
    with site.database.transaction() as tx:
        wrong = {"mistakes": ("peers/ct.toml:3 <port>",), "restart": ("receive.port",)}
        standing.report(tx, node(seen_at=NOW - timedelta(minutes=5), **wrong))
    page = client(site, Role.VIEWER).get("/").text
    assert "DICOMNODE@ward is silent" in page
    assert "peers/ct.toml:3 &lt;port&gt;" in page
    assert "<code>receive.port</code>" in page


def test_a_peer_that_only_sends_need_not_answer(site: Site) -> None:
    (site.config / "peers" / "ct.toml").write_text(
        'ae_title = "CT"\nhost = "127.0.0.1"\nport = 104\nmay_send = true\n'
    )
    with site.database.transaction() as tx:
        for peer in ("ct", "pacs"):
            standing.echoed(tx, peer, "nothing listens", now=NOW)
    page = client(site, Role.VIEWER).get("/").text
    assert page.count('<span class="state bad">does not hear us</span>') == 1
    assert '<span class="state ">only sends to us</span>' in page


def test_a_peer_that_did_not_take_results_is_not_said_to_hear_us(site: Site) -> None:
    with site.database.transaction() as tx:
        standing.echoed(tx, "pacs", "", now=NOW - timedelta(minutes=1))
        reported_job(tx, now=NOW - timedelta(hours=1))
        taken = owed(tx, now=NOW)
        outbox.give_back(tx, taken, "connection refused", give_up_after_s=1e6, now=NOW)
    browser = client(site, Role.VIEWER)
    page = browser.get("/").text
    assert "hears us</span>" not in page
    assert '<span class="state bad">did not take results</span>' in page
    assert page.count("connection refused") == 1
    (pacs,) = browser.get("/api/overview").json()["health"].values()
    assert (pacs["state"], pacs["why"]) == ("did not take results", "connection refused")


def test_the_interface_tells_the_figures(site: Site) -> None:
    with site.database.transaction() as tx:
        delivered_job(tx, study_uid=uid("a"), now=NOW - timedelta(minutes=10))
        failed_job(tx, study_uid=uid("b"), now=NOW - timedelta(days=2))
        undelivered_job(tx, study_uid=uid("c"), now=NOW - timedelta(minutes=70))
        standing.echoed(tx, "pacs", "", now=NOW)
        standing.add_sample(
            tx,
            Sample(holder="n", at=NOW, cpu=0.5, gpu=None, memory_bytes=1, disk_free_bytes=2),
        )
        standing.report(tx, node(holder="n"))
    told = client(site, Role.VIEWER).get("/api/overview").json()
    assert told["received"] == {"today": 2, "now": 3}
    assert told["states"]["delivered"] == {"today": 1, "now": 1}
    assert told["states"]["failed"] == {"today": 0, "now": 1}
    assert told["times"] == {"count": 1, "median_s": 0, "p95_s": 0}
    assert [hour["received"] for hour in told["hours"][-2:]] == [1, 1]
    assert told["hours"][-2]["troubled"] == 1
    (pacs,) = told["peers"]
    assert (pacs["peer"], pacs["owed"], pacs["error"]) == ("pacs", 0, "0xA900: no SR here")
    assert told["machines"][0]["samples"][0]["cpu"] == 0.5
    assert not told["nodes"][0]["silent"]


def test_the_parts_follow_the_worklist(site: Site) -> None:
    site = replace(site, overviews=Overviews(fresh_s=-1.0))
    before = today._parts(site, CALLER)
    with site.database.transaction() as tx:
        waiting_job(tx, now=NOW)
    after = today._parts(site, CALLER)
    assert list(before) == list(today._PARTS)
    assert {name for name in before if before[name] != after[name]} == {"figures", "plots"}
    assert ">1</span> waiting for images" in after["figures"]


def test_who_looks_at_the_same_time_sees_the_same(site: Site) -> None:
    overviews = Overviews(fresh_s=3600.0)
    first, second = (
        overviews.latest(site.database, site.settings(), now=site.now()) for _ in range(2)
    )
    assert first is second


def test_bars_reach_as_high_as_their_numbers() -> None:
    hours = [
        Hour(at=NOW, received=8, delivered=3, troubled=1),
        Hour(at=NOW, received=0, delivered=0, troubled=0),
    ]
    drawn = plots.by_hour(hours)
    heights = {bar.kind: bar.height for bar in drawn.bars}
    assert heights["received"] == pytest.approx(heights["delivered"] / 3 * 8)
    assert heights["troubled"] == pytest.approx(heights["delivered"] / 3)
    assert [mark.words for mark in drawn.up] == ["0", "5", "10"]


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    at = [NOW + timedelta(minutes=minute) for minute in (0, 1, 30, 31)]
    samples = [
        Sample(holder="n", at=each, cpu=0.5, gpu=None, memory_bytes=0, disk_free_bytes=0)
        for each in at
    ]
    drawn = plots.of_machine(samples)
    assert list(drawn.lines) == ["cpu"]
    assert len(drawn.lines["cpu"]) == 2

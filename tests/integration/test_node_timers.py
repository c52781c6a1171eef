"""What the node does by the clock: leases, retention, results for nobody, the peers' health."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dicomnode.config.settings import NodeSettings
from dicomnode.errors import Cause, StoreError
from dicomnode.logbook import standing
from dicomnode.node.timers import Timers
from dicomnode.records import Job, Peer, State
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import jobs, outbox
from tests.factories import STUDY_UID, make_dataset, make_peer, uid
from tests.fakes import LeavingDatabase
from tests.node import in_force, make_store, receive, study_history
from tests.running import until
from tests.worklist import (
    PIPELINE,
    claim,
    delivered_job,
    enter,
    failed_job,
    reported_job,
    running_job,
)

DAY = timedelta(days=1)
PEERS = {"pacs": make_peer(name="pacs")}


class Clockwork:
    """The timers with everything around them."""

    def __init__(self, database: Database, folder: Path, **settings: Any) -> None:
        self.database = database
        self.store = make_store(folder)
        self.troubles: dict[str, str] = {}  #: of peers, by name
        self._settings = NodeSettings.model_validate(settings)

    def timers(
        self, peers: Mapping[str, Peer] = PEERS, *, store: ObjectStore | None = None
    ) -> Timers:
        return Timers(
            in_force(node=self._settings, peers=peers),
            self.database,
            store or self.store,
            lambda peer: self.troubles.get(peer.name, ""),
        )

    def job(self, job: Job) -> Job:
        with self.database.reading() as tx:
            return jobs.get(tx, job.id)


@pytest.fixture
def works(sqlite_url: str, tmp_path: Path) -> Iterator[Clockwork]:
    database = Database(sqlite_url)
    yield Clockwork(database, tmp_path / "node")
    database.close()


# --- leases ---------------------------------------------------------------------------------


def test_a_lease_that_ran_out_gives_the_job_to_others(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    works = Clockwork(database, tmp_path / "node")
    with database.transaction() as tx:
        lost = running_job(tx)  # in the past, for a minute
        held = running_job(tx, study_uid=uid("another"), now=datetime.now(UTC))

    works.timers().expire_leases()

    assert (works.job(lost).state, works.job(held).state) == (State.READY, State.RUNNING)
    assert caplog.messages == ["lease.expired"]


def test_a_job_that_lost_its_worker_too_often_is_not_analysed_any_more(
    sqlite_url: str, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    works = Clockwork(database, tmp_path / "node", worklist={"attempts": 1})
    with database.transaction() as tx:
        job = running_job(tx)

    works.timers().expire_leases()
    assert (works.job(job).state, works.job(job).refused) == (State.READY, None)

    with database.transaction() as tx:
        assert claim(tx)  # the first time, another job may have been what killed the worker
    works.timers().expire_leases()
    assert (works.job(job).state, works.job(job).refused) == (State.READY, Cause.MODEL_FAILED)
    assert works.job(job).reason == "a worker was lost with this job; attempts: 2"
    database.close()


# --- results for a peer that is gone --------------------------------------------------------


def test_says_why_results_wait_for_a_peer_that_is_not_configured_any_more(
    database: Database, tmp_path: Path
) -> None:
    works = Clockwork(database, tmp_path / "node")
    with database.transaction() as tx:
        job = reported_job(tx, peers=("pacs", "old"), now=datetime.now(UTC))

    works.timers().give_up_stranded()

    with database.reading() as tx:
        said = {(item.peer, item.message) for item in outbox.of_job(tx, job.id)}
    assert said == {("pacs", ""), ("old", "peer old is not configured any more")}
    assert works.job(job).state is State.REPORTED


def test_gives_up_in_time_what_is_owed_to_a_peer_that_is_gone(works: Clockwork) -> None:
    with works.database.transaction() as tx:
        job = reported_job(tx, peers=("old",))  # years ago

    works.timers().give_up_stranded()

    assert works.job(job).state is State.UNDELIVERED
    assert "peer old is not configured any more" in works.job(job).reason


# --- retention ------------------------------------------------------------------------------


def keep(works: Clockwork, job: Job) -> list[Path]:
    """The study's image and result on disk."""
    receive(works.store, make_dataset(1))
    (waiting,) = works.store.waiting(1)
    image = works.store.settle(waiting, job.study_uid)
    return [image, works.store.keep_result(job.study_uid, "1.2.3", b"result")]


def test_bytes_and_rows_of_a_study_that_is_over_are_removed_and_its_history_stays(
    database: Database, tmp_path: Path
) -> None:
    works = Clockwork(database, tmp_path / "node", storage={"keep_days": 30})
    with database.transaction() as tx:
        job = delivered_job(tx, now=datetime.now(UTC) - 31 * DAY)
    files = keep(works, job)

    works.timers().remove_old()

    assert not any(file.exists() for file in files)
    assert works.job(job).received == 0
    assert works.job(job).state is State.DELIVERED
    assert study_history(database)[-1].event == "removed"


def test_a_study_stays_while_its_time_is_not_over(works: Clockwork) -> None:
    with works.database.transaction() as tx:
        job = delivered_job(tx, now=datetime.now(UTC) - 29 * DAY)
    files = keep(works, job)

    works.timers().remove_old()

    assert all(file.exists() for file in files)


def test_a_study_that_failed_stays_until_someone_has_looked(works: Clockwork) -> None:
    with works.database.transaction() as tx:
        job = failed_job(tx, now=datetime.now(UTC) - 300 * DAY)
    files = keep(works, job)

    works.timers().remove_old()

    assert all(file.exists() for file in files)


class _DyingStore(ObjectStore):
    """The process is killed when the bytes are gone and the rows are not yet."""

    def remove_study(self, study_uid: str) -> None:
        super().remove_study(study_uid)
        raise SystemExit


def test_a_crash_between_bytes_and_rows_is_made_good_by_the_next_pass(
    database: Database, tmp_path: Path
) -> None:
    works = Clockwork(database, tmp_path / "node")
    with database.transaction() as tx:
        job = delivered_job(tx, now=datetime.now(UTC) - 31 * DAY)
    keep(works, job)
    with pytest.raises(SystemExit):
        works.timers(store=_DyingStore(tmp_path / "node")).remove_old()
    assert works.job(job).received == 1

    works.timers().remove_old()

    assert works.job(job).received == 0
    assert [event.event for event in study_history(database)].count("removed") == 1


def test_an_image_that_comes_after_its_study_was_removed_is_a_new_revision(
    works: Clockwork,
) -> None:
    with works.database.transaction() as tx:
        job = delivered_job(tx, now=datetime.now(UTC) - 31 * DAY)
    works.timers().remove_old()

    with works.database.transaction() as tx:
        enter(tx, 1, now=datetime.now(UTC))
        newest = jobs.latest(tx, STUDY_UID, PIPELINE)

    assert newest is not None
    assert (newest.id > job.id, newest.revision, newest.received) == (True, 2, 1)


# --- the peers' health ----------------------------------------------------------------------


def test_logs_once_when_a_peer_is_lost_and_once_when_it_is_back(
    works: Clockwork, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dicomnode")
    timers = works.timers({"pacs": make_peer(name="pacs"), "viewer": make_peer(name="viewer")})

    timers.echo_peers()
    assert caplog.messages == []
    works.troubles["pacs"] = "nothing listens there"
    timers.echo_peers()
    timers.echo_peers()
    works.troubles.clear()
    timers.echo_peers()
    timers.echo_peers()

    assert caplog.messages == ["peer.silent", "peer.heard"]
    assert {vars(record)["peer"] for record in caplog.records} == {"pacs"}


# --- the clock itself -----------------------------------------------------------------------


def test_the_timers_run_by_themselves_and_outlive_an_outage(
    sqlite_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dicomnode.node.timers._LEASES_S", 0.02)
    database = LeavingDatabase(sqlite_url)
    works = Clockwork(database, tmp_path / "node")
    with database.transaction() as tx:
        job = running_job(tx)  # its lease ran out long ago
    timers = works.timers()
    database.away = True
    timers.start()
    try:
        until(lambda: "timer.failed" in caplog.messages)
        database.away = False
        until(lambda: works.job(job).state is State.READY)
    finally:
        timers.stop()
    database.close()


def test_what_the_disk_refuses_to_remove_is_tried_again(works: Clockwork, tmp_path: Path) -> None:
    with works.database.transaction() as tx:
        job = delivered_job(tx, now=datetime.now(UTC) - 31 * DAY)
    keep(works, job)
    (tmp_path / "node" / "partial").rename(tmp_path / "gone")
    (tmp_path / "node" / "partial").touch()
    with pytest.raises(StoreError):
        works.timers().remove_old()
    assert works.job(job).received == 1
    (tmp_path / "node" / "partial").unlink()
    (tmp_path / "gone").rename(tmp_path / "node" / "partial")

    works.timers().remove_old()

    assert works.job(job).received == 0


def test_what_peers_said_is_written_down_although_the_database_was_away(
    sqlite_url: str, tmp_path: Path
) -> None:
    database = LeavingDatabase(sqlite_url)
    works = Clockwork(database, tmp_path / "node")
    timers = works.timers({"pacs": PEERS["pacs"], "mute": make_peer(name="mute")})
    works.troubles["mute"] = "no route to it"
    database.away = True
    timers.echo_peers()
    database.away = False
    timers.echo_peers()

    with database.reading() as tx:
        found = standing.peers(tx)
    assert {name: health.problem for name, health in found.items()} == {
        "mute": "no route to it",
        "pacs": "",
    }
    assert found["pacs"].heard_at is not None
    database.close()


def test_peers_that_are_new_are_asked_at_once(works: Clockwork) -> None:
    peers = dict(PEERS)
    timers = works.timers(peers)
    timers.echo_soon()  # before there is any timer
    timers.start()
    try:
        peers["new"] = make_peer(name="new")
        timers.echo_soon()

        def known() -> bool:
            with works.database.reading() as tx:
                return "new" in standing.peers(tx)

        until(known, timeout_s=9)  # the first round by the clock comes after ten
    finally:
        timers.stop()

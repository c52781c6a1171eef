"""Results on their way to a peer: in order, again when need be, and given up in the end."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.config.settings import DeliverSettings
from dicomnode.errors import DatabaseAway
from dicomnode.node.courier import Courier
from dicomnode.records import Delivery, Job, ResultKind, State, Verdict
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.worklist import jobs, outbox, owing
from tests.factories import make_peer, uid
from tests.fakes import FakeSend, LeavingDatabase
from tests.node import make_store
from tests.running import looping, until
from tests.worklist import owed, reported_job

PACS = make_peer(name="pacs", ae_title="PACS")
VIEWER = make_peer(name="viewer", ae_title="VIEWER")
SETTINGS = DeliverSettings(first_retry_s=1.0, longest_retry_s=4.0)


class Outbox:
    """A worklist that owes results, with their bytes on disk, and couriers for it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.store: ObjectStore = make_store(folder)
        self.send = FakeSend()

    def courier(self, *, holder: str = "node", settings: DeliverSettings = SETTINGS) -> Courier:
        return Courier(PACS, self.store, self.database, self.send, settings, holder=holder)

    def job(self, number: int = 1, peers: tuple[str, ...] = ("pacs",)) -> Job:
        """A study whose capture and report are owed since now."""
        with self.database.transaction() as tx:
            made = reported_job(
                tx, study_uid=uid("study", number), peers=peers, now=datetime.now(UTC)
            )
        for item in self.deliveries(made):
            data = item.sop_instance_uid.encode()
            self.store.keep_result(item.study_uid, item.sop_instance_uid, data)
        return made

    def deliveries(self, job: Job) -> list[Delivery]:
        with self.database.reading() as tx:
            return outbox.of_job(tx, job.id)

    def uids(self, job: Job) -> list[str]:
        """The job's capture and its report."""
        return list(dict.fromkeys(item.sop_instance_uid for item in self.deliveries(job)))

    def state(self, job: Job) -> State:
        return self.again(job).state

    def again(self, job: Job) -> Job:
        with self.database.reading() as tx:
            return jobs.get(tx, job.id)

    @property
    def sent(self) -> list[str]:
        return [uid for uid, _ in self.send.sent]


@pytest.fixture
def out(sqlite_url: str, tmp_path: Path) -> Iterator[Outbox]:
    database = Database(sqlite_url)
    yield Outbox(database, tmp_path / "node")
    database.close()


# --- in order -------------------------------------------------------------------------------


def test_captures_leave_before_their_report_and_jobs_in_turn(
    database: Database, tmp_path: Path
) -> None:
    out = Outbox(database, tmp_path / "node")
    first, second = out.job(1), out.job(2)
    assert [item.kind for item in out.deliveries(first)] == [ResultKind.SC, ResultKind.SR]

    assert out.courier().deliver_batch() == 0.0

    assert out.sent == out.uids(first) + out.uids(second)
    assert out.send.sent == [(uid, uid.encode()) for uid in out.sent]
    assert (out.state(first), out.state(second)) == (State.DELIVERED, State.DELIVERED)


def test_a_result_that_was_stored_is_logged_without_a_problem(
    out: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dicomnode")
    out.job()

    out.courier().deliver_batch()

    lines = [vars(line) for line in caplog.records if line.message == "result.delivered"]
    assert [line["status"] for line in lines] == ["0x0000"] * 2
    assert not any("problem" in line for line in lines)


def test_looks_again_soon_when_nothing_is_owed(out: Outbox) -> None:
    assert 0 < out.courier().deliver_batch() <= 1


def test_what_a_peer_wants_later_holds_back_its_own_job_only(
    database: Database, tmp_path: Path
) -> None:
    out = Outbox(database, tmp_path / "node")
    first, second = out.job(1), out.job(2)
    capture, report = out.uids(first)
    out.send.says[capture] = [Verdict.LATER]
    courier = out.courier()

    courier.deliver_batch()
    assert out.sent == [capture]
    courier.deliver_batch()

    assert out.sent == [capture, *out.uids(second)]
    assert report not in out.sent
    assert (out.state(first), out.state(second)) == (State.REPORTED, State.DELIVERED)


def test_what_had_to_wait_goes_when_its_time_has_come(out: Outbox) -> None:
    job = out.job()
    capture, report = out.uids(job)
    out.send.says[capture] = [Verdict.LATER]
    courier = out.courier(settings=DeliverSettings(first_retry_s=0.01, longest_retry_s=0.01))

    until(lambda: courier.deliver_batch() > 0 and out.state(job) is State.DELIVERED)

    assert out.sent == [capture, capture, report]


# --- a peer that is away --------------------------------------------------------------------


def test_waits_longer_for_a_peer_that_stays_away_and_forgets_it_when_it_is_back(
    out: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    job = out.job()
    courier = out.courier()
    out.send.away = "nothing listens there"

    waits = [courier.deliver_batch() for _ in range(5)]

    for wait_s, longest_s in zip(waits, [1, 2, 4, 4, 4], strict=True):
        assert longest_s / 2 <= wait_s <= longest_s
    assert caplog.messages.count("peer.away") == 5
    assert {item.message for item in out.deliveries(job)} == {"nothing listens there"}
    assert {item.attempts for item in out.deliveries(job)} == {0}

    out.send.away = ""
    assert courier.deliver_batch() == 0.0
    assert out.state(job) is State.DELIVERED
    out.job(2)
    out.send.away = "gone again"
    assert courier.deliver_batch() <= 1.0


def test_a_peer_that_is_away_keeps_no_other_peer_waiting(out: Outbox) -> None:
    job = out.job(peers=("pacs", "viewer"))
    out.send.away = "nothing listens there"
    out.courier().deliver_batch()
    viewers = FakeSend()

    Courier(VIEWER, out.store, out.database, viewers, SETTINGS, holder="node").deliver_batch()

    assert [uid for uid, _ in viewers.sent] == out.uids(job)


def test_a_slow_peer_keeps_no_other_peer_waiting(database: Database, tmp_path: Path) -> None:
    out = Outbox(database, tmp_path / "node")
    job = out.job(peers=("pacs", "viewer"))
    others, asked, answered = FakeSend(), threading.Event(), threading.Event()

    def stay() -> None:
        asked.set()
        answered.wait(60)

    out.send.on_arrival = stay
    slow = threading.Thread(target=out.courier().deliver_batch)
    slow.start()
    assert asked.wait(60)

    Courier(VIEWER, out.store, database, others, SETTINGS, holder="node").deliver_batch()

    assert [uid for uid, _ in others.sent] == out.uids(job)
    assert out.state(job) is State.REPORTED
    answered.set()
    slow.join()
    assert out.state(job) is State.DELIVERED


# --- refused, given up ----------------------------------------------------------------------


def test_a_refused_result_ends_the_job_with_the_peers_reason(
    out: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    job = out.job()
    out.send.says[out.uids(job)[1]] = [Verdict.NEVER]

    out.courier().deliver_batch()

    assert out.state(job) is State.UNDELIVERED
    assert out.again(job).reason == "pacs: pacs says never"
    (refused,) = [vars(line) for line in caplog.records if line.message == "result.refused"]
    assert refused["problem"] == "pacs says never"
    assert "status" not in refused


@pytest.mark.parametrize("why", ["away", "later"])
def test_a_result_owed_for_too_long_is_given_up(why: str, out: Outbox) -> None:
    job = out.job()
    capture, report = out.uids(job)
    if why == "away":
        out.send.away = "nothing listens there"
    out.send.says[capture] = out.send.says[report] = [Verdict.LATER]
    courier = out.courier(settings=DeliverSettings(give_up_after_h=1e-9))

    courier.deliver_batch()
    courier.deliver_batch()

    assert out.state(job) is State.UNDELIVERED
    assert "gave up after" in out.again(job).reason


# --- the database is away, the node is killed -----------------------------------------------


def test_what_was_sent_and_not_written_down_is_sent_again_with_the_same_bytes(
    database_url: str, tmp_path: Path
) -> None:
    database = LeavingDatabase(database_url)
    out = Outbox(database, tmp_path / "node")
    job = out.job()
    courier = out.courier()
    out.send.on_arrival = lambda: setattr(database, "away", True)

    with pytest.raises(DatabaseAway):
        courier.deliver_batch()
    database.away = False
    out.send.on_arrival = lambda: None
    courier.deliver_batch()

    assert out.state(job) is State.DELIVERED
    capture, report = out.uids(job)
    assert out.sent == [capture, capture, report]
    assert out.send.sent[0] == out.send.sent[1]
    database.close()


def test_a_killed_nodes_results_are_taken_up_by_the_same_node_at_once(
    database: Database, tmp_path: Path
) -> None:
    out = Outbox(database, tmp_path / "node")
    job = out.job()
    with database.transaction() as tx:
        assert owed(tx, holder="node", now=datetime.now(UTC))  # and then the power failed

    out.courier(holder="another node").deliver_batch()
    assert out.sent == []
    out.courier(holder="node").deliver_batch()
    assert out.state(job) is State.DELIVERED


def test_goes_on_by_itself_when_the_database_is_back(
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("dicomnode.node.courier._DATABASE_WAIT_S", 0.01)
    database = LeavingDatabase(sqlite_url)
    out = Outbox(database, tmp_path / "node")
    job = out.job()
    database.away = True
    with looping(out.courier().run):
        until(lambda: "courier.waiting" in caplog.messages)
        database.away = False
        until(lambda: out.state(job) is State.DELIVERED)
    database.close()


def test_a_cancelled_job_sends_nothing(out: Outbox) -> None:
    job = out.job()
    with out.database.transaction() as tx:
        owing.cancel(tx, job, now=datetime.now(UTC))

    out.courier().deliver_batch()

    assert out.sent == []

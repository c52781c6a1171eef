"""What we are asked to keep, from the spool to the report, with the disk as it is then."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.config.settings import DeliverSettings
from dicomnode.dicom.commitment import CommitmentReport, CommitmentRequest, Reference
from dicomnode.errors import PeerAway, PeerRefused, StoreError
from dicomnode.node import commitment, promises
from dicomnode.node.commitment import CommitmentDesk, name_strangers
from dicomnode.node.promises import Promises
from dicomnode.records import Job, Peer
from dicomnode.storage.durable import sync_folder
from dicomnode.storage.part10 import dataset_sha256
from dicomnode.storage.spool import Spool
from dicomnode.worklist import commitments
from tests.commitment import make_message, make_report_message, make_request
from tests.factories import STUDY_UID, make_dataset, make_peer, uid
from tests.fakes import LeavingDatabase
from tests.node import make_registrar, make_store, receive
from tests.running import looping, until
from tests.worklist import delivered_job

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE, TWO = (Reference(CT, uid("instance", number)) for number in (1, 2))
PACS = make_peer(name="pacs", ae_title="PACS")


class Desk:
    """A node's store, worklist and spool, and the desk of one AE; reports are written down."""

    def __init__(self, url: str, folder: Path, peer: Peer) -> None:
        self.folder = folder
        self.database = LeavingDatabase(url)
        self.store = make_store(folder)
        self.spool = Spool(folder)
        self.registrar = make_registrar(self.store, self.database)
        self.told: list[CommitmentReport] = []
        self.trouble: list[Exception] = []  #: of the next reports
        self.peer = peer
        self.desk = self.fresh()

    def fresh(self, *others: Peer) -> CommitmentDesk:
        """As after a restart."""
        return CommitmentDesk(
            [*others, self.peer],
            self.spool,
            self.database,
            Promises(self.store, self.database).report_on,
            self._send,
            self.registrar.horizon,
            DeliverSettings(first_retry_s=0.01, longest_retry_s=0.05),
        )

    def _send(self, peer: Peer, report: CommitmentReport) -> None:
        if self.trouble:
            raise self.trouble.pop(0)
        self.told.append(report)

    def keep(self, *numbers: int) -> None:
        """Receive images and enter them."""
        receive(self.store, *(make_dataset(number) for number in numbers))
        self.registrar.enter_batch()

    def asked(self, *references: Reference) -> CommitmentRequest:
        """A request that a receiver took."""
        request = make_request(*references)
        self.spool.put(make_message(request))
        self.registrar.enter_batch()
        return request

    def path(self, number: int) -> Path:
        return self.store.path_of(STUDY_UID, uid("instance", number))

    @property
    def waiting(self) -> int:
        return len(self.spool.waiting(self.peer.ae_title))


@pytest.fixture
def desk(sqlite_url: str, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(sqlite_url, tmp_path / "node", make_peer())
    yield made
    made.database.close()


# --- what is promised -----------------------------------------------------------------------


def test_what_is_kept_is_promised_and_what_is_not_is_named_with_its_reason(desk: Desk) -> None:
    desk.keep(1, 2)
    wrong_class = Reference("1.2.840.10008.5.1.4.1.1.7", TWO.sop_instance_uid)
    unknown = Reference(CT, uid("instance", 99))
    request = desk.asked(ONE, wrong_class, unknown)
    desk.desk.work()
    assert desk.told == [
        CommitmentReport(
            transaction_uid=request.transaction_uid,
            kept=(ONE,),
            failed=((wrong_class, 0x0119), (unknown, 0x0112)),
        )
    ]
    assert desk.waiting == 0


def test_reports_go_to_who_can_be_called(desk: Desk) -> None:
    """A modality that only sends may share its title with who listens."""
    assert desk.fresh(make_peer(name="sender", port=0)).peer is desk.peer


def test_an_object_that_came_just_before_the_request_is_found(desk: Desk) -> None:
    receive(desk.store, make_dataset(1))
    desk.spool.put(make_message(make_request(ONE)))
    desk.desk.work()
    assert desk.told == []
    desk.registrar.enter_batch()
    desk.desk.work()
    assert [report.kept for report in desk.told] == [(ONE,)]


def test_an_object_that_is_in_the_worklist_and_still_in_the_inbox_is_found(
    desk: Desk,
) -> None:
    desk.keep(1)
    desk.path(1).rename(desk.folder / "inbox" / desk.path(1).name)
    desk.spool.put(make_message(make_request(ONE)))
    report = Promises(desk.store, desk.database).report_on(make_request(ONE))
    assert report.kept == (ONE,)


def test_an_object_that_moves_to_its_study_while_it_is_looked_at_is_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.keep(1)
    settled = desk.path(1)
    in_inbox = settled.rename(desk.folder / "inbox" / settled.name)

    def move_first(path: Path) -> str:
        if path == in_inbox:
            in_inbox.rename(settled)
        return dataset_sha256(path)

    monkeypatch.setattr(promises, "dataset_sha256", move_first)
    report = Promises(desk.store, desk.database).report_on(make_request(ONE))
    assert report.kept == (ONE,)


def test_a_file_that_is_gone_or_altered_on_disk_is_not_promised(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.keep(1, 2)
    desk.path(1).unlink()
    data = bytearray(desk.path(2).read_bytes())
    data[-1] ^= 1
    desk.path(2).write_bytes(data)
    desk.asked(ONE, TWO)
    desk.desk.work()
    assert [report.failed for report in desk.told] == [((ONE, 0x0112), (TWO, 0x0110))]
    problems = [record for record in caplog.records if record.message == "commitment.damaged"]
    assert len(problems) == 2


def test_a_study_that_is_removed_before_the_report_leaves_is_not_promised(desk: Desk) -> None:
    desk.keep(1)
    desk.asked(ONE)
    desk.trouble = [PeerAway("nothing listens there")]
    desk.desk.work()
    desk.store.remove_study(STUDY_UID)
    desk.desk.work()
    assert [report.failed for report in desk.told] == [((ONE, 0x0112),)]


def test_the_names_of_what_is_promised_are_synced_before_the_report_leaves(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    send = desk._send

    def remember(folder: Path) -> None:
        happened.append(folder.name)
        sync_folder(folder)

    def remember_sending(peer: Peer, report: CommitmentReport) -> None:
        happened.append("report")
        send(peer, report)

    monkeypatch.setattr(promises, "sync_folder", remember)
    monkeypatch.setattr(desk, "_send", remember_sending)
    desk.desk = desk.fresh()
    desk.keep(1, 2)
    desk.asked(ONE, TWO)
    desk.desk.work()
    assert happened == [STUDY_UID, "studies", "report"]


def test_no_promise_leaves_when_the_names_cannot_be_synced(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    desk.keep(1)
    desk.asked(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(promises, "sync_folder", broken)
        desk.desk.work()
        assert (desk.told, desk.waiting) == ([], 1)
    desk.desk.work()
    assert [report.kept for report in desk.told] == [(ONE,)]


# --- trouble on the way ---------------------------------------------------------------------


@pytest.mark.parametrize("error", [PeerAway("away"), PeerRefused("no such service")])
def test_a_report_that_does_not_arrive_is_sent_again_also_after_a_restart(
    desk: Desk, error: Exception
) -> None:
    desk.keep(1)
    desk.asked(ONE)
    desk.trouble = [error, error]
    desk.desk.work()
    desk.desk.work()
    assert (desk.told, desk.waiting) == ([], 1)
    desk.fresh().work()
    assert (len(desk.told), desk.waiting) == (1, 0)


def test_a_report_that_is_refused_does_not_hold_back_the_next(desk: Desk) -> None:
    desk.keep(1)
    desk.asked(ONE)
    desk.asked(ONE, TWO)
    desk.trouble = [PeerRefused("0x0115")]
    desk.desk.work()
    assert [len(report.failed) for report in desk.told] == [1]
    assert desk.waiting == 1


def test_a_request_waits_while_the_database_is_away(desk: Desk) -> None:
    desk.keep(1)
    desk.asked(ONE)
    desk.database.away = True
    assert desk.desk.work() > 0
    assert (desk.told, desk.waiting) == ([], 1)
    desk.database.away = False
    desk.desk.work()
    assert [report.kept for report in desk.told] == [(ONE,)]


def test_a_report_that_cannot_be_delivered_for_a_day_is_given_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk.keep(1)
    desk.asked(ONE)
    desk.trouble = [PeerAway("nothing listens there")] * 2
    desk.desk.work()
    assert desk.waiting == 1
    long_ago = datetime.now(UTC) - timedelta(hours=24)
    monkeypatch.setattr(commitment, "put_at", lambda path: long_ago)
    desk.desk.work()
    assert (desk.told, desk.waiting) == ([], 0)
    assert "commitment.dropped" in [record.message for record in caplog.records]


def test_a_spool_that_cannot_be_read_is_looked_at_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(calling_ae: str) -> list[Path]:
        raise StoreError("the disk answered: Input/output error")

    desk.keep(1)
    desk.asked(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(desk.spool, "waiting", broken)
        assert desk.desk.work() > 0
    desk.desk.work()
    assert len(desk.told) == 1


def test_a_damaged_message_is_named_dropped_and_holds_back_nothing(desk: Desk) -> None:
    desk.keep(1)
    desk.asked(ONE)
    (path,) = desk.spool.waiting("MODALITY")
    path.write_bytes(b"damaged")
    desk.asked(ONE)
    desk.desk.work()
    assert (len(desk.told), desk.waiting) == (1, 0)


def test_the_thread_works_until_it_is_told_to_stop(desk: Desk) -> None:
    desk.keep(1)
    desk.asked(ONE)
    with looping(desk.desk.run):
        until(lambda: len(desk.told) == 1)


# --- reports to us --------------------------------------------------------------------------


def delivered_and_asked(desk: Desk) -> tuple[Job, CommitmentReport]:
    """A job whose results PACS was asked about, and the report that would confirm them."""
    now = datetime.now(UTC)
    with desk.database.transaction() as tx:
        job = delivered_job(tx, now=now)
        asked = commitments.ask(
            tx, "pacs", uid("mine"), owed_since=now, asked_before=now, limit=10, now=now
        )
    kept = tuple(Reference(item.sop_class_uid, item.sop_instance_uid) for item in asked)
    return job, CommitmentReport(transaction_uid=uid("mine"), kept=kept, failed=())


def is_confirmed(desk: Desk, job: Job) -> bool:
    with desk.database.reading() as tx:
        return commitments.confirmed(tx, [job.id]) == {job.id}


@pytest.fixture
def pacs_desk(sqlite_url: str, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(sqlite_url, tmp_path / "node", PACS)
    yield made
    made.database.close()


def test_a_report_confirms_what_was_asked_and_again_does_nothing(
    pacs_desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    job, report = delivered_and_asked(pacs_desk)
    for _ in range(2):
        pacs_desk.spool.put(make_report_message(report))
    with caplog.at_level("INFO"):
        pacs_desk.desk.work()
    assert is_confirmed(pacs_desk, job)
    assert pacs_desk.waiting == 0
    said = [record.message for record in caplog.records if record.name == commitment.__name__]
    assert said == ["commitment.reported", "commitment.repeated"]


def test_a_report_of_another_ae_confirms_nothing(desk: Desk) -> None:
    job, report = delivered_and_asked(desk)
    desk.spool.put(make_report_message(report, calling_ae="MODALITY"))
    desk.desk.work()
    assert not is_confirmed(desk, job)
    assert desk.waiting == 0


def test_a_report_waits_while_the_database_is_away(pacs_desk: Desk) -> None:
    job, report = delivered_and_asked(pacs_desk)
    pacs_desk.spool.put(make_report_message(report))
    pacs_desk.database.away = True
    pacs_desk.desk.work()
    pacs_desk.database.away = False
    assert pacs_desk.waiting == 1
    pacs_desk.desk.work()
    assert is_confirmed(pacs_desk, job)


def test_messages_of_who_is_a_peer_no_longer_are_named(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.spool.put(make_message(make_request(ONE)))
    desk.spool.put(make_message(make_request(ONE), calling_ae="GONE"))
    name_strangers(desk.spool, [desk.peer])
    assert [vars(record)["calling_ae"] for record in caplog.records] == ["GONE"]

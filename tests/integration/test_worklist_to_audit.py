"""What an audit trail has to tell is read from the worklist by number, on both databases."""

from dicomnode.audit.events import Deed
from dicomnode.logbook import audit
from dicomnode.records import Verdict
from dicomnode.storage.database import Database
from dicomnode.worklist import outbox, to_audit
from tests.factories import STUDY_UID
from tests.worklist import NOW, after, delivered_job, enter, make_arrival, reported_job, say


def note(database: Database, action: str) -> None:
    with database.transaction() as tx:
        audit.note(tx, Deed(at=NOW, user="ada", address="", action=action))


def test_deeds_are_read_in_order_after_a_number_and_late_ones_by_theirs(
    database: Database,
) -> None:
    for action in ("a", "b", "c", "d"):
        note(database, action)

    with database.reading() as tx:
        everything = to_audit.deeds(tx, 0, (), limit=10)
        numbers = [number for number, _ in everything]
        assert [entry.action for _, entry in everything] == ["a", "b", "c", "d"]
        assert [n for n, _ in to_audit.deeds(tx, numbers[1], (), limit=1)] == [numbers[2]]
        late = to_audit.deeds(tx, numbers[2], [numbers[0]], limit=10)
        assert [entry.action for _, entry in late] == ["a", "d"]


def test_what_arrived_is_read_with_who_sent_it(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, 1, calling_ae="CT1")
        before, _, _ = to_audit.newest(tx)
        enter(tx, 2, calling_ae="CT1", patient_id="P-1", accession_number="A-7")

    with database.reading() as tx:
        ((number, found),) = to_audit.arrived(tx, before, limit=10)
        assert (number > before, found.study_uid, found.calling_ae) == (True, STUDY_UID, "CT1")
        assert found.sop_class_uid == make_arrival().ref.sop_class_uid
        whose = to_audit.who(tx, [STUDY_UID, "1.2.3"])
        assert whose == {STUDY_UID: to_audit.Who(patient_id="P-1", accession_number="A-7")}


def test_each_result_that_a_peer_took_is_told_with_its_class(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx)

    with database.reading() as tx:
        lines = to_audit.sent(tx, 0, (), limit=100)
        told = [each for _, each in lines if each is not None]
        assert len(lines) > len(told) == 2
        assert {(each.study_uid, each.peer) for each in told} == {(STUDY_UID, "pacs")}
        assert all(each.sop_class_uid for each in told)


def test_what_a_peer_refused_was_not_taken(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        for delivery in outbox.of_job(tx, job.id):
            say(tx, delivery, Verdict.NEVER, "sr to elsewhere: no", now=after(1))

    with database.reading() as tx:
        told = [each for _, each in to_audit.sent(tx, 0, (), limit=100) if each]
        assert [(each.peer, each.taken) for each in told] == [("pacs", False)] * 2


def test_a_place_is_kept_for_each_receiver(database: Database) -> None:
    with database.transaction() as tx:
        assert to_audit.place(tx, "file") is None
        to_audit.keep_place(tx, "file", {"a": 1}, now=NOW)
        to_audit.keep_place(tx, "syslog", {"a": 2}, now=NOW)
        to_audit.keep_place(tx, "file", {"a": 3}, now=after(1))

    with database.reading() as tx:
        assert (to_audit.place(tx, "file"), to_audit.place(tx, "syslog")) == ({"a": 3}, {"a": 2})

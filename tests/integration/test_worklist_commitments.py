from datetime import datetime

import pytest

from dicomnode.records import DeliveryState, Job, State, Verdict
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import commitments, history, jobs, outbox, retention
from dicomnode.worklist.commitments import Report, Sent
from tests.factories import STUDY_UID, uid
from tests.worklist import (
    NOW,
    after,
    delivered_job,
    enter,
    events,
    make_ref,
    owed,
    reported_job,
    say,
    undelivered_job,
)

HOUR = 3600.0
ASKED, ANSWERED = after(1), after(2)


def ask(
    tx: Connection, number: int = 1, *, peer: str = "pacs", now: datetime = ASKED
) -> list[Sent]:
    return commitments.ask(
        tx,
        peer,
        uid("transaction", number),
        owed_since=after(-HOUR),
        asked_before=after((now - NOW).total_seconds() - HOUR),
        limit=100,
        now=now,
    )


def report(
    tx: Connection,
    number: int = 1,
    *,
    kept: list[str] | None = None,
    failed: list[str] | None = None,
    peers: tuple[str, ...] = ("pacs",),
    now: datetime = ANSWERED,
) -> Report:
    return commitments.answer(
        tx,
        peers,
        uid("transaction", number),
        kept or [],
        dict.fromkeys(failed or [], "no such object instance"),
        retry_s=lambda attempt: 10.0 * attempt,
        give_up_after_s=HOUR,
        now=now,
    )


def uids(asked: list[Sent]) -> list[str]:
    return [item.sop_instance_uid for item in asked]


def is_confirmed(tx: Connection, job: Job) -> bool:
    return commitments.confirmed(tx, [job.id]) == {job.id}


# --- asking ---------------------------------------------------------------------------------


def test_a_job_is_asked_about_once_when_its_peer_has_all_of_it(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        capture, result = outbox.of_job(tx, job.id)
        say(tx, capture, Verdict.STORED)
        assert ask(tx) == []
        say(tx, result, Verdict.STORED)
        asked = ask(tx)
        assert uids(asked) == [capture.sop_instance_uid, result.sop_instance_uid]
        assert [item.again for item in asked] == [False, False]
        assert ask(tx, 2) == []


def test_each_peer_is_asked_about_what_it_has(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx, peers=("pacs", "viewer"))
        for item in outbox.of_job(tx, job.id):
            if item.peer == "viewer":
                say(tx, item, Verdict.STORED)
        assert ask(tx) == []
        assert len(ask(tx, 2, peer="viewer")) == 2


def test_what_a_peer_refused_is_not_asked_about(database: Database) -> None:
    with database.transaction() as tx:
        job = undelivered_job(tx)
        capture, _ = outbox.of_job(tx, job.id)
        assert uids(ask(tx)) == [capture.sop_instance_uid]


def test_what_was_owed_long_ago_is_not_asked_about(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx, now=after(-HOUR - 1))
        assert ask(tx) == []


def test_a_question_without_an_answer_is_asked_again_after_its_time(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        asked = ask(tx)
        assert ask(tx, 2, now=after(HOUR)) == []
        again = ask(tx, 3, now=after(HOUR + 1))
        assert uids(again) == uids(asked)
        assert all(item.again for item in again)
        assert not is_confirmed(tx, job)


def test_a_question_that_did_not_arrive_is_asked_again_at_once(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx)
        asked = ask(tx)
        commitments.unask(tx, uid("transaction", 1))
        assert uids(ask(tx, 2)) == uids(asked)


# --- answers --------------------------------------------------------------------------------


def test_a_job_whose_results_are_all_kept_is_confirmed(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        assert not is_confirmed(tx, job)
        asked = ask(tx)
        assert all(item.asked and not item.confirmed_at for item in outbox.of_job(tx, job.id))
        assert report(tx, kept=uids(asked)) is Report.TAKEN
        assert is_confirmed(tx, job)
        assert {item.confirmed_at for item in outbox.of_job(tx, job.id)} == {after(2)}
        assert jobs.get(tx, job.id).state is State.DELIVERED
        last = history.of_study(tx, STUDY_UID)[-1]
        assert (last.event, last.detail) == (
            "confirmed",
            "pacs confirms that it keeps 2 results",
        )
        assert ask(tx, 2, now=after(HOUR + 1)) == []


def test_a_job_of_two_peers_is_confirmed_when_both_who_were_asked_confirm(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx, peers=("pacs", "viewer"))
        asked = ask(tx)
        ask(tx, 2, peer="viewer")
        report(tx, kept=uids(asked))
        assert not is_confirmed(tx, job)
        report(tx, 2, kept=uids(asked), peers=("viewer",))
        assert is_confirmed(tx, job)


def test_what_is_not_kept_is_sent_again_and_asked_about_again(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        capture, result = outbox.of_job(tx, job.id)
        ask(tx)
        kept, failed = [result.sop_instance_uid], [capture.sop_instance_uid]
        assert report(tx, kept=kept, failed=failed) is Report.TAKEN
        assert not is_confirmed(tx, job)
        assert owed(tx, now=after(11.5)) == []
        (again,) = owed(tx, now=after(12))
        assert again.sop_instance_uid == capture.sop_instance_uid
        words = "sc is not kept by pacs: no such object instance; it is sent again"
        assert again.message == words
        assert words in [event.detail for event in history.of_study(tx, STUDY_UID)]
        say(tx, again, Verdict.STORED, now=after(13))
        assert jobs.get(tx, job.id).state is State.DELIVERED
        asked = ask(tx, 2, now=after(14))
        assert uids(asked) == failed
        assert report(tx, 2, kept=failed, now=after(15)) is Report.TAKEN
        assert is_confirmed(tx, job)


def test_what_is_owed_for_too_long_is_not_sent_again(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        asked = ask(tx)
        report(tx, failed=uids(asked), now=after(HOUR))
        assert {item.state for item in outbox.of_job(tx, job.id)} == {DeliveryState.SENT}
        assert "owed for too long" in history.of_study(tx, STUDY_UID)[-1].detail
        assert not is_confirmed(tx, job)


def test_the_same_report_again_changes_nothing(database: Database) -> None:
    with database.transaction() as tx:
        asked = uids(delivered_and_asked(tx))
        report(tx, kept=asked)
        before = events(tx)
        assert report(tx, kept=asked, now=after(3)) is Report.REPEATED
        assert events(tx) == before


@pytest.mark.parametrize("first_is_good", [True, False])
def test_of_two_reports_that_contradict_each_other_the_first_stands(
    database: Database, first_is_good: bool
) -> None:
    with database.transaction() as tx:
        asked = uids(delivered_and_asked(tx))
        nothing: list[str] = []
        good, bad = (asked, nothing), (nothing, asked)
        first, second = (good, bad) if first_is_good else (bad, good)
        report(tx, kept=first[0], failed=first[1])
        assert report(tx, kept=second[0], failed=second[1]) is Report.REPEATED
        (job,) = jobs.listed(tx)
        assert is_confirmed(tx, job) is first_is_good


def test_what_a_report_calls_both_kept_and_failed_has_failed(database: Database) -> None:
    with database.transaction() as tx:
        asked = uids(delivered_and_asked(tx))
        report(tx, kept=asked, failed=asked)
        assert {item.state for item in outbox.owed_to(tx, "pacs")} == {DeliveryState.OWED}
        assert len(outbox.owed_to(tx, "pacs")) == 2


def test_a_report_of_another_peer_or_of_no_transaction_is_ignored(database: Database) -> None:
    with database.transaction() as tx:
        asked = uids(delivered_and_asked(tx))
        before = events(tx)
        assert report(tx, kept=asked, peers=("viewer",)) is Report.UNKNOWN
        assert report(tx, 99, kept=asked) is Report.UNKNOWN
        assert events(tx) == before


def test_a_late_report_counts_for_what_was_there_when_it_was_asked_for(
    database: Database,
) -> None:
    with database.transaction() as tx:
        asked = uids(delivered_and_asked(tx))
        ask(tx, 2, now=after(HOUR + 1))
        assert report(tx, 1, kept=asked, now=after(HOUR + 2)) is Report.TAKEN
        (job,) = jobs.listed(tx)
        assert is_confirmed(tx, job)


def test_a_late_failure_does_not_concern_what_was_sent_again_meanwhile(
    database: Database,
) -> None:
    with database.transaction() as tx:
        asked = uids(delivered_and_asked(tx))
        ask(tx, 2, now=after(HOUR + 1))
        report(tx, 2, failed=asked, now=after(HOUR - 1))
        for item in owed(tx, now=after(2 * HOUR)):
            say(tx, item, Verdict.STORED, now=after(2 * HOUR))
        assert report(tx, 1, failed=asked, now=after(2 * HOUR + 1)) is Report.TAKEN
        assert outbox.owed_to(tx, "pacs") == []


def delivered_and_asked(tx: Connection) -> list[Sent]:
    delivered_job(tx)
    return ask(tx)


# --- promises, and what retention makes of them ---------------------------------------------


def test_only_what_is_in_the_worklist_is_promised(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, 1)
        one = make_ref("image", 1)
        held = commitments.promise(tx, [one.sop_instance_uid, uid("unknown")], now=NOW)
        assert list(held) == [one.sop_instance_uid]
        assert held[one.sop_instance_uid].study_uid == STUDY_UID
        assert held[one.sop_instance_uid].sop_class_uid == one.sop_class_uid


def test_a_study_of_which_something_was_promised_stays(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx)
        assert retention.to_remove(tx, before=after(10)) == [STUDY_UID]
        for _ in range(2):
            commitments.promise(tx, [make_ref("image", 1).sop_instance_uid], now=NOW)
        assert retention.to_remove(tx, before=after(10)) == []
        assert events(tx).count("promised") == 1


def test_a_study_whose_results_must_be_sent_again_stays(database: Database) -> None:
    with database.transaction() as tx:
        asked = uids(delivered_and_asked(tx))
        report(tx, failed=asked)
        assert retention.to_remove(tx, before=after(10)) == []


def test_ten_thousand_instances_are_promised_at_once(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, 1)
        one = make_ref("image", 1).sop_instance_uid
        many = [uid("unknown", number) for number in range(10_000)]
        assert list(commitments.promise(tx, [*many, one], now=NOW)) == [one]

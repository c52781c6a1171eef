from dataclasses import replace

import pytest

from dicomnode.errors import Cause
from dicomnode.records import (
    Delivery,
    DeliveryState,
    InstanceRef,
    Job,
    ResultKind,
    State,
    Verdict,
)
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import by_hand, history, jobs, outbox, queue, results
from tests.factories import STUDY_UID, uid
from tests.worklist import (
    NOW,
    after,
    delivered_job,
    enter,
    make_ref,
    make_results,
    not_analysed_job,
    owed,
    reported_job,
    running_job,
    say,
    undelivered_job,
)

SC, SR = ResultKind.SC, ResultKind.SR


def second_revision(tx: Connection, first: Job) -> Job:
    enter(tx, 2)
    job = reported_job(tx, images=2)
    assert (job.study_uid, job.revision) == (first.study_uid, 2)
    return job


def names(items: list[Delivery]) -> list[tuple[int, ResultKind]]:
    return [(item.job_id, item.kind) for item in items]


# --- order ----------------------------------------------------------------------------------


def test_the_capture_leaves_before_the_report_and_one_revision_before_the_next(
    database: Database,
) -> None:
    with database.transaction() as tx:
        first = reported_job(tx)
        second = second_revision(tx, first)

        assert names(owed(tx)) == [
            (first.id, SC),
            (first.id, SR),
            (second.id, SC),
            (second.id, SR),
        ]


def test_what_is_in_flight_is_not_taken_by_another_and_holds_back_what_is_behind_it(
    database: Database,
) -> None:
    with database.transaction() as tx:
        reported_job(tx)
        (capture,) = owed(tx, limit=1)
        assert capture.kind is SC
        assert owed(tx, holder="another node") == []
        say(tx, capture, Verdict.STORED)
        assert [item.kind for item in owed(tx, holder="another node")] == [SR]


def test_what_has_to_wait_holds_back_what_is_behind_it_and_nothing_else(
    database: Database,
) -> None:
    with database.transaction() as tx:
        first = reported_job(tx)
        second_revision(tx, first)
        other = reported_job(tx, study_uid=uid("other study"))
        same_study = reported_job(tx, pipelines={"fracture": 0}, images=3)
        (capture,) = owed(tx, limit=1)
        say(tx, capture, Verdict.LATER, retry_s=30)

        assert names(owed(tx)) == [
            (job.id, kind) for job in (other, same_study) for kind in (SC, SR)
        ]
        assert owed(tx, now=after(29)) != []
        assert (first.id, SC) in names(owed(tx, now=after(30)))


def test_a_refused_capture_does_not_hold_back_the_report(database: Database) -> None:
    with database.transaction() as tx:
        reported_job(tx)
        (capture,) = owed(tx, limit=1)
        say(tx, capture, Verdict.NEVER)

        assert [item.kind for item in owed(tx)] == [SR]


def test_peers_do_not_wait_for_each_other(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx, peers=("pacs", "archive"))
        say(tx, owed(tx, "pacs", limit=1)[0], Verdict.LATER)
        for item in owed(tx, "archive"):
            say(tx, item, Verdict.STORED)

        assert outbox.peers_owed(tx) == {"pacs"}
        assert jobs.get(tx, job.id).state is State.REPORTED
        for item in owed(tx, "pacs", now=after(10)):
            say(tx, item, Verdict.STORED, now=after(10))
        assert jobs.get(tx, job.id).state is State.DELIVERED
        assert outbox.peers_owed(tx) == set()


def test_no_more_is_taken_than_the_limit(database: Database) -> None:
    with database.transaction() as tx:
        for number in range(3):
            reported_job(tx, study_uid=uid(number))

        assert len(owed(tx, limit=4)) == 4
        assert len(owed(tx, holder="another node", limit=4)) == 2


# --- leases ---------------------------------------------------------------------------------


def test_a_node_that_was_killed_takes_up_its_own_deliveries_at_once(database: Database) -> None:
    with database.transaction() as tx:
        reported_job(tx)
        first = owed(tx, holder="one")

        assert owed(tx, holder="one", now=after(1)) == first


def test_what_a_lost_node_held_goes_to_another_when_the_lease_runs_out(
    database: Database,
) -> None:
    with database.transaction() as tx:
        reported_job(tx)
        first = owed(tx, holder="one")

        assert owed(tx, holder="two", now=after(60)) == []
        assert owed(tx, holder="two", now=after(60.1)) == first


def test_what_could_not_be_sent_is_free_again_and_says_why(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        taken = owed(tx)
        outbox.give_back(tx, taken, "connection refused", give_up_after_s=3600, now=after(1))
        again = owed(tx, holder="another node", now=after(1))

        assert [item.message for item in again] == ["connection refused"] * 2
        assert [item.attempts for item in again] == [0, 0]
        assert jobs.get(tx, job.id).state is State.REPORTED


# --- what the peer says ---------------------------------------------------------------------


def test_a_job_is_delivered_when_every_peer_has_every_result(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx, peers=("pacs", "archive"))
        states = {item.state for item in outbox.of_job(tx, job.id)}

    assert (job.state, job.reason) == (State.DELIVERED, "")
    assert states == {DeliveryState.SENT}


def test_a_refused_result_leaves_the_job_undelivered_with_the_peers_words(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = undelivered_job(tx)
        capture, report = outbox.of_job(tx, job.id)

    assert (job.state, job.reason) == (State.UNDELIVERED, "pacs: 0xA900: no SR here")
    assert (capture.state, report.state) == (DeliveryState.SENT, DeliveryState.REFUSED)
    assert report.message == "0xA900: no SR here"


def test_the_same_refusal_is_told_once(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        for item in owed(tx):
            say(tx, item, Verdict.NEVER, "not authorised")

        assert jobs.get(tx, job.id).reason == "pacs: not authorised"


def test_a_deferred_result_counts_its_attempts_and_waits(database: Database) -> None:
    with database.transaction() as tx:
        reported_job(tx)
        for attempt in range(3):
            item = owed(tx, limit=1, now=after(100 * attempt))[0]
            assert item.attempts == attempt
            say(tx, item, Verdict.LATER, "0xA700", retry_s=50, now=after(100 * attempt))
        assert owed(tx, now=after(249)) == []
        (item, _) = owed(tx, now=after(250))

    assert (item.attempts, item.message, item.not_before) == (3, "0xA700", after(250))


def test_a_result_that_was_deferred_for_too_long_is_given_up(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        capture, report = owed(tx)
        say(tx, capture, Verdict.LATER, "0xA700", give_up_after_s=3600, now=after(3599))
        say(tx, report, Verdict.STORED, now=after(3599))
        assert jobs.get(tx, job.id).state is State.REPORTED
        (capture,) = owed(tx, now=after(3610))
        say(tx, capture, Verdict.LATER, "0xA700", give_up_after_s=3600, now=after(3610))
        ended = jobs.get(tx, job.id)

    assert ended.state is State.UNDELIVERED
    assert ended.reason == "pacs: gave up after 1:00:10; last: 0xA700"


def test_what_is_owed_for_too_long_to_a_peer_that_is_away_is_given_up(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        for at, state in ((3599, State.REPORTED), (3600, State.UNDELIVERED)):
            taken = owed(tx, now=after(at))
            outbox.give_back(tx, taken, "no answer", give_up_after_s=3600, now=after(at))
            assert jobs.get(tx, job.id).state is state
        assert owed(tx, now=after(4000)) == []
        assert jobs.get(tx, job.id).reason == "pacs: gave up after 1:00:00; last: no answer"


def test_what_is_owed_to_a_peer_can_be_looked_at(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx, peers=("pacs", "archive"))

        assert names(outbox.owed_to(tx, "archive")) == [(job.id, SC), (job.id, SR)]
        assert outbox.owed_to(tx, "nobody") == []


def test_an_answer_that_comes_after_the_cancelling_changes_no_state_but_is_told(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        capture, report = owed(tx)
        by_hand.cancel(tx, job.id, now=after(1))
        say(tx, capture, Verdict.STORED, "stored", now=after(2))
        outbox.give_back(tx, [report], "hung up", give_up_after_s=3600, now=after(3))

        assert {item.state for item in outbox.of_job(tx, job.id)} == {DeliveryState.CANCELLED}
        assert jobs.get(tx, job.id).state is State.CANCELLED
        last = history.of_study(tx, STUDY_UID)[-1]
        assert (last.event, last.detail) == ("sent", "sc to pacs: stored (no longer owed)")


def test_an_answer_that_comes_twice_counts_once(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx)
        capture, report = owed(tx)
        for _ in range(2):
            say(tx, capture, Verdict.STORED)
        say(tx, report, Verdict.STORED)
        say(tx, report, Verdict.NEVER)

        assert jobs.get(tx, job.id).state is State.DELIVERED


def test_each_peer_is_owed_the_kinds_that_it_wants(database: Database) -> None:
    with database.transaction() as tx:
        job = running_job(tx)
        queue.finish(tx, job, make_results(job), {"pacs": {SC, SR}, "viewer": {SC}}, now=NOW)

        assert [item.kind for item in outbox.owed_to(tx, "pacs")] == [SC, SR]
        assert [item.kind for item in outbox.owed_to(tx, "viewer")] == [SC]
        for peer in ("pacs", "viewer"):
            for item in owed(tx, peer):
                say(tx, item, Verdict.STORED)
        assert jobs.get(tx, job.id).state is State.DELIVERED


@pytest.mark.parametrize("made", [0, 2])
def test_a_job_of_which_nobody_is_owed_anything_ends_and_says_so(
    made: int, database: Database
) -> None:
    with database.transaction() as tx:
        job = running_job(tx)
        queue.finish(tx, job, make_results(job)[:made], {"pacs": {ResultKind.SEG}}, now=NOW)
        ended = jobs.get(tx, job.id)

        assert (ended.state, ended.reason) == (State.DELIVERED, "there was nothing to send")
        assert outbox.peers_owed(tx) == set()


def test_a_notice_that_everybody_has_ends_the_job_as_not_analysed(database: Database) -> None:
    with database.transaction() as tx:
        job = not_analysed_job(tx)

    assert (job.state, job.refused) == (State.NOT_ANALYSED, Cause.VIEW)
    assert job.reason == job.because == "the model is for frontal views"


def test_a_revision_names_all_reports_of_the_newest_before_it_that_has_any(
    database: Database,
) -> None:
    def finish(job: Job, *kinds: ResultKind) -> list[InstanceRef]:
        """A revision with results of these kinds, all of them sent."""
        (like, _) = make_results(job)
        made = [replace(like, kind=kind, ref=make_ref(job.revision, kind)) for kind in kinds]
        queue.finish(tx, job, made, {"pacs": set(kinds)}, now=NOW)
        return [result.ref for result in made]

    kinds = ResultKind
    with database.transaction() as tx:
        finish(running_job(tx), kinds.SC, kinds.SR)
        second = running_job(tx, images=2)
        refs = finish(second, kinds.SC, kinds.SEG, kinds.SR3D, kinds.TEXT, kinds.PDF, kinds.KO)
        finish(running_job(tx, images=3), kinds.SC)
        fourth = running_job(tx, images=4)

        assert results.reports_before(tx, fourth) == refs[2:4]


def test_a_revision_names_the_newest_report_before_it(database: Database) -> None:
    with database.transaction() as tx:
        first = delivered_job(tx)
        assert results.reports_before(tx, first) == []
        second = second_revision(tx, first)
        assert results.reports_before(tx, second) == [make_results(first)[1].ref]
        enter(tx, 3)
        third = jobs.latest(tx, STUDY_UID, first.pipeline)
        assert third is not None
        assert results.reports_before(tx, third) == [make_results(second)[1].ref]
        other = reported_job(tx, study_uid=uid("other study"))
        assert results.reports_before(tx, other) == []


def test_a_peers_words_may_be_odd(database: Database) -> None:
    with database.transaction() as tx:
        reported_job(tx)
        say(tx, owed(tx)[0], Verdict.NEVER, "refused\0 \ud800" + "x" * 5000, now=NOW)

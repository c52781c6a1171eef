from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from dicomnode.logbook import standing
from dicomnode.records import DeliveryState, ResultKind, State, Verdict, WithdrawalReason
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import by_hand, outbox, overview, owing, recall, rows
from dicomnode.worklist.tables import history
from tests.factories import uid
from tests.worklist import (
    MODEL,
    PIPELINE,
    delivered_job,
    enter,
    failed_job,
    held_job,
    not_analysed_job,
    owed,
    reported_job,
    say,
    undelivered_job,
    waiting_job,
)

NOW = datetime(2025, 1, 2, 12, 30, tzinfo=UTC)
TODAY = datetime(2025, 1, 2, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)


def test_jobs_are_counted_by_state_today_and_now(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx, study_uid=uid(1), now=NOW)
        delivered_job(tx, study_uid=uid(2), now=YESTERDAY)
        held_job(tx, study_uid=uid(3), now=YESTERDAY)
        found = overview.states(tx, TODAY)
        studies = overview.received(tx, TODAY)
    assert found[State.DELIVERED] == overview.Count(today=1, now=2)
    assert found[State.HELD] == overview.Count(today=0, now=1)
    assert found[State.RUNNING] == overview.Count(today=0, now=0)
    assert studies == overview.Count(today=1, now=3)


def test_a_study_that_was_tried_again_counts_once(database: Database) -> None:
    with database.transaction() as tx:
        not_analysed_job(tx, now=NOW)
        enter(tx, 2, now=NOW)
        found = overview.states(tx, TODAY)
    assert found[State.NOT_ANALYSED] == overview.Count(today=0, now=0)
    assert found[State.WAITING] == overview.Count(today=1, now=1)


def test_a_study_that_no_pipeline_takes_is_counted(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, 1, study_uid=uid(1), now=NOW)
        enter(tx, 2, study_uid=uid(2), pipelines={}, now=NOW)
        enter(tx, 3, study_uid=uid(3), pipelines={}, now=YESTERDAY)
        assert overview.unmatched(tx, TODAY) == 1


def test_a_failure_that_a_later_revision_follows_needs_nobody(database: Database) -> None:
    with database.transaction() as tx:
        failed_job(tx, now=NOW)
        enter(tx, 2, now=NOW)
        found = overview.states(tx, TODAY)
    assert (found[State.FAILED].now, found[State.WAITING].now) == (0, 1)


def test_counting_stops_somewhere(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "COUNTED", 1)
    with database.transaction() as tx:
        for number in range(3):
            waiting_job(tx, study_uid=uid(number), now=NOW)
        assert overview.states(tx, TODAY)[State.WAITING].now == 2


def test_times_are_from_the_last_image_to_the_last_delivery(database: Database) -> None:
    with database.transaction() as tx:
        for number in range(1, 21):
            job = delivered_job(tx, study_uid=uid(number), now=NOW)
            late = NOW + timedelta(seconds=number)
            mine = (history.c.job_id == job.id) & (history.c.event == State.DELIVERED)
            tx.execute(sa.update(history).where(mine).values(at=late))
        delivered_job(tx, study_uid=uid("old"), now=YESTERDAY)
        found = overview.times(tx, TODAY)
        none = overview.times(tx, NOW + timedelta(days=1))
    assert (found.count, found.median_s) == (20, 10.5)
    assert found.p95_s == pytest.approx(19.05)
    assert (none.count, none.median_s, none.p95_s) == (0, None, None)


def test_sending_again_later_changes_no_time(database: Database) -> None:
    late = NOW + timedelta(minutes=3)
    with database.transaction() as tx:
        job = reported_job(tx, now=NOW)
        _take(tx, job.id, NOW + timedelta(seconds=10))
        before = overview.times(tx, TODAY)
        by_hand.resend(tx, job.id, {"pacs": ()}, now=late)
        during = overview.times(tx, TODAY)
        _take(tx, job.id, late)
        assert before == during == overview.times(tx, TODAY)
        (row,) = rows.of_studies(tx, [job.study_uid])
    assert (before.count, before.median_s, before.p95_s) == (1, 10.0, 10.0)
    assert row.jobs[0].updated_at == late
    assert row.jobs[0].seconds_to_result == 10.0


def test_what_was_delivered_yesterday_and_again_today_is_no_time_of_today(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx, now=YESTERDAY)
        by_hand.resend(tx, job.id, {"pacs": ()}, now=NOW)
        _take(tx, job.id, NOW)
        assert overview.times(tx, TODAY).count == 0


def _take(tx: Connection, job_id: int, at: datetime) -> None:
    for item in outbox.of_job(tx, job_id):
        say(tx, item, Verdict.STORED, now=at)


def test_each_hour_has_its_studies_and_jobs(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx, study_uid=uid(1), now=NOW - timedelta(hours=23))
        undelivered_job(tx, study_uid=uid(2), now=NOW - timedelta(minutes=31))
        waiting_job(tx, study_uid=uid(3), now=NOW)
        waiting_job(tx, study_uid=uid(4), now=NOW - timedelta(hours=24))
        found = overview.hours(tx, NOW)
    assert len(found) == 24
    assert found[0] == overview.Hour(
        at=datetime(2025, 1, 1, 13, tzinfo=UTC), received=1, delivered=1, troubled=0
    )
    assert (found[-2].received, found[-2].troubled) == (1, 1)
    assert (found[-1].received, found[-1].delivered) == (1, 0)
    assert sum(hour.received for hour in found) == 3


def test_a_peer_says_how_it_stands(database: Database) -> None:
    with database.transaction() as tx:
        reported_job(tx, peers=("pacs", "gone"), now=NOW)
        taken = owed(tx, now=NOW)
        outbox.give_back(tx, taken, "connection refused", give_up_after_s=1e6, now=NOW)
        standing.echoed(tx, "pacs", "", now=YESTERDAY)
        standing.echoed(tx, "pacs", "no answer", now=NOW)
        found = overview.peers(tx, {"pacs": "PACS", "dx": "MODALITY"})
    dx, gone, pacs = found
    assert [each.peer for each in found] == ["dx", "gone", "pacs"]
    assert (gone.configured, gone.owed) == (False, 2)
    assert (dx.study_at, dx.echoed_at, dx.owed, dx.error) == (NOW, None, 0, "")
    assert (pacs.owed, pacs.error, pacs.error_at) == (2, "connection refused", NOW)
    assert (pacs.problem, pacs.echoed_at, pacs.heard_at) == ("no answer", NOW, YESTERDAY)
    assert pacs.study_at is None


def test_what_a_peer_refused_last_is_said(database: Database) -> None:
    with database.transaction() as tx:
        job = undelivered_job(tx, now=NOW)
        states = [each.state for each in outbox.of_job(tx, job.id)]
        (pacs,) = overview.peers(tx, {"pacs": "PACS"})
    assert states == [DeliveryState.SENT, DeliveryState.REFUSED]
    assert (pacs.error, pacs.error_at, pacs.owed) == ("0xA900: no SR here", NOW, 0)


def test_what_is_owed_once_more_has_no_error_yet(database: Database) -> None:
    with database.transaction() as tx:
        job = undelivered_job(tx, now=YESTERDAY)
        owing.owe_once_more(tx, job, {"pacs": [ResultKind.SR]}, now=NOW)
        (pacs,) = overview.peers(tx, {"pacs": "PACS"})
    assert (pacs.owed, pacs.error) == (2, "")


def test_a_pipeline_says_which_model_answered_last(database: Database) -> None:
    with database.transaction() as tx:
        job = reported_job(tx, now=NOW)
        for delivery in outbox.of_job(tx, job.id):
            say(tx, delivery, Verdict.STORED, now=NOW)
        before, none = overview.models(tx, [PIPELINE, "hand"])
        recall.stop(tx, MODEL, WithdrawalReason.SAFETY, now=NOW)
        (after,) = overview.models(tx, [PIPELINE])
    assert (before.model, before.at, before.stopped) == (MODEL, NOW, False)
    assert (none.model, none.at) == ("", None)
    assert after.stopped

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from dicomnode.records import Job, State, Verdict
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import arrivals, by_hand, history, jobs, studies
from dicomnode.worklist.arrivals import Entry
from dicomnode.worklist.tables import instances
from dicomnode.worklist.tables import studies as study_rows
from tests.factories import STUDY_UID, uid
from tests.worklist import (
    NOW,
    PIPELINE,
    after,
    claim,
    delivered_job,
    enter,
    events,
    failed_job,
    held_job,
    make_arrival,
    make_results,
    not_analysed_job,
    owed,
    ready_job,
    refused_job,
    reported_job,
    running_job,
    say,
    undelivered_job,
    waiting_job,
)


def newest(tx: Connection) -> Job:
    job = jobs.latest(tx, STUDY_UID, PIPELINE)
    assert job is not None
    return job


def test_the_first_image_makes_a_study_and_a_waiting_job(database: Database) -> None:
    with database.transaction() as tx:
        assert enter(tx) is Entry.NEW
        job = newest(tx)

    assert (job.state, job.revision, job.received, job.expected) == (State.WAITING, 1, 1, None)
    assert (job.attempts, job.lease, job.partial, job.reason) == (0, None, False, "")
    assert job.not_before == job.updated_at == NOW


def test_each_pipeline_that_an_image_matches_gets_its_own_job(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, pipelines={"chest": 0, "fracture": 5})
        found = {job.pipeline: job.priority for job in jobs.listed(tx)}

    assert found == {"chest": 0, "fracture": 5}


def test_an_image_that_matches_no_pipeline_is_counted_and_makes_no_job(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, 1, pipelines={})
        assert jobs.listed(tx) == []
        enter(tx, 2)
        assert newest(tx).received == 2
        ready = ready_job(tx, images=2)
        assert [image.sop_instance_uid for image in jobs.images(tx, ready)] == [
            make_arrival(2).ref.sop_instance_uid
        ]


def test_a_job_has_its_images_in_order_of_arrival(database: Database) -> None:
    with database.transaction() as tx:
        for number in (3, 1, 2):
            enter(tx, number)
        studies.close(tx, newest(tx), State.READY, now=NOW)
        images = jobs.images(tx, newest(tx))

    assert images == [make_arrival(number).ref for number in (3, 1, 2)]


def test_the_same_image_again_changes_nothing_but_the_quiet_time(database: Database) -> None:
    with database.transaction() as tx:
        first = ready_job(tx)
        assert enter(tx, now=after(9)) is Entry.KNOWN
        assert newest(tx) == first
        enter(tx, 2, now=after(10))
        assert enter(tx, 1, now=after(11)) is Entry.KNOWN
        (item,) = studies.waiting(tx)

    assert item.last_received_at == after(11)
    assert item.job.received == 2


def test_the_same_uid_with_other_bytes_is_a_conflict_that_history_tells(
    database: Database,
) -> None:
    with database.transaction() as tx:
        first = ready_job(tx)
        assert enter(tx, sha256="f" * 64) is Entry.CONFLICT
        assert newest(tx) == first
        last = history.of_study(tx, STUDY_UID)[-1]

    assert last.event == "conflict"
    assert last.job_id is None
    assert first.study_uid not in last.detail
    assert make_arrival().ref.sop_instance_uid in last.detail


def test_a_conflict_that_was_refused_at_the_door_is_in_the_history(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx)
        arrivals.note_conflict(tx, STUDY_UID, "1.2.3", now=after(1))
        arrivals.note_conflict(tx, uid("unknown study"), "1.2.3", now=after(1))
        last = history.of_study(tx, STUDY_UID)[-1]

    assert (last.event, last.at) == ("conflict", after(1))
    assert last.detail.startswith("1.2.3 ")


def test_the_same_uid_in_another_study_is_a_conflict_of_that_study(database: Database) -> None:
    other = uid("another study")
    with database.transaction() as tx:
        enter(tx)
        stray = replace(make_arrival().ref, study_uid=other)
        strays = [make_arrival(ref=stray, sha256="f" * 64)]
        assert arrivals.enter(tx, strays, now=NOW) == [Entry.CONFLICT]
        held = jobs.latest(tx, other, PIPELINE)
        assert events(tx, other) == ["conflict", "waiting", "failed"]

    assert held is not None
    assert held.state is State.FAILED
    assert f"in study {STUDY_UID}" in held.reason


def test_what_a_dicomnode_made_is_kept_but_never_analysed_nor_counted(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, 1, own=True)
        assert jobs.listed(tx) == []
        enter(tx, 2)
        assert newest(tx).received == 1


def test_a_result_that_comes_back_from_the_pacs_makes_no_job_and_holds_nothing_up(
    database: Database,
) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        enter(tx, 2, now=after(60))
        for result in make_results(job):
            back = make_arrival(ref=result.ref, calling_ae="PACS", received_at=after(70))
            assert arrivals.enter(tx, [back], now=after(70)) == [Entry.NEW]
        (item,) = studies.waiting(tx)

    assert item.job.revision == 2
    assert item.job.received == 2
    assert (item.calling_ae, item.last_received_at) == ("MODALITY", after(60))


def test_an_image_for_a_ready_job_is_counted_in(database: Database) -> None:
    with database.transaction() as tx:
        job = ready_job(tx)
        enter(tx, 2, now=after(5))
        again = newest(tx)
        assert (again.id, again.state, again.ready_at) == (job.id, State.WAITING, None)
        assert studies.close(tx, again, State.READY, now=after(15))
        assert len(jobs.images(tx, newest(tx))) == 2


def test_an_image_for_an_incomplete_job_lets_it_wait_again(database: Database) -> None:
    with database.transaction() as tx:
        job = waiting_job(tx)
        studies.close(tx, job, State.INCOMPLETE, now=NOW, reason="1 of 2 images came")
        enter(tx, 2)
        again = newest(tx)

    assert (again.id, again.state) == (job.id, State.WAITING)
    assert (again.partial, again.reason) == (False, "")


def test_an_image_for_a_job_that_is_to_be_refused_lets_it_wait_again(database: Database) -> None:
    with database.transaction() as tx:
        job = refused_job(tx)
        enter(tx, 2)
        again = newest(tx)

    assert (again.id, again.state) == (job.id, State.WAITING)
    assert (again.refused, again.because, again.reason) == (None, "", "")


@pytest.mark.parametrize(
    "make",
    [running_job, reported_job, delivered_job, not_analysed_job, failed_job, undelivered_job],
)
def test_an_image_after_a_job_was_taken_makes_a_new_revision(
    database: Database, make: Callable[[Connection], Job]
) -> None:
    with database.transaction() as tx:
        job = make(tx)
        enter(tx, 2, now=after(60))
        enter(tx, 3, now=after(61))
        late = newest(tx)
        assert jobs.get(tx, job.id) == job
        assert (late.revision, late.state, late.received) == (2, State.WAITING, 3)
        assert studies.close(tx, late, State.READY, now=after(70))
        assert len(jobs.images(tx, late)) == 3
        assert len(jobs.images(tx, job)) == 1


def test_an_image_for_a_held_job_leaves_it_to_the_person(database: Database) -> None:
    with database.transaction() as tx:
        job = held_job(tx)
        enter(tx, 2)
        assert (newest(tx).id, newest(tx).state) == (job.id, State.HELD)


def test_an_image_for_a_cancelled_job_changes_nothing_about_it(database: Database) -> None:
    with database.transaction() as tx:
        job = by_hand.cancel(tx, waiting_job(tx).id, now=NOW)
        assert enter(tx, 2) is Entry.NEW
        assert newest(tx).state is State.CANCELLED
        assert newest(tx).id == job.id


def test_close_counts_the_images_in_its_history_line(database: Database) -> None:
    with database.transaction() as tx:
        waiting_job(tx, images=4)
        studies.expect(tx, STUDY_UID, 4)
        studies.close(tx, newest(tx), State.READY, now=NOW)
        assert history.of_study(tx, STUDY_UID)[-1].detail == "4 of 4"


def test_close_says_412_of_412(database: Database) -> None:
    with database.transaction() as tx:
        row = {"calling_ae": "MODALITY", "own": False, "received_at": NOW, "sha256": ""}
        ref = {"study_uid": STUDY_UID, "series_uid": uid("series"), "sop_class_uid": "1.2"}
        waiting_job(tx)
        many = [row | ref | {"sop_instance_uid": uid("many", n)} for n in range(411)]
        tx.execute(instances.insert(), many)
        studies.expect(tx, STUDY_UID, 412)
        assert studies.close(tx, newest(tx), State.READY, now=NOW)
        assert history.of_study(tx, STUDY_UID)[-1].detail == "412 of 412"
        assert newest(tx).expected == newest(tx).received == 412


def test_a_partial_job_says_so_and_why(database: Database) -> None:
    with database.transaction() as tx:
        job = waiting_job(tx)
        studies.close(tx, job, State.READY, now=after(3), reason="1 of 2 images came")
        partial = claim(tx, now=after(3))

    assert partial is not None
    assert (partial.partial, partial.reason) == (True, "1 of 2 images came")
    assert partial.ready_at == after(3)


def test_close_lets_a_job_wait_when_an_image_came_since_it_was_read(database: Database) -> None:
    with database.transaction() as tx:
        job = waiting_job(tx)
        enter(tx, 2)
        assert not studies.close(tx, job, State.READY, now=NOW)
        assert newest(tx).state is State.WAITING


def test_close_leaves_a_job_alone_that_waits_no_more(database: Database) -> None:
    with database.transaction() as tx:
        job = waiting_job(tx)
        by_hand.cancel(tx, job.id, now=NOW)
        assert not studies.close(tx, job, State.READY, now=NOW)
        assert newest(tx).state is State.CANCELLED


def test_waiting_tells_who_sent_the_last_image_and_when(database: Database) -> None:
    with database.transaction() as tx:
        enter(tx, 1, calling_ae="CT1")
        enter(tx, 2, calling_ae="CT2", now=after(7))
        ready_job(tx, study_uid=uid("other study"))
        (item,) = studies.waiting(tx)

    assert (item.calling_ae, item.last_received_at) == ("CT2", after(7))
    assert item.job.study_uid == STUDY_UID


def test_results_at_counts_what_a_peer_has_of_ours(database: Database) -> None:
    with database.transaction() as tx:
        reported_job(tx, peers=("pacs", "archive"))
        first, _second = owed(tx, "pacs")
        say(tx, first, Verdict.STORED)

        assert studies.results_at(tx, STUDY_UID, ["pacs", "archive"]) == 1
        assert studies.results_at(tx, STUDY_UID, ["archive"]) == 0
        assert studies.results_at(tx, uid("other study"), ["pacs"]) == 0


@pytest.mark.parametrize("text", ["x" * 300, "NUL\0inside", "half \udc80 surrogate", "山田^太郎"])
def test_an_odd_identity_hinders_no_study(database: Database, text: str) -> None:
    with database.transaction() as tx:
        assert enter(tx, patient_id=text, accession_number=text, study_date=text) is Entry.NEW
        kept = tx.execute(study_rows.select()).one().patient_id

    assert kept == text.replace("\0", "").replace("\udc80", "?")


def test_an_arrival_that_is_rolled_back_leaves_no_trace(database: Database) -> None:
    def enter_and_die() -> None:
        with database.transaction() as tx:
            enter(tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        enter_and_die()
    with database.reading() as tx:
        assert jobs.listed(tx) == []
        assert events(tx) == []
        assert tx.execute(study_rows.select()).all() == []


def test_history_tells_the_whole_journey_in_order(database: Database) -> None:
    with database.transaction() as tx:
        job = delivered_job(tx)
        enter(tx, 2, now=NOW + timedelta(days=1))
        lines = history.of_study(tx, STUDY_UID)

    told = [line.event for line in lines]
    assert told == [
        *("waiting", "ready", "running", "reported", "sent", "sent", "delivered", "waiting")
    ]
    assert [line.job_id for line in lines[:-1]] == [job.id] * 7
    assert lines[-1].detail == f"an image came after job {job.id}: revision 2"
    assert lines[-1].at == NOW + timedelta(days=1)


def test_the_first_image_of_a_study_that_no_pipeline_wants_is_noted_once(
    database: Database,
) -> None:
    with database.transaction() as tx:
        found = [enter(tx, number, pipelines={}) for number in (1, 2)]
        noted = history.of_study(tx, STUDY_UID)

    assert found == [Entry.UNMATCHED, Entry.NEW]
    assert [(event.event, event.detail) for event in noted] == [
        ("unmatched", "no pipeline matches the first image: modality CT, body part CHEST")
    ]


def test_a_closed_job_keeps_what_was_expected_of_it(database: Database) -> None:
    with database.transaction() as tx:
        job = waiting_job(tx)
        studies.expect(tx, STUDY_UID, 1)
        assert studies.close(tx, jobs.get(tx, job.id), State.READY, now=NOW)
        studies.expect(tx, STUDY_UID, 9)

        assert jobs.get(tx, job.id).expected == 1

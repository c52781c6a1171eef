"""A model's results are withdrawn wherever they went, and nothing is deleted."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.records import DeliveryState, Job, ResultKind, State, Verdict
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import by_hand, jobs, outbox, queue, results
from tests.factories import STUDY_UID
from tests.node import study_history
from tests.recalls import QUALITY, Bench, recalling
from tests.worklist import (
    MODEL,
    NOW,
    delivered_job,
    make_results,
    not_analysed_job,
    owed,
    ready_job,
    reported_job,
    running_job,
    say,
    undelivered_job,
)

SC, SR, KO = ResultKind.SC, ResultKind.SR, ResultKind.KO


@pytest.fixture
def bench(sqlite_url: str, tmp_path: Path) -> Iterator[Bench]:
    with recalling(Database(sqlite_url), tmp_path) as bench:
        yield bench


# --- what was sent --------------------------------------------------------------------------


def test_peers_that_have_results_are_told_and_the_job_ends_when_they_were(
    database: Database, tmp_path: Path
) -> None:
    bench = Bench(database, tmp_path)
    job = bench.run(lambda tx: delivered_job(tx, peers=("pacs", "viewer")))

    assert bench.carry_out() == [True]

    assert bench.job(job).state is State.REPORTED
    assert bench.job(job).reason == f"recalled: {MODEL}, quality"
    sent = [(kind, peer, DeliveryState.SENT) for kind in (SC, SR) for peer in ("pacs", "viewer")]
    told = [
        (kind, peer, DeliveryState.OWED) for kind in (SC, SR, KO) for peer in ("pacs", "viewer")
    ]
    assert sorted(bench.stand(job)) == sorted(sent + told)
    bench.deliver()
    assert bench.job(job).state is State.WITHDRAWN
    assert bench.job(job).reason == f"recalled: {MODEL}, quality"
    assert [e.event for e in study_history(database)].count("recalled") == 1


def test_what_withdraws_names_what_was_sent_and_copies_from_the_stored_report(
    bench: Bench,
) -> None:
    job = bench.run(delivered_job)

    bench.carry_out()

    ((header, withdrawn, reason, order),) = bench.made
    assert withdrawn == [made.ref for made in make_results(job)]
    assert header.PatientID == "of sr"
    assert "PixelData" not in header
    assert (reason, order.pipeline, order.revision) == (QUALITY, job.pipeline, 1)
    assert order.kinds == {KO, SC, SR}
    with bench.database.reading() as tx:
        *_, (picture, _), (report, _), (key_object, _) = results.of_job(tx, job.id)
    for ref in (picture, report, key_object):
        path = bench.store.path_of_result(STUDY_UID, ref.sop_instance_uid)
        assert path.read_bytes() == b"run 1"


def test_the_words_are_in_the_language_of_the_pipeline(bench: Bench) -> None:
    pipeline = bench.settings.pipelines["all"].model_copy(update={"language": "de"})
    bench.settings = replace(bench.settings, pipelines={"chest": pipeline})
    bench.run(delivered_job)

    bench.carry_out()

    assert bench.made[0][3].language == "de"


def test_each_peer_is_told_by_a_key_object_and_in_the_kinds_that_it_has(bench: Bench) -> None:
    def different_kinds(tx: Connection) -> Job:
        job = running_job(tx)
        to = {"pacs": {SC, SR}, "viewer": {SC}, "reports": {SR}}
        queue.finish(tx, job, make_results(job), to, now=NOW)
        return jobs.get(tx, job.id)

    job = bench.run(different_kinds)
    bench.deliver()

    bench.carry_out()

    told = {(kind, peer) for kind, peer, state in bench.stand(job) if state is DeliveryState.OWED}
    assert told == {
        *((kind, "pacs") for kind in (SC, SR, KO)),
        *((kind, "viewer") for kind in (SC, KO)),
        *((kind, "reports") for kind in (SR, KO)),
    }


def test_marks_that_nobody_reads_are_withdrawn_by_a_key_object_alone(bench: Bench) -> None:
    def marks(tx: Connection) -> Job:
        job = running_job(tx)
        made = [replace(made, kind=ResultKind.SEG) for made in make_results(job)]
        queue.finish(tx, job, made, {"pacs": {ResultKind.SEG}}, now=NOW)
        return jobs.get(tx, job.id)

    job = bench.run(marks)
    bench.deliver()

    bench.carry_out()

    assert [kind for kind, _, state in bench.stand(job) if state is DeliveryState.OWED] == [KO]


def test_a_refused_withdrawal_waits_for_a_person_who_sends_it_again_and_nothing_else(
    bench: Bench,
) -> None:
    job = bench.run(delivered_job)
    bench.carry_out()
    bench.deliver(Verdict.NEVER)
    assert bench.job(job).state is State.UNDELIVERED

    with bench.database.transaction() as tx:
        by_hand.retry(tx, job.id, now=NOW)

    owed_now = [kind for kind, _, state in bench.stand(job) if state is DeliveryState.OWED]
    assert owed_now == [SC, SR, KO]
    bench.deliver()
    assert bench.job(job).state is State.WITHDRAWN


# --- what was not sent ----------------------------------------------------------------------


def test_results_that_nobody_was_sent_are_never_sent_and_nobody_is_told(bench: Bench) -> None:
    job = bench.run(reported_job)

    assert bench.carry_out() == [True]

    assert bench.job(job).state is State.WITHDRAWN
    assert {state for *_, state in bench.stand(job)} == {DeliveryState.CANCELLED}
    assert bench.made == []


def test_what_is_still_owed_is_cancelled_and_what_was_sent_is_withdrawn(bench: Bench) -> None:
    job = bench.run(reported_job)
    with bench.database.transaction() as tx:
        say(tx, outbox.of_job(tx, job.id)[0], Verdict.STORED)

    bench.carry_out()

    assert bench.stand(job) == [
        (SC, "pacs", DeliveryState.SENT),
        (SR, "pacs", DeliveryState.CANCELLED),
        (SC, "pacs", DeliveryState.OWED),
        (KO, "pacs", DeliveryState.OWED),
    ]
    assert [ref.sop_instance_uid for ref in bench.made[0][1]] == [
        make_results(job)[0].ref.sop_instance_uid
    ]


@pytest.mark.parametrize(
    "ending",
    [
        "in flight",
        "hung up on",
        "in flight when it was cancelled",
        "stored after it was cancelled",
        "hung up on and given up",
    ],
)
def test_what_may_have_arrived_is_withdrawn_too(ending: str, bench: Bench) -> None:
    job = bench.run(reported_job)
    with bench.database.transaction() as tx:
        (capture,) = owed(tx, limit=1)
        if ending == "hung up on":
            say(tx, capture, Verdict.LATER)
        elif ending == "hung up on and given up":
            say(tx, capture, Verdict.LATER)
            (capture, *_) = outbox.of_job(tx, job.id)
            say(tx, capture, Verdict.LATER, give_up_after_s=0)
        elif "cancelled" in ending:
            by_hand.cancel(tx, job.id, now=NOW)
            if "stored" in ending:
                say(tx, capture, Verdict.STORED)

    bench.carry_out()

    assert [len(refs) for _, refs, _, _ in bench.made] == [1]


def test_what_a_peer_refused_it_has_not(bench: Bench) -> None:
    job = bench.run(undelivered_job)  # of two, the report was refused

    bench.carry_out()

    assert [ref.sop_instance_uid for ref in bench.made[0][1]] == [
        make_results(job)[0].ref.sop_instance_uid
    ]
    bench.deliver()
    assert bench.job(job).state is State.WITHDRAWN


def test_a_cancelled_job_that_was_recalled_sends_nothing_when_it_is_retried(bench: Bench) -> None:
    def cancelled(tx: Connection) -> Job:
        return by_hand.cancel(tx, reported_job(tx).id, now=NOW)

    job = bench.run(cancelled)

    bench.carry_out()

    assert bench.job(job).state is State.WITHDRAWN
    with bench.database.transaction() as tx:
        again = by_hand.retry(tx, job.id, now=NOW)
        assert (again.id > job.id, again.revision) == (True, 2)
        assert outbox.peers_owed(tx) == set()


# --- what is not concerned ------------------------------------------------------------------


@pytest.mark.parametrize("make", [ready_job, running_job, not_analysed_job])
def test_a_job_without_results_of_the_model_is_left_alone(
    make: Callable[[Connection], Job], bench: Bench
) -> None:
    job = bench.run(make)

    assert bench.recall().plans(MODEL) == []
    assert bench.job(job) == job


def test_results_of_another_version_are_left_alone(bench: Bench) -> None:
    bench.run(delivered_job)

    assert bench.recall().plans("chest-model@1.1") == []

"""A model's results are withdrawn wherever they went: once, whole, and nothing is deleted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from pydicom import Dataset

from dicomnode.config.load import load
from dicomnode.errors import ReportError
from dicomnode.node.recall import Plan, Recall
from dicomnode.records import (
    DeliveryState,
    InstanceRef,
    Job,
    Result,
    ResultKind,
    State,
    Verdict,
    WithdrawalReason,
)
from dicomnode.report.request import Order
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import commitments, jobs, outbox, queue, results
from tests.cli import configure
from tests.factories import STUDY_UID, make_dataset, make_part10, uid
from tests.node import make_store, study_history
from tests.worklist import (
    MODEL,
    NOW,
    delivered_job,
    enter,
    events,
    make_ref,
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
KINDS = (SC, SR, KO)  #: in which a peer that has a picture and a report is told
QUALITY = WithdrawalReason.QUALITY


class Bench:
    """A recall with everything around it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.store = make_store(folder / "node")
        self.settings = load(configure(folder))
        self.made: list[tuple[Dataset, list[InstanceRef], WithdrawalReason, Order]] = []
        self.before_recording: Callable[[], None] = lambda: None

    def recall(self) -> Recall:
        return Recall(self.settings, self.database, self.store, self._make)

    def _make(
        self,
        header: Dataset,
        withdrawn: Sequence[InstanceRef],
        reason: WithdrawalReason,
        order: Order,
    ) -> list[Result]:
        """One object of each kind, whose names follow from what they withdraw."""
        self.made.append((header, list(withdrawn), reason, order))
        self.before_recording()
        parts = [ref.sop_instance_uid for ref in withdrawn]
        words = f"run {len(self.made)}".encode()
        kinds = [kind for kind in ResultKind if kind in order.kinds]
        refs = [
            make_ref(*parts, "withdrawn", kind, study_uid=withdrawn[0].study_uid) for kind in kinds
        ]
        return [
            Result(ref=ref, kind=kind, part10=words, model=MODEL)
            for ref, kind in zip(refs, kinds, strict=True)
        ]

    def run(self, make: Callable[[Connection], Job]) -> Job:
        """Let there be such a job, its results on disk."""
        with self.database.transaction() as tx:
            job = make(tx)
        for result in make_results(job):
            data = make_part10(make_dataset(PatientID=f"of {result.kind}"))
            self.store.keep_result(job.study_uid, result.ref.sop_instance_uid, data)
        return job

    def carry_out(self) -> list[bool]:
        """Recall all that there is, as the command does."""
        recall = self.recall()
        return [recall.carry_out(plan, MODEL, QUALITY) for plan in recall.plans(MODEL)]

    def job(self, job: Job) -> Job:
        with self.database.reading() as tx:
            return jobs.get(tx, job.id)

    def stand(self, job: Job) -> list[tuple[ResultKind, str, DeliveryState]]:
        """Where each result of a job stands with each peer."""
        with self.database.reading() as tx:
            return [(item.kind, item.peer, item.state) for item in outbox.of_job(tx, job.id)]

    def deliver(self, verdict: Verdict = Verdict.STORED) -> None:
        """Every peer says this of all that it is owed."""
        with self.database.transaction() as tx:
            for peer in sorted(outbox.peers_owed(tx)):
                for item in outbox.owed_to(tx, peer):
                    say(tx, item, verdict, now=datetime.now(UTC))


@pytest.fixture
def bench(sqlite_url: str, tmp_path: Path) -> Iterator[Bench]:
    database = Database(sqlite_url)
    yield Bench(database, tmp_path)
    database.close()


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
        queue.retry(tx, job.id, now=NOW)

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
            queue.cancel(tx, job.id, now=NOW)
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
        return queue.cancel(tx, reported_job(tx).id, now=NOW)

    job = bench.run(cancelled)

    bench.carry_out()

    assert bench.job(job).state is State.WITHDRAWN
    with bench.database.transaction() as tx:
        again = queue.retry(tx, job.id, now=NOW)
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


# --- once, and whole ------------------------------------------------------------------------


def test_a_second_recall_finds_nothing_to_do(bench: Bench) -> None:
    job = bench.run(delivered_job)
    bench.carry_out()
    stood = bench.stand(job)

    assert bench.carry_out() == []
    bench.deliver()
    assert bench.carry_out() == []

    assert [item[:2] for item in bench.stand(job)] == [item[:2] for item in stood]


def test_two_who_recall_at_once_do_it_once(database: Database, tmp_path: Path) -> None:
    bench = Bench(database, tmp_path)
    job = bench.run(delivered_job)
    first, second = bench.recall(), bench.recall()
    (mine,), (theirs,) = first.plans(MODEL), second.plans(MODEL)

    assert first.carry_out(mine, MODEL, QUALITY)
    stood = bench.stand(job)
    assert second.carry_out(theirs, MODEL, QUALITY)

    assert bench.stand(job) == stood
    assert len(bench.made) == 1


def test_killed_in_the_middle_it_goes_on_where_it_was(database: Database, tmp_path: Path) -> None:
    bench = Bench(database, tmp_path)
    found = [
        bench.run(partial(delivered_job, study_uid=uid("many", number))) for number in range(3)
    ]

    def die() -> None:
        if len(bench.made) == 2:
            raise SystemExit

    bench.before_recording = die
    with pytest.raises(SystemExit):
        bench.carry_out()
    states = [bench.job(job).state for job in found]
    assert states == [State.REPORTED, State.DELIVERED, State.DELIVERED]

    assert bench.carry_out() == [True, True]

    assert {bench.job(job).state for job in found} == {State.REPORTED}
    for job in found:
        assert [kind for kind, *_ in bench.stand(job)] == [SC, SR, SC, SR, KO]


def test_killed_between_disk_and_database_it_sends_the_bytes_of_the_first_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.run(delivered_job)

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("dicomnode.worklist.recall.withdraw", die)
        with pytest.raises(SystemExit):
            bench.carry_out()
    assert bench.job(job).state is State.DELIVERED

    bench.carry_out()

    with bench.database.reading() as tx:
        *_, (report, _) = results.of_job(tx, job.id)
    path = bench.store.path_of_result(STUDY_UID, report.sop_instance_uid)
    assert path.read_bytes() == b"run 1"
    assert len(bench.made) == 2


def test_what_cannot_be_made_recalls_nothing(bench: Bench) -> None:
    job = bench.run(delivered_job)

    def refuse() -> None:
        raise ReportError("the gate is closed")

    bench.before_recording = refuse
    with pytest.raises(ReportError):
        bench.carry_out()

    assert bench.job(job) == job


def test_results_that_are_gone_from_the_disk_are_said_to_stand(bench: Bench) -> None:
    with bench.database.transaction() as tx:
        job = delivered_job(tx)  # and nothing on disk

    (plan,) = bench.recall().plans(MODEL)

    assert not plan.possible
    assert not bench.recall().carry_out(plan, MODEL, QUALITY)
    assert bench.job(job) == job


# --- afterwards -----------------------------------------------------------------------------


def test_a_withdrawn_result_is_not_asked_about_and_not_sent_again(bench: Bench) -> None:
    job = bench.run(delivered_job)
    refs = [made.ref.sop_instance_uid for made in make_results(job)]
    with bench.database.transaction() as tx:
        ask(tx, "first")
    bench.carry_out()
    bench.deliver()

    with bench.database.transaction() as tx:
        commitments.answer(
            tx,
            ["pacs"],
            uid("first"),
            [],
            dict.fromkeys(refs, "no such object"),
            retry_s=float,
            give_up_after_s=10**9,
            now=datetime.now(UTC),
        )
        asked = {one.sop_instance_uid for one in ask(tx, "second")}

    assert DeliveryState.OWED not in {state for *_, state in bench.stand(job)}
    assert not asked & set(refs)
    assert len(asked) == 3


def ask(tx: Connection, name: str) -> list[commitments.Sent]:
    """Ask the PACS what it keeps."""
    now, before = datetime.now(UTC), NOW - timedelta(days=1)
    return commitments.ask(
        tx, "pacs", uid(name), owed_since=before, asked_before=now, limit=9, now=now
    )


def test_the_next_revision_supersedes_what_says_that_the_report_was_withdrawn(
    bench: Bench,
) -> None:
    job = bench.run(delivered_job)
    bench.carry_out()
    bench.deliver()

    with bench.database.transaction() as tx:
        enter(tx, 2)
        late = jobs.latest(tx, STUDY_UID, job.pipeline)
        assert late is not None
        addendum = results.of_job(tx, job.id)[-2][0]
        assert results.reports_before(tx, late) == [addendum]


def test_a_withdrawn_job_may_be_done_again_with_a_better_model(bench: Bench) -> None:
    job = bench.run(delivered_job)
    bench.carry_out()
    bench.deliver()

    with bench.database.transaction() as tx:
        again = queue.retry(tx, job.id, now=datetime.now(UTC))
        assert (again.state, again.revision) == (State.READY, 2)
        assert "recalled" in events(tx)


def test_a_plan_names_the_peers_in_order(bench: Bench) -> None:
    bench.run(lambda tx: delivered_job(tx, peers=("viewer", "archive")))

    (plan,) = bench.recall().plans(MODEL)

    assert isinstance(plan, Plan)
    assert plan.peers == ["archive", "viewer"]

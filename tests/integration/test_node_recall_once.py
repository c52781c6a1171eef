"""A recall is carried out once and whole, whatever interrupts it; and what comes afterwards."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from dicomnode.errors import ReportError
from dicomnode.node.recall import Plan
from dicomnode.records import DeliveryState, ResultKind, State
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import by_hand, commitments, jobs, results
from tests.factories import STUDY_UID, uid
from tests.recalls import QUALITY, Bench, recalling
from tests.worklist import MODEL, NOW, delivered_job, enter, events, make_results

SC, SR, KO = ResultKind.SC, ResultKind.SR, ResultKind.KO


@pytest.fixture
def bench(sqlite_url: str, tmp_path: Path) -> Iterator[Bench]:
    with recalling(Database(sqlite_url), tmp_path) as bench:
        yield bench


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
        again = by_hand.retry(tx, job.id, now=datetime.now(UTC))
        assert (again.state, again.revision) == (State.READY, 2)
        assert "recalled" in events(tx)


def test_a_plan_names_the_peers_in_order(bench: Bench) -> None:
    bench.run(lambda tx: delivered_job(tx, peers=("viewer", "archive")))

    (plan,) = bench.recall().plans(MODEL)

    assert isinstance(plan, Plan)
    assert plan.peers == ["archive", "viewer"]

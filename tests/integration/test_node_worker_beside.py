"""Several jobs side by side in one worker, and what must not be beside anything."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.records import Job, State
from dicomnode.storage.database import Database
from dicomnode.worklist import by_hand, jobs, queue
from tests.factories import uid
from tests.running import looping, until
from tests.workers import SETTINGS, Bench, crash
from tests.worklist import ready_job

SHORT_LEASE = SETTINGS.model_copy(update={"lease_s": 0.3})  # below what may be configured


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> Bench:
    return Bench(database, tmp_path / "node")


def ready(bench: Bench, *names: str) -> list[Job]:
    with bench.database.transaction() as tx:
        return [ready_job(tx, study_uid=uid(name)) for name in names]


def states(bench: Bench) -> list[State]:
    with bench.database.reading() as tx:
        return [job.state for job in jobs.listed(tx)][::-1]


class Together:
    """Holds every job until so many are under way at once, or for ever; remembers the most."""

    def __init__(self, wanted: int) -> None:
        self.most = self.now = 0
        self._wanted = wanted
        self._changed = threading.Condition()
        self._over = False

    def __call__(self, job: Job) -> None:
        with self._changed:
            self.now += 1
            self.most = max(self.most, self.now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most >= self._wanted or self._over, 120)
            self.now -= 1

    def let_go(self) -> None:
        """Hold nothing any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()


def make_suspect(bench: Bench) -> Job:
    """A job with which a worker was lost; no other can take it before it is suspect."""
    with bench.database.transaction() as tx:
        suspect = ready_job(tx, study_uid=uid("suspect"))
        taken = queue.claim(tx, "lost/1", lease_s=60, now=datetime.now(UTC))
        assert taken is not None
        assert taken.id == suspect.id
        queue.expire(tx, attempts=3, now=datetime.now(UTC), worker="lost")
        return suspect


def test_as_many_jobs_as_asked_for_are_under_way_at_once(bench: Bench) -> None:
    ready(bench, *"abcd")
    together = bench.analysis.while_working = Together(3)

    with looping(bench.worker(side_by_side=3).run):
        until(lambda: states(bench) == [State.REPORTED] * 4)

    assert together.most == 3


def test_every_job_is_done_once_however_many_take_them(bench: Bench) -> None:
    made = ready(bench, *map(str, range(12)))

    with looping(bench.worker(side_by_side=4).run):
        until(lambda: states(bench) == [State.REPORTED] * 12)

    assert sorted(case.job.id for case in bench.analysis.seen) == [job.id for job in made]


def test_a_stop_lets_all_jobs_under_way_finish_and_takes_no_more(bench: Bench) -> None:
    ready(bench, *"abc")
    together = bench.analysis.while_working = Together(99)

    with looping(bench.worker(side_by_side=2).run) as stop:
        until(lambda: together.now == 2)
        stop.set()
        together.let_go()

    assert sorted(states(bench)) == [State.READY, State.REPORTED, State.REPORTED]


def test_the_lost_lease_of_one_harms_no_other(bench: Bench) -> None:
    first, second = ready(bench, "a", "b")
    together = Together(2)

    def lose_the_first(job: Job) -> None:
        together(job)
        if job.id == first.id and job.attempts == 1:
            with bench.database.transaction() as tx:
                by_hand.cancel(tx, job.id, now=datetime.now(UTC))

    bench.analysis.while_working = lose_the_first

    with looping(bench.worker(side_by_side=2).run):
        until(lambda: states(bench) == [State.CANCELLED, State.REPORTED])

    assert bench.result_uids(first) == []
    assert len(bench.result_uids(second)) == 2


def test_each_job_keeps_its_own_lease(bench: Bench) -> None:
    ready(bench, "a", "b")
    together = Together(2)

    def work_long(job: Job) -> None:
        together(job)
        later = datetime.now(UTC) + timedelta(seconds=0.7)
        until(lambda: bench.lease_until(job) > later)

    bench.analysis.while_working = work_long

    with looping(bench.worker(SHORT_LEASE, side_by_side=2).run):
        until(lambda: states(bench) == [State.REPORTED] * 2)


def test_a_thread_that_breaks_ends_the_worker_after_the_jobs_of_the_others(bench: Bench) -> None:
    first, _ = ready(bench, "a", "b")
    together = Together(2)

    def break_the_first(job: Job) -> None:
        together(job)
        if job.id == first.id:
            raise SystemExit("no memory")

    bench.analysis.while_working = break_the_first

    with pytest.raises(SystemExit):
        bench.worker(side_by_side=2).run(threading.Event())

    assert states(bench) == [State.RUNNING, State.REPORTED]


def test_a_thread_that_breaks_ends_the_worker_while_the_others_wait_for_work(bench: Bench) -> None:
    ready(bench, "a")
    bench.analysis.while_working = crash
    ended = threading.Event()

    def run(stop: threading.Event) -> None:
        with pytest.raises(SystemExit):
            bench.worker(side_by_side=2).run(stop)
        ended.set()

    with looping(run):
        until(ended.is_set)


# --- what may kill the worker ---------------------------------------------------------------


def test_a_job_with_which_a_worker_was_lost_is_run_alone(bench: Bench) -> None:
    suspect = make_suspect(bench)
    ready(bench, *"abc")
    beside: list[tuple[int, int]] = []
    together = Together(2)

    def look(job: Job) -> None:
        with bench.database.reading() as tx:
            others = [one for one in jobs.listed(tx, states=[State.RUNNING]) if one.id != job.id]
        if job.id == suspect.id:
            beside.append((job.attempts, len(others)))
        else:
            together(job)

    bench.analysis.while_working = look

    with looping(bench.worker(side_by_side=2).run):
        until(lambda: states(bench)[0] is State.REPORTED)
        together.let_go()

    assert beside == [(2, 0)]


def test_a_suspect_waits_for_what_is_under_way_and_is_not_passed(bench: Bench) -> None:
    """A stream of other jobs could otherwise keep it waiting for ever."""
    ready(bench, "first")
    together = bench.analysis.while_working = Together(99)
    with looping(bench.worker(side_by_side=2).run):
        until(lambda: together.now == 1)
        suspect = make_suspect(bench)
        ready(bench, "later")
        threading.Event().wait(0.8)
        assert together.now == 1
        together.let_go()
        until(lambda: states(bench) == [State.REPORTED] * 3)

    done = [case.job.id for case in bench.analysis.seen]
    assert done.index(suspect.id) == 1


def test_beside_others_nothing_is_claimed_that_was_begun_before(bench: Bench) -> None:
    suspect = make_suspect(bench)
    ready(bench, "fresh")

    def claim(*, beside: bool) -> Job | None:
        with bench.database.transaction() as tx:
            return queue.claim(tx, "w/1", lease_s=60, now=datetime.now(UTC), beside=beside)

    assert claim(beside=True) is None
    taken = claim(beside=False)
    assert taken is not None
    assert taken.id == suspect.id
    fresh = claim(beside=True)
    assert fresh is not None
    assert fresh.attempts == 1


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_job_is_never_given_up_for_what_was_beside_it(bench: Bench, attempts: int) -> None:
    """One of three kills the worker whenever it runs; the two others get their results."""
    killer, *_ = ready(bench, "killer", "a", "b")
    lives = 0
    while any(state is State.READY for state in states(bench)):
        lives += 1
        assert lives < 10
        _live_until_killed(bench, f"node/{lives}", killer, attempts)

    with bench.database.reading() as tx:
        found = {job.id: job for job in jobs.listed(tx)}
    assert [job.refused for number, job in found.items() if number != killer.id] == [None, None]
    assert {job.state for job in found.values()} == {State.REPORTED}
    assert found[killer.id].refused is not None


def _live_until_killed(bench: Bench, name: str, killer: Job, attempts: int) -> None:
    """One life of a worker that takes two at a time, as a process that dies would leave it."""
    held: list[Job] = []
    while True:
        with bench.database.transaction() as tx:
            now = datetime.now(UTC)
            job = queue.claim(tx, name, lease_s=60, now=now, beside=bool(held))
        if job is not None:
            held.append(job)
            if len(held) < 2 and job.attempts == 1 and job.refused is None:
                continue
        if not held:
            return
        if any(one.id == killer.id and one.refused is None for one in held):
            with bench.database.transaction() as tx:
                queue.expire(tx, attempts=attempts, now=datetime.now(UTC), worker=name)
            return
        for one in held:
            bench.worker()._handling.see_through(one)
        held = []


# --- spare time -----------------------------------------------------------------------------


class Spare:
    """A `node.worker.SpareTime` with so many pieces of work."""

    brief = False

    def __init__(self, pieces: int, work: Callable[[], None] = lambda: None) -> None:
        self.pieces = pieces
        self.done = 0
        self._work = work

    def next(self) -> Callable[[], None] | None:
        if self.pieces == 0:
            return None
        self.pieces -= 1
        return self._do

    def _do(self) -> None:
        self.done += 1
        self._work()


def test_spare_time_is_used_when_there_is_no_job(bench: Bench) -> None:
    spare = Spare(3)

    with looping(bench.worker(spare_time=[spare]).run):
        until(lambda: spare.done == 3)


def test_a_job_is_taken_between_two_pieces_of_spare_work(bench: Bench) -> None:
    made: list[int] = []

    def make_a_job() -> None:
        if not made:
            made.append(ready(bench, "a")[0].id)

    spare = Spare(3, make_a_job)
    done_before: list[int] = []
    bench.analysis.while_working = lambda job: done_before.append(spare.done)

    with looping(bench.worker(spare_time=[spare]).run):
        until(lambda: spare.done == 3)

    assert done_before == [1]


def test_a_worker_whose_predecessor_died_does_what_is_owed_and_nothing_else(bench: Bench) -> None:
    ready(bench, "a")
    spare = Spare(3)

    with looping(bench.worker(spare_time=[spare], careful_for_s=60).run):
        until(lambda: states(bench) == [State.REPORTED])

    assert spare.done == 0


def test_a_worker_that_is_told_takes_the_job_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.worker._LOOK_S", 600)
    look = threading.Event()
    with looping(bench.worker(look=look).run) as stop:
        until(lambda: not look.is_set())
        ready(bench, "a")
        look.set()
        until(lambda: states(bench) == [State.REPORTED])
        stop.set()
        look.set()

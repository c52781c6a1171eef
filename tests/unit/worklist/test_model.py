"""Random histories of one study against what must hold after every step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import ClassVar

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dicomnode.answers import Result
from dicomnode.errors import Cause, LeaseLost, WrongStep
from dicomnode.records import (
    Delivery,
    DeliveryState,
    Job,
    ResultKind,
    State,
    Verdict,
)
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import by_hand, jobs, outbox, queue, recall, results, studies
from dicomnode.worklist.arrivals import Entry
from dicomnode.worklist.states import MOVES
from dicomnode.worklist.tables import history, matches, metadata
from tests.factories import STUDY_UID
from tests.worklist import (
    MODEL,
    NOW,
    PIPELINE,
    claim,
    delivered_job,
    enter,
    failed_job,
    held_job,
    make_ref,
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
    wanted,
)

ATTEMPTS = 2
LEASE_S = 60
MOST_IMAGES = 4  #: more would keep the study waiting for ever


ENDS = ("finish", "finish", "nothing made", "later", "fail", "hold", "release")
ANSWERS = (Verdict.STORED, Verdict.STORED, Verdict.LATER, Verdict.NEVER)
STARTS = (
    *(waiting_job, ready_job, running_job, reported_job, delivered_job, refused_job),
    *(not_analysed_job, held_job, failed_job, undelivered_job),
)
ACTS = (
    by_hand.retry,
    by_hand.retry,
    by_hand.cancel,
    lambda tx, job_id, now: by_hand.hurry(tx, job_id, by_hand.next_place(tx), now=now),
    lambda tx, job_id, now: by_hand.resend(tx, job_id, wanted("pacs", "new"), now=now),
    lambda tx, _, now: by_hand.process(tx, STUDY_UID, PIPELINE, priority=0, now=now),
)
#: A person decides what becomes of such a job; images that come meanwhile count from then on.
LEFT_ALONE = (State.CANCELLED, State.HELD)


class OneStudy(RuleBasedStateMachine):
    """A registrar, a clock, two workers, two couriers and a person."""

    database: ClassVar[Database]  #: one for all histories; each begins by emptying it

    def __init__(self) -> None:
        super().__init__()
        with self.database.transaction() as tx:
            for table in reversed(metadata.sorted_tables):
                tx.execute(table.delete())
        self.now = NOW
        self.images = 0  #: how many have come
        self.seen: list[Job] = []  #: the waiting job as the timer read it
        self.held: list[Job] = []  #: jobs that workers believe to hold
        self.in_flight: list[Delivery] = []  #: what couriers believe to hold

    @contextmanager
    def step(self) -> Iterator[Connection]:
        self.now += timedelta(seconds=1)
        with self.database.transaction() as tx:
            yield tx

    # --- what may happen --------------------------------------------------------------------

    @initialize(begin=st.sampled_from([*STARTS]))
    def begin_anywhere(self, begin: Callable[[Connection], Job]) -> None:
        """Random steps alone would seldom come far."""
        self.images = 1
        with self.step() as tx:
            job = begin(tx)
            self.held = [job] if job.state is State.RUNNING else []

    @precondition(lambda self: self.images < MOST_IMAGES)
    @rule()
    def an_image_comes(self) -> None:
        self.images += 1
        with self.step() as tx:
            assert enter(tx, self.images, now=self.now) is Entry.NEW

    @rule()
    def the_timer_looks(self) -> None:
        with self.step() as tx:
            self.seen = [item.job for item in studies.waiting(tx)]

    @precondition(lambda self: self.seen)
    @rule(to=st.sampled_from([State.READY, State.READY, State.INCOMPLETE]))
    def the_timer_closes(self, to: State) -> None:
        with self.step() as tx:
            for job in self.seen:
                studies.close(tx, job, to, now=self.now)

    @precondition(lambda self: self.seen)
    @rule()
    def the_timer_refuses(self) -> None:
        with self.step() as tx:
            for job in self.seen:
                words = "1 of 2 images came"
                cause = Cause.INCOMPLETE
                studies.close(tx, job, State.READY, now=self.now, reason=words, refused=cause)

    @rule()
    def the_study_is_complete(self) -> None:
        self.the_timer_looks()
        self.the_timer_closes(State.READY)

    @rule(worker=st.sampled_from(["one/1", "two/1"]))
    def a_worker_claims(self, worker: str) -> None:
        with self.step() as tx:
            job = claim(tx, worker, now=self.now)
            self.held = [*self.held, job] if job else self.held

    @precondition(lambda self: self.held)
    @rule(data=st.data(), end=st.sampled_from(ENDS))
    def a_worker_ends(self, data: st.DataObject, end: str) -> None:
        job = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        try:
            with self.step() as tx:
                self.job_ends(tx, job, end)
        except LeaseLost:
            pass

    def job_ends(self, tx: Connection, job: Job, end: str) -> None:
        match end:
            case "finish" | "nothing made":
                made = make_results(job) if end == "finish" else []
                to, why, words = wanted("pacs", "archive"), job.refused, job.because
                queue.finish(tx, job, made, to, now=self.now, refused=why, because=words)
            case "later":
                queue.later(tx, job, "busy", wait_s=5, now=self.now)
            case "hold":
                queue.hold(tx, job, "PatientID, 2 values", now=self.now)
            case "fail":
                queue.fail(tx, job, "no pixels", now=self.now)
            case "release" if job.lease is not None:
                queue.release(tx, job.lease, now=self.now)

    @precondition(lambda self: self.held)
    @rule()
    def leases_expire(self) -> None:
        self.now += timedelta(seconds=LEASE_S)
        with self.step() as tx:
            queue.expire(tx, attempts=ATTEMPTS, now=self.now)

    @rule(peer=st.sampled_from(["pacs", "archive"]), holder=st.sampled_from(["one", "two"]))
    def a_courier_claims(self, peer: str, holder: str) -> None:
        with self.step() as tx:
            self.in_flight += owed(tx, peer, holder=holder, limit=4, now=self.now)

    @precondition(lambda self: self.in_flight)
    @rule(verdicts=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4))
    def a_peer_answers(self, verdicts: list[Verdict]) -> None:
        for item, verdict in zip(self.in_flight, verdicts, strict=False):
            with self.step() as tx:
                say(tx, item, verdict, now=self.now, give_up_after_s=10 * LEASE_S)
        self.in_flight = self.in_flight[len(verdicts) :]

    @precondition(lambda self: self.in_flight)
    @rule()
    def a_peer_is_away(self) -> None:
        with self.step() as tx:
            outbox.give_back(tx, self.in_flight, "away", give_up_after_s=10 * LEASE_S, now=self.now)
        self.in_flight = []

    @precondition(lambda self: self.images == MOST_IMAGES)
    @rule(data=st.data(), what=st.sampled_from(ACTS))
    def a_person_acts(self, data: st.DataObject, what: Callable[..., Job]) -> None:
        with self.step() as tx:
            chosen = data.draw(st.sampled_from(jobs.listed(tx)))
            try:
                what(tx, chosen.id, now=self.now)
            except WrongStep:
                assert jobs.get(tx, chosen.id) == chosen

    @precondition(lambda self: self.images == MOST_IMAGES)
    @rule()
    def the_model_is_recalled(self) -> None:
        with self.step() as tx:
            for job_id in recall.jobs_of(tx, MODEL):
                job = jobs.get(tx, job_id, lock=True)
                found = recall.standing(tx, job)
                peers = {peer for one in found for peer in one.peers}
                made = make_withdrawal(job) if found else []
                recall.withdraw(tx, job, made, wanted(*peers), "recalled", now=self.now)

    # --- what must hold ---------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        with self.database.reading() as tx:
            found = jobs.listed(tx)
            self.no_image_is_forgotten(tx, found)
            for job in found:
                stand = {
                    made.ref.sop_instance_uid
                    for made in results.listed(tx)
                    if made.withdrawn_at is None
                }
                deliveries_fit(job, outbox.of_job(tx, job.id), stand)
                history_fits(job, [State(row.event) for row in tx.execute(_told(job))])
        assert sum(job.state is State.RUNNING for job in found) <= 1
        assert [job.revision for job in found] == list(range(len(found), 0, -1))
        assert all(job.state is not State.WAITING for job in found[1:])

    def no_image_is_forgotten(self, tx: Connection, found: list[Job]) -> None:
        assert bool(found) == bool(self.images)
        if found and found[0].state not in (State.WAITING, *LEFT_ALONE):
            assert len(jobs.images(tx, found[0])) == self.images
        matched = sa.select(sa.func.count()).select_from(matches)
        assert tx.execute(matched).scalar_one() == self.images


def make_withdrawal(job: Job) -> list[Result]:
    """What says that a job's results are withdrawn."""
    return [
        replace(made, ref=make_ref("withdraws", made.ref.sop_instance_uid), kind=kind)
        for made, kind in zip(make_results(job), (ResultKind.SR, ResultKind.SC), strict=True)
    ]


def deliveries_fit(job: Job, items: list[Delivery], stand: set[str]) -> None:
    recalled = {item.state for item in items if item.sop_instance_uid not in stand}
    assert DeliveryState.OWED not in recalled
    assert not recalled or job.because == "recalled"
    states = {item.state for item in items if item.sop_instance_uid in stand}
    assert (DeliveryState.OWED in states) == (job.state is State.REPORTED)
    assert (job.lease is not None) == (job.state is State.RUNNING)
    if job.state in (State.DELIVERED, State.NOT_ANALYSED):
        assert states <= {DeliveryState.SENT}
        assert (job.refused is not None) == (job.state is State.NOT_ANALYSED)
        assert job.refused is None or job.reason == job.because != ""
    if job.state is State.WITHDRAWN:
        assert job.reason == job.because == "recalled"
    if job.state is State.UNDELIVERED:
        assert DeliveryState.REFUSED in states


def history_fits(job: Job, told: list[State]) -> None:
    assert told[0] is State.WAITING
    assert told[-1] is job.state
    for before, then in pairwise(told):
        assert then in MOVES[before]


def _told(job: Job) -> sa.Select[tuple[str]]:
    mine = (history.c.job_id == job.id) & history.c.event.in_(list(State))
    return sa.select(history.c.event).where(mine).order_by(history.c.id)


def test_whatever_happens_to_a_study_no_image_and_no_result_is_forgotten() -> None:
    OneStudy.database = Database("sqlite://")
    with OneStudy.database.transaction() as tx:
        metadata.create_all(tx)
    few = settings(max_examples=60, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(OneStudy, settings=few)
    OneStudy.database.close()

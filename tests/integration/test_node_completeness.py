"""When a study counts as complete: quiet, and counted where its sender can count."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from dicomnode.config.pipelines import PipelineSettings
from dicomnode.errors import DatabaseAway, PeerAway
from dicomnode.node.arrivals import Arrivals
from dicomnode.node.completeness import CompletenessCheck
from dicomnode.node.counts import StudyCounts
from dicomnode.records import Association, Job, Peer, State
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import jobs
from tests.factories import STUDY_UID, make_association, make_peer, uid
from tests.node import make_pipeline
from tests.running import until
from tests.worklist import PIPELINE, after, delivered_job, enter, waiting_job

MODALITY = make_peer(answers_find=True)
ALL_HERE = {"quiet_s": 10.0, "limit_s": 60.0}
IMPATIENT = {"quiet_s": 0.01, "limit_s": 60.0}  #: so that a peer is asked again at once


class Node:
    """The completeness check with everything around it that a test may move."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.known_until = after(0)
        self.released_at = 0.0
        self.arrivals = Arrivals(
            lambda: None, lambda study, image: None, clock=lambda: self.released_at
        )
        self.pipelines: dict[str, PipelineSettings] = {}
        self.asked: list[str] = []
        self._counts: list[StudyCounts] = []

    def check(
        self, count: Callable[[], int | None] | None = None, **complete: object
    ) -> CompletenessCheck:
        """A check whose peer counts like this; without, no peer is asked."""

        def answer(peer: Peer, study_uid: str) -> int | None:
            self.asked.append(study_uid)
            assert count is not None
            return count()

        self.pipelines[PIPELINE] = make_pipeline(complete=ALL_HERE | complete)
        peer = make_peer(answers_find=count is not None)
        counts = StudyCounts({peer.name: peer}, answer, self.database)
        self._counts.append(counts)
        return CompletenessCheck(
            self.database, self.pipelines, self.arrivals, counts, lambda: self.known_until
        )

    def job(self) -> Job:
        """The newest job of the study."""
        with self.database.reading() as tx:
            found = jobs.latest(tx, STUDY_UID, PIPELINE)
        assert found is not None
        return found

    def look(self, check: CompletenessCheck, *, at_s: float) -> State:
        """One pass when so many seconds have passed since the test began."""
        self.known_until = after(at_s)
        check.run()
        return self.job().state

    def close(self) -> None:
        for counts in self._counts:
            counts.close()


@pytest.fixture
def node(sqlite_url: str) -> Iterator[Node]:
    database = Database(sqlite_url)
    node = Node(database)
    yield node
    node.close()
    database.close()


def begin(node: Node, images: int = 1) -> None:
    """So many images came when the test began."""
    with node.database.transaction() as tx:
        waiting_job(tx, images=images)


# --- quiet ----------------------------------------------------------------------------------


def test_a_study_is_ready_when_nothing_came_for_the_quiet_time(database: Database) -> None:
    node = Node(database)
    begin(node)
    check = node.check()

    assert node.look(check, at_s=9.9) is State.WAITING
    assert node.look(check, at_s=10.0) is State.READY
    assert not node.job().partial
    node.close()


def test_a_new_image_begins_the_quiet_time_again(node: Node) -> None:
    begin(node)
    check = node.check()
    with node.database.transaction() as tx:
        enter(tx, 2, now=after(9))

    assert node.look(check, at_s=18.9) is State.WAITING
    assert node.look(check, at_s=19.0) is State.READY


def test_what_still_lies_in_the_inbox_holds_every_study(node: Node) -> None:
    """The quiet time ends where the worklist's knowledge ends, not where the clock stands."""
    begin(node)
    check = node.check()

    assert datetime.now(UTC) > after(3600)
    assert node.look(check, at_s=1.0) is State.WAITING


def test_an_open_association_holds_a_study_for_six_quiet_times(node: Node) -> None:
    begin(node)
    node.arrivals.kept(make_association(), STUDY_UID, "1.2")
    check = node.check()

    assert node.look(check, at_s=59.9) is State.WAITING
    assert node.look(check, at_s=60.0) is State.READY


def test_the_quiet_time_begins_when_the_association_ends(node: Node) -> None:
    begin(node)
    node.arrivals.kept(make_association(), STUDY_UID, "1.2")
    node.arrivals.ended(make_association())
    check = node.check()

    node.released_at = 9.9
    assert node.look(check, at_s=30) is State.WAITING
    node.released_at = 10.0
    assert node.look(check, at_s=30) is State.READY


def test_many_studies_that_are_complete_at_once_go_on_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.node.completeness._AT_ONCE", 2)
    node = Node(database)
    with database.transaction() as tx:
        for number in range(5):
            waiting_job(tx, study_uid=uid("study", number))
    check = node.check()
    node.known_until = after(10)

    check.run()

    with database.reading() as tx:
        assert jobs.count(tx) == {State.READY: 5}
    node.close()


def test_each_pipeline_has_its_own_quiet_time(node: Node) -> None:
    with node.database.transaction() as tx:
        waiting_job(tx, pipelines={"slow": 0, PIPELINE: 0})
    check = node.check()
    node.pipelines["slow"] = make_pipeline(complete={"quiet_s": 30.0})

    node.look(check, at_s=10)

    with node.database.reading() as tx:
        assert {job.pipeline: job.state for job in jobs.listed(tx)} == {
            "slow": State.WAITING,
            PIPELINE: State.READY,
        }


def test_a_job_whose_pipeline_is_gone_fails_with_that_reason(node: Node) -> None:
    begin(node)
    check = node.check()
    node.pipelines.clear()

    assert node.look(check, at_s=0) is State.FAILED
    assert node.job().reason == f"pipeline {PIPELINE} is no longer configured"


# --- at once ----------------------------------------------------------------------------------

AT_ONCE: dict[str, Any] = {"quiet_s": 0.0}


def came_now(node: Node) -> None:
    """One image came at this moment."""
    with node.database.transaction() as tx:
        enter(tx, 1, now=datetime.now(UTC))
    node.known_until = datetime.now(UTC)


def test_without_a_quiet_time_a_study_is_ready_when_its_association_ends(node: Node) -> None:
    node.arrivals = Arrivals(lambda: None, lambda study, image: None)
    node.arrivals.kept(make_association(), STUDY_UID, "1.2")
    came_now(node)
    check = node.check(**AT_ONCE)

    check.run()
    assert node.job().state is State.WAITING
    node.arrivals.ended(make_association())
    node.known_until = datetime.now(UTC)
    check.run()
    assert node.job().state is State.READY


def test_without_a_quiet_time_an_image_does_not_overtake_its_association(node: Node) -> None:
    """It may be in the worklist before we hear who brings it; so may one of a second round."""
    came_now(node)
    check = node.check(**AT_ONCE)
    check.run()
    assert node.job().state is State.WAITING

    node.released_at = -1000.0
    node.arrivals.kept(make_association(), STUDY_UID, "1.2")
    node.arrivals.ended(make_association())
    node.released_at = 0.0
    check.run()
    assert node.job().state is State.WAITING


def test_without_a_quiet_time_what_came_after_the_inbox_was_read_holds_its_study(
    node: Node,
) -> None:
    """The last image may still be in the inbox when its association has ended."""
    node.arrivals = Arrivals(lambda: None, lambda study, image: None)
    node.arrivals.kept(make_association(), STUDY_UID, "1.2")
    came_now(node)
    time.sleep(0.01)
    node.arrivals.ended(make_association())
    check = node.check(**AT_ONCE)
    check.run()
    assert node.job().state is State.WAITING

    time.sleep(0.01)
    node.known_until = datetime.now(UTC)
    check.run()
    assert node.job().state is State.READY


def test_without_a_quiet_time_a_study_nobody_brings_is_ready_after_a_minute(node: Node) -> None:
    """The node was restarted, and its associations are forgotten."""
    begin(node)
    check = node.check(**AT_ONCE)

    assert node.look(check, at_s=59.9) is State.WAITING
    assert node.look(check, at_s=60.0) is State.READY


def test_without_a_quiet_time_a_short_study_is_asked_about_with_patience(node: Node) -> None:
    begin(node)
    node.arrivals.kept(make_association(), STUDY_UID, "1.2")
    node.arrivals.ended(make_association())
    node.released_at = (datetime.now(UTC) - after(1)).total_seconds()
    check = node.check(lambda: 2, **AT_ONCE)

    until(lambda: node.look(check, at_s=50) is State.WAITING and node.job().expected == 2)
    for _ in range(5):
        assert node.look(check, at_s=50) is State.WAITING

    assert node.asked == [STUDY_UID]


# --- when to look again -----------------------------------------------------------------------


def test_says_when_the_next_study_may_be_complete(node: Node) -> None:
    begin(node)
    check = node.check()
    for at_s, again_s in ((0, 10.0), (7.5, 2.5), (9.75, 0.25)):
        node.known_until = after(at_s)
        assert check.run() == again_s


def test_says_when_the_quiet_time_after_an_association_is_over(node: Node) -> None:
    begin(node)
    check = node.check()
    node.arrivals.kept(make_association(), STUDY_UID, "1.2")
    node.arrivals.ended(make_association())
    node.released_at, node.known_until = 7.0, after(30)

    assert check.run() == 3.0


def test_looks_again_soon_at_what_nobody_says_the_end_of(node: Node) -> None:
    begin(node)
    check = node.check()
    node.arrivals.kept(make_association(), STUDY_UID, "1.2")
    node.known_until = after(30)

    assert check.run() == 0.5


def test_an_answer_of_the_peer_is_told_at_once(node: Node) -> None:
    begin(node)
    answered = threading.Event()
    peer = make_peer(answers_find=True)
    node.pipelines[PIPELINE] = make_pipeline(complete=ALL_HERE)
    counts = StudyCounts({peer.name: peer}, lambda peer, study: 1, node.database, answered.set)
    check = CompletenessCheck(
        node.database, node.pipelines, node.arrivals, counts, lambda: after(10)
    )

    check.run()
    assert answered.wait(10)
    check.run()

    assert node.job().state is State.READY
    check.close()


# --- counted --------------------------------------------------------------------------------


def wait_for(node: Node, check: CompletenessCheck, state: State, *, at_s: float) -> Job:
    """Look again and again, as the timer does, until the job is there."""
    until(lambda: node.look(check, at_s=at_s) is state, timeout_s=10)
    return node.job()


def test_a_study_that_is_counted_and_quiet_is_ready_at_once(database: Database) -> None:
    node = Node(database)
    begin(node, images=3)
    check = node.check(lambda: 3)

    assert node.look(check, at_s=9.9) is State.WAITING
    assert node.asked == []
    job = wait_for(node, check, State.READY, at_s=10.0)
    assert (job.received, job.expected, job.partial) == (3, 3, False)
    assert node.asked == [STUDY_UID]
    node.close()


def test_a_short_study_waits_and_is_ready_when_the_last_image_is_here(node: Node) -> None:
    begin(node)
    check = node.check(lambda: 2)
    until(lambda: node.look(check, at_s=20) is State.WAITING and node.job().expected == 2)
    assert [node.look(check, at_s=at) for at in (21, 40, 59)] == [State.WAITING] * 3

    with node.database.transaction() as tx:
        enter(tx, 2, now=after(60))

    job = wait_for(node, check, State.READY, at_s=70)
    assert (job.received, job.expected, job.partial) == (2, 2, False)


def test_a_short_study_is_asked_about_again(node: Node) -> None:
    """Images may be deleted at the sender, or its count may have run ahead."""
    begin(node)
    answers = [2, 2, 1]
    check = node.check(lambda: answers.pop(0), **IMPATIENT)

    job = wait_for(node, check, State.READY, at_s=30)

    assert (job.expected, job.partial) == (1, False)
    assert answers == []


def test_at_the_limit_a_short_study_is_processed_and_marked_partial(node: Node) -> None:
    begin(node)
    check = node.check(lambda: 2)

    job = wait_for(node, check, State.READY, at_s=60)

    assert job.partial
    assert job.reason == "1 of 2 images came"


def test_at_the_limit_a_short_study_is_left_out_where_the_pipeline_says_so(node: Node) -> None:
    begin(node)
    check = node.check(lambda: 2, when_short="skip")

    assert wait_for(node, check, State.INCOMPLETE, at_s=60).reason == "1 of 2 images came"


def test_a_peer_that_answers_slower_than_the_quiet_time_is_still_heard(node: Node) -> None:
    begin(node)

    def slowly() -> int:
        time.sleep(0.05)
        return 2

    check = node.check(slowly, **IMPATIENT)

    assert wait_for(node, check, State.READY, at_s=60).partial


def test_a_peer_that_cannot_count_leaves_it_to_the_quiet_time(node: Node) -> None:
    begin(node)
    check = node.check(lambda: None)

    job = wait_for(node, check, State.READY, at_s=10)

    assert (job.expected, job.partial) == (None, False)


def test_a_peer_that_does_not_answer_three_times_leaves_it_to_the_quiet_time(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    begin(node)

    def away() -> int:
        raise PeerAway("nobody is there")

    check = node.check(away, **IMPATIENT)

    job = wait_for(node, check, State.READY, at_s=30)

    assert not job.partial
    assert len(node.asked) == 3
    assert caplog.messages.count("count.failed") == 3


class _Unsteady(Database):
    """Away for the next few threads that want to write a count down."""

    outages = 4

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        if self.outages and threading.current_thread().name.startswith("count"):
            self.outages -= 1
            raise DatabaseAway("the test took the database away")
        with super().transaction() as tx:
            yield tx


def test_an_outage_of_the_database_is_no_failure_of_the_peer(sqlite_url: str) -> None:
    database = _Unsteady(sqlite_url)
    node = Node(database)
    begin(node)
    check = node.check(lambda: 2, **IMPATIENT)

    until(lambda: node.look(check, at_s=30) is State.READY or node.job().expected == 2)

    assert node.job().state is State.WAITING
    assert len(node.asked) >= 5
    node.close()
    database.close()


def test_our_own_results_at_the_peer_are_taken_off_its_count(node: Node) -> None:
    with node.database.transaction() as tx:
        delivered_job(tx, peers=(MODALITY.name,))
        enter(tx, 2)
    assert node.job().revision == 2
    check = node.check(lambda: 2 + 2)  # two images, a capture, a report

    job = wait_for(node, check, State.READY, at_s=10)

    assert (job.received, job.expected) == (2, 2)


def test_a_sender_that_is_no_peer_any_more_is_not_asked(node: Node) -> None:
    with node.database.transaction() as tx:
        waiting_job(tx, calling_ae="GONE")
    check = node.check(lambda: 1000)

    assert node.look(check, at_s=10) is State.READY
    assert node.asked == []


# --- what this node turned away ---------------------------------------------------------------


def bring(node: Node, association: Association, *, turned_away: int) -> None:
    """An association brings an image of the study, and others that could not be kept."""
    node.arrivals.kept(association, STUDY_UID, uid("image"))
    for _ in range(turned_away):
        node.arrivals.turned_away(association)
    node.arrivals.ended(association)
    node.released_at += 1000


def test_a_study_cut_short_by_this_node_waits_and_is_partial_in_the_end(node: Node) -> None:
    begin(node, images=2)
    check = node.check()
    bring(node, make_association(), turned_away=3)

    assert node.look(check, at_s=59.9) is State.WAITING
    assert (node.job().received, node.job().expected) == (2, 5)
    assert node.look(check, at_s=60.0) is State.READY
    assert node.job().partial
    assert node.job().reason == "2 of 5 images came"


def test_a_study_whose_images_came_again_is_complete(node: Node) -> None:
    begin(node, images=2)
    check = node.check()
    bring(node, make_association(id=1), turned_away=3)
    bring(node, make_association(id=2), turned_away=0)

    assert node.look(check, at_s=10.0) is State.READY
    assert not node.job().partial

"""When a study counts as complete: counted, where its sender or this node can count."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dicomnode.errors import Cause, DatabaseAway, PeerAway
from dicomnode.node.completeness import CompletenessCheck
from dicomnode.records import Association, Job, State
from dicomnode.storage.database import Connection, Database
from tests.completeness import MODALITY, Node, begin, checking
from tests.factories import STUDY_UID, make_association, uid
from tests.running import until
from tests.worklist import PIPELINE, after, delivered_job, enter, waiting_job

IMPATIENT = {"quiet_s": 0.01, "limit_s": 60.0}  #: so that a peer is asked again at once


@pytest.fixture
def node(sqlite_url: str) -> Iterator[Node]:
    with checking(Database(sqlite_url)) as node:
        yield node


# --- by its sender --------------------------------------------------------------------------


def wait_for(node: Node, check: CompletenessCheck, state: State, *, at_s: float) -> Job:
    """Look again and again, as the timer does, until the job is there."""
    until(lambda: node.look(check, at_s=at_s) is state)
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


def test_at_the_limit_a_short_study_is_refused_where_the_pipeline_says_so(node: Node) -> None:
    begin(node)
    check = node.check(lambda: 2, when_short="skip")

    job = wait_for(node, check, State.READY, at_s=60)

    assert (job.refused, job.partial) == (Cause.INCOMPLETE, False)
    assert job.reason == job.because == "1 of 2 images came"


def test_at_the_limit_a_short_study_is_left_out_where_nobody_wants_to_be_told(node: Node) -> None:
    begin(node)
    check = node.check(lambda: 2, when_short="skip")
    silent = {"not_analysed": "nothing"}
    node.pipelines[PIPELINE] = node.pipelines[PIPELINE].model_copy(update=silent)

    job = wait_for(node, check, State.INCOMPLETE, at_s=60)

    assert (job.refused, job.reason) == (None, "1 of 2 images came")


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


# --- by what this node turned away ----------------------------------------------------------


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

"""When a study counts as complete: quiet, and every image entered."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dicomnode.node.arrivals import Arrivals
from dicomnode.node.completeness import CompletenessCheck
from dicomnode.node.counts import StudyCounts
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.worklist import jobs
from tests.completeness import ALL_HERE, Node, begin, checking
from tests.factories import STUDY_UID, make_association, make_peer, uid
from tests.node import in_force, make_pipeline
from tests.running import until
from tests.worklist import PIPELINE, after, enter, waiting_job


@pytest.fixture
def node(sqlite_url: str) -> Iterator[Node]:
    with checking(Database(sqlite_url)) as node:
        yield node


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
    counts = StudyCounts(
        in_force(peers={peer.name: peer}), lambda peer, study: 1, node.database, answered.set
    )
    check = CompletenessCheck(
        node.database,
        in_force(pipelines=node.pipelines),
        node.arrivals,
        counts,
        lambda: after(10),
    )

    check.run()
    assert answered.wait(60)
    check.run()

    assert node.job().state is State.READY
    check.close()

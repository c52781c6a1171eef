"""Who may open an association, and who is inside."""

import socket
import threading
from collections.abc import Iterator

import pytest

from dicomnode.config.settings import NodeSettings, ReceiveSettings
from dicomnode.errors import Trouble
from dicomnode.receive.desk import Admission, Desk, FrontDesk
from dicomnode.receive.desk_line import DistantDesk, attend, say_stop
from dicomnode.receive.negotiation import Rejection
from dicomnode.records import Association, Peer, Visit, VisitState
from tests.factories import make_peer
from tests.fakes import RememberingListener
from tests.node import in_force

OTHER = make_peer(name="other", ae_title="OTHER")


def make_desk(
    peers: dict[str, Peer] | None = None,
    listener: RememberingListener | None = None,
    *,
    has_room: bool = True,
    **changes: int,
) -> FrontDesk:
    settings = ReceiveSettings().model_copy(update={"max_associations": 2} | changes)
    if peers is None:
        peers = {"modality": make_peer()}
    current = in_force(node=NodeSettings(receive=settings), peers=peers)
    return FrontDesk(current, listener or RememberingListener(), lambda: has_room)


def ask(
    desk: Desk,
    calling: str = "MODALITY",
    called: str = "DICOMNODE",
    address: str = "127.0.0.1",
    *,
    stores: bool = True,
) -> Admission | Rejection:
    return desk.admit(calling, called, address, stores=stores)


def let_in(desk: Desk, calling: str = "MODALITY", address: str = "127.0.0.1") -> Association:
    answer = ask(desk, calling, address=address)
    assert isinstance(answer, Admission)
    return answer.association


def turned_back(desk: Desk, calling: str = "MODALITY", address: str = "127.0.0.1") -> Rejection:
    answer = ask(desk, calling, address=address)
    assert isinstance(answer, Rejection)
    return answer


def test_a_peer_that_may_send_is_let_in() -> None:
    assert ask(make_desk()) == Admission(
        association=Association(
            id=1, calling_ae="MODALITY", called_ae="DICOMNODE", address="127.0.0.1"
        ),
        may_store=True,
    )


@pytest.mark.parametrize(
    ("peers", "calling", "called", "reason"),
    [
        ({"modality": make_peer()}, "MODALITY", "OTHER", 7),
        ({"modality": make_peer()}, "modality", "DICOMNODE", 3),
        ({"modality": make_peer(may_send=False)}, "MODALITY", "DICOMNODE", 3),
        ({}, "MODALITY", "DICOMNODE", 3),
        ({}, "", "DICOMNODE", 3),
    ],
)
def test_everybody_else_is_not(
    peers: dict[str, Peer], calling: str, called: str, reason: int
) -> None:
    answer = ask(make_desk(peers), calling, called)
    assert isinstance(answer, Rejection)
    assert (answer.result, answer.source, answer.reason) == (1, 1, reason)


def test_a_peer_that_confirms_storage_is_let_in_and_may_not_store() -> None:
    pacs = make_peer(may_send=False, storage_commitment=True)
    answer = ask(make_desk({"pacs": pacs}))
    assert isinstance(answer, Admission)
    assert not answer.may_store


def test_who_is_not_let_in_is_told_in_the_log_what_would_help() -> None:
    desk = make_desk()
    stranger, misled = ask(desk, calling="STRANGER"), ask(desk, called="OTHER")

    assert isinstance(stranger, Rejection)
    assert "peers/" in stranger.words
    assert "may_send = true" in stranger.words
    assert isinstance(misled, Rejection)
    assert misled.words == "called AE title is not ours, DICOMNODE"


def test_a_place_is_free_again_when_somebody_leaves() -> None:
    desk = make_desk(max_associations=1)
    first = let_in(desk)
    assert turned_back(desk).result == 2
    desk.ended(first)
    assert let_in(desk).id != first.id


def test_one_peer_alone_may_take_every_place() -> None:
    desk = make_desk(max_associations=8)
    for _ in range(8):
        let_in(desk)
    assert turned_back(desk).words == "as many associations are open as are allowed"


def test_a_peer_that_opens_ever_more_leaves_places_for_the_others() -> None:
    desk = make_desk({"modality": make_peer(), "other": OTHER}, max_associations=8)
    for _ in range(6):
        let_in(desk)
    answer = turned_back(desk)
    assert (answer.result, answer.source, answer.reason) == (2, 3, 2)
    assert turned_back(desk, "OTHER").result == 2  # it calls from the same address
    let_in(desk, "OTHER", "127.0.0.2")


def test_the_limit_for_one_caller_can_be_set() -> None:
    desk = make_desk(max_associations=8, max_associations_of_one=1)
    let_in(desk)
    assert turned_back(desk, address="127.0.0.2").reason == 2


def test_below_the_low_water_mark_senders_are_turned_back_for_the_moment_and_echoes_are_not() -> (
    None
):
    desk = make_desk(has_room=False)
    answer = turned_back(desk)
    assert (answer.result, answer.source, answer.reason) == (2, 3, 1)
    assert isinstance(ask(desk, stores=False), Admission)


def test_nobody_is_let_in_while_stopping() -> None:
    desk = make_desk()
    let_in(desk)
    desk.close()
    assert turned_back(desk).result == 2


# --- the line -----------------------------------------------------------------------------------


class Line:
    """A desk, a line to it, and a receiver's end of it."""

    def __init__(self) -> None:
        self.listener = RememberingListener()
        self.desk = make_desk(listener=self.listener)
        self.visits: list[Visit] = []
        self.desk._visited = self.visits.append
        self.ours, self.theirs = socket.socketpair()
        self.stops: list[float | None] = []
        self.stopped = threading.Condition()
        self.distant = DistantDesk(self.theirs, self.stop)
        self.attending = threading.Thread(target=attend, args=(self.ours, self.desk))
        self.attending.start()

    def stop(self, seconds: float | None) -> None:
        with self.stopped:
            self.stops.append(seconds)
            self.stopped.notify_all()

    def hang_up(self) -> None:
        """The receiver dies."""
        self.theirs.shutdown(socket.SHUT_RDWR)
        self.attending.join(5)
        assert not self.attending.is_alive()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.hang_up()
    line.ours.close()
    line.theirs.close()


def test_the_desk_answers_over_the_line(line: Line) -> None:
    assert ask(line.distant) == Admission(
        association=Association(
            id=1, calling_ae="MODALITY", called_ae="DICOMNODE", address="127.0.0.1"
        ),
        may_store=True,
    )
    assert ask(line.distant, "STRANGER") == ask(line.desk, "STRANGER")


def test_what_is_told_over_the_line_arrives_in_order(line: Line) -> None:
    inside = let_in(line.distant)
    line.distant.kept(inside, "1.2", "1.2.1")
    line.distant.conflict(inside, "1.2", "1.2.2")
    line.distant.turned_away(inside)
    line.distant.ended(inside)
    assert line.listener.wait_ended(1)
    assert line.listener.kept_uids == ["1.2.1"]
    assert line.listener.conflicts == ["1.2.2"]
    assert line.listener.turned_away_from == [inside]
    assert line.listener.ends == [inside]


def test_what_came_of_a_connection_is_told_over_the_line(line: Line) -> None:
    visit = Visit(
        state=VisitState.ABORTED,
        address="127.0.0.1",
        calling_ae="MODALITY",
        called_ae="DICOMNODE",
        seconds=1.5,
        trouble=Trouble.OBJECTS,
        words="the caller aborted",
        refused_contexts={"1.2": ("1.3", "1.4")},
        stored=2,
        refusals={"Conflict": 3},
    )
    short = Visit(state=VisitState.NO_REQUEST, address="127.0.0.1")
    inside = let_in(line.distant)
    line.distant.visited(visit)
    line.distant.visited(short)
    line.distant.ended(inside)
    assert line.listener.wait_ended(1)
    assert line.visits == [visit, short]


def test_the_associations_of_a_receiver_that_died_have_ended(line: Line) -> None:
    first, second = let_in(line.distant), let_in(line.distant)
    line.hang_up()
    assert [each.trouble for each in line.visits] == [Trouble.LOST] * 2
    assert line.listener.ends == [first, second]
    let_in(line.desk)


def test_a_receiver_hears_when_to_stop_and_when_nobody_listens_any_more(line: Line) -> None:
    say_stop(line.ours, 2.5)
    line.ours.shutdown(socket.SHUT_WR)
    with line.stopped:
        assert line.stopped.wait_for(lambda: len(line.stops) == 2, 60)
    assert line.stops == [2.5, None]


def test_a_line_that_is_cut_off_in_the_middle_of_a_word_means_that_the_node_is_gone(
    line: Line,
) -> None:
    line.ours.sendall(b'{"association": 1')
    line.ours.shutdown(socket.SHUT_RDWR)
    with line.stopped:
        assert line.stopped.wait_for(lambda: line.stops == [None], 60)

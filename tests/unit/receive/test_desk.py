"""Who may open an association, and who is inside."""

from pathlib import Path
from typing import cast

import pytest
from pynetdicom.association import Association as DicomAssociation

from dicomnode.config.settings import ReceiveSettings
from dicomnode.receive.desk import Desk, Rejection
from dicomnode.receive.intake import Intake
from dicomnode.receive.server import StoreServer
from dicomnode.records import Association, Peer
from dicomnode.storage.objects import ObjectStore
from tests.factories import make_peer
from tests.fakes import RememberingListener

WHO = cast(DicomAssociation, object())


def make_desk(folder: Path, peers: dict[str, Peer] | None = None, most: int = 2) -> Desk:
    settings = ReceiveSettings().model_copy(update={"max_associations": most})
    if peers is None:
        peers = {"modality": make_peer()}
    return Desk(settings, peers, Intake(ObjectStore(folder)), RememberingListener())


def ask(
    desk: Desk, calling: str = "MODALITY", called: str = "DICOMNODE"
) -> Association | Rejection:
    return desk.admit(WHO, calling, called, "127.0.0.1")


def test_a_peer_that_may_send_is_let_in(tmp_path: Path) -> None:
    answer = ask(make_desk(tmp_path))
    assert answer == Association(
        id=1, calling_ae="MODALITY", called_ae="DICOMNODE", address="127.0.0.1"
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
    tmp_path: Path, peers: dict[str, Peer], calling: str, called: str, reason: int
) -> None:
    answer = ask(make_desk(tmp_path, peers), calling, called)
    assert isinstance(answer, Rejection)
    assert (answer.result, answer.source, answer.reason) == (1, 1, reason)


def test_who_is_not_let_in_is_told_in_the_log_what_would_help(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    stranger, misled = ask(desk, calling="STRANGER"), ask(desk, called="OTHER")

    assert isinstance(stranger, Rejection)
    assert "peers/" in stranger.words
    assert "may_send = true" in stranger.words
    assert isinstance(misled, Rejection)
    assert misled.words == "called AE title is not ours, DICOMNODE"


def test_a_place_is_free_again_when_somebody_leaves(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, most=1)
    first = ask(desk)
    assert isinstance(first, Association)
    assert isinstance(ask(desk), Rejection)
    desk.leave(first)
    second = ask(desk)
    assert isinstance(second, Association)
    assert second.id != first.id


def test_nobody_is_let_in_while_stopping(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    inside = ask(desk)
    desk.close()
    answer = ask(desk)
    assert isinstance(answer, Rejection)
    assert answer.result == 2
    assert desk.wait_empty(0) == [WHO]
    assert isinstance(inside, Association)
    desk.leave(inside)
    assert desk.wait_empty(0) == []


def test_a_server_that_was_not_started_says_its_port_and_can_be_stopped(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    server = StoreServer(desk.settings, desk.peers, desk.intake, desk.listener)
    assert server.port == 11112
    server.stop(0)

"""Peers as files: who may send, who can be called, under which titles."""

from pathlib import Path

import pytest

from dicomnode.config.load import load
from tests.config_files import CHEST, PACS, only, write


def test_two_senders_with_one_title_are_refused(tmp_path: Path) -> None:
    mistake = only(write(tmp_path, peers_ris=PACS))

    assert mistake.file.name == "ris.toml"
    assert mistake.problem == "peers/pacs.toml may send under the same AE title, ORTHANC"


def test_one_title_may_send_here_and_receive_there(tmp_path: Path) -> None:
    archive = PACS.replace("may_send = true", "may_send = false")

    assert set(load(write(tmp_path, peers_archive=archive)).peers) == {"pacs", "archive"}


def test_a_peer_that_only_sends_needs_no_port(tmp_path: Path) -> None:
    modality = 'ae_title = "XRAY1"\nhost = "10.0.0.7"\nmay_send = true\n'

    peer = load(write(tmp_path, peers_xray=modality)).peers["xray"]

    assert (peer.port, peer.place) == (0, "10.0.0.7")


@pytest.mark.parametrize("key", ["answers_find", "storage_commitment"])
def test_who_is_called_needs_a_port(tmp_path: Path, key: str) -> None:
    folder = write(tmp_path, peers_ris=f'ae_title = "RIS"\nhost = "10.0.0.7"\n{key} = true\n')

    mistake = only(folder)

    assert (mistake.key, mistake.line) == (key, 3)
    assert mistake.problem == "needs the port on which the peer listens: set port"


def test_a_destination_needs_a_port(tmp_path: Path) -> None:
    folder = write(tmp_path, peers_pacs='ae_title = "ORTHANC"\nhost = "10.0.0.7"\n')

    mistake = only(folder)

    assert (mistake.file.name, mistake.key) == ("chest.toml", "destinations[0]")
    assert mistake.problem == "peers/pacs.toml has no port, so nothing can be stored there: set it"


def test_a_peer_with_a_mistake_is_still_a_peer(tmp_path: Path) -> None:
    """Its own mistake is reported, not that a pipeline names it."""
    folder = write(
        tmp_path,
        peers_pacs=PACS.replace("4242", "0"),
        pipelines_chest=CHEST + '[match]\ncalling_ae = ["ORTHANC"]\n',
    )

    assert only(folder).key == "port"


@pytest.mark.parametrize("title", ["NO", "0123", "  PACS  ", "A B", "*"])
def test_ae_titles_stay_text(tmp_path: Path, title: str) -> None:
    folder = write(tmp_path, peers_pacs=PACS.replace("ORTHANC", title))

    assert load(folder).peers["pacs"].ae_title == title.strip()

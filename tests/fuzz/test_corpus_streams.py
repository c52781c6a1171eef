"""Odd and hostile associations with a name, each with the one outcome that is right."""

import logging
import socket
from pathlib import Path

import pytest

from tests.factories import uid
from tests.fuzz.corpus_streams import FOLDER, cases
from tests.receiver import running
from tests.wire import Wire

FILES = sorted(FOLDER.glob("*/*.bin"))
OUTCOMES = {0: "silent", 2: "accepted", 3: "rejected", 4: "answered", 6: "released", 7: "aborted"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_association_of_the_corpus_has_the_outcome_of_its_folder(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = []
    with running(tmp_path) as node, Wire(node.server.port) as wire:
        wire.send(path.read_bytes())
        wire.socket.shutdown(socket.SHUT_WR)
        while (kind := wire.receive()[0]) != 0:
            said.append(kind)
        assert OUTCOMES[said[-1] if said else 0] == path.parent.name
    assert set(node.kept()) <= {uid("instance", 1)}
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_corpus_is_what_its_program_writes() -> None:
    made = {f"{outcome}/{name}": data for outcome, name, data in cases()}
    assert made == {f"{path.parent.name}/{path.stem}": path.read_bytes() for path in FILES}

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dicomnode.config.settings import DeliverSettings
from dicomnode.dicom.commitment import CommitmentRequest
from dicomnode.errors import PeerAway, PeerRefused
from dicomnode.node import confirmation
from dicomnode.node.confirmation import Confirmations
from dicomnode.records import Peer
from tests.factories import make_peer
from tests.fakes import LeavingDatabase
from tests.running import looping, until
from tests.worklist import delivered_job

PACS = make_peer(name="pacs", ae_title="PACS", storage_commitment=True)


class Asking:
    """A worklist with a delivered job, and the thread that asks; questions are written down."""

    def __init__(self, url: str) -> None:
        self.database = LeavingDatabase(url)
        self.asked: list[CommitmentRequest] = []
        self.trouble: list[Exception] = []
        with self.database.transaction() as tx:
            delivered_job(tx, now=datetime.now(UTC))
        self.thread = self.fresh()

    def fresh(self) -> Confirmations:
        """As after a restart."""
        settings = DeliverSettings(first_retry_s=0.01, longest_retry_s=0.05)
        return Confirmations(PACS, self.database, self._ask, settings)

    def _ask(self, peer: Peer, request: CommitmentRequest) -> None:
        self.asked.append(request)
        if self.trouble:
            raise self.trouble.pop(0)


@pytest.fixture
def asking(sqlite_url: str) -> Iterator[Asking]:
    made = Asking(sqlite_url)
    yield made
    made.database.close()


def test_results_are_asked_about_once_also_after_a_restart(asking: Asking) -> None:
    assert asking.thread.ask_once() == 0.0
    assert asking.thread.ask_once() > 0.0
    assert asking.fresh().ask_once() > 0.0
    (request,) = asking.asked
    assert len(request.references) == 2


@pytest.mark.parametrize("error", [PeerAway("away"), PeerRefused("no such service")])
def test_a_question_that_a_peer_does_not_take_is_asked_again_in_a_new_transaction(
    asking: Asking, error: Exception
) -> None:
    asking.trouble = [error]
    assert asking.thread.ask_once() > 0.0
    assert asking.thread.ask_once() == 0.0
    first, second = asking.asked
    assert first.references == second.references
    assert first.transaction_uid != second.transaction_uid


def test_a_question_that_is_not_answered_for_an_hour_is_asked_again(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asking.thread.ask_once()
    monkeypatch.setattr(confirmation, "_ASK_AGAIN_AFTER", timedelta(0))
    asking.thread.ask_once()
    first, second = asking.asked
    assert first.references == second.references
    assert first.transaction_uid != second.transaction_uid
    assert "confirmation.missing" in [record.message for record in caplog.records]


def test_the_thread_asks_when_the_database_is_back_and_ends_when_it_is_told_to(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmation, "_DATABASE_WAIT_S", 0.01)
    asking.database.away = True
    with looping(asking.thread.run):
        asking.database.away = False
        until(lambda: len(asking.asked) == 1)

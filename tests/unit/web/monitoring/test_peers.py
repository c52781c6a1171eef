"""One word for how a peer stands, from the last C-ECHO and the last try to send."""

from datetime import UTC, datetime, timedelta

import pytest

from dicomnode.web.monitoring.peers import PeerState, health
from dicomnode.worklist.overview import PeerStanding

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(minutes=5)


def peer(**changes: object) -> PeerStanding:
    usual: dict[str, object] = {
        "peer": "pacs",
        "configured": True,
        "echoed_at": NOW,
        "heard_at": NOW,
        "problem": "",
        "study_at": None,
        "owed": 0,
        "error": "",
        "error_at": None,
    }
    return PeerStanding(**(usual | changes))  # type: ignore[arg-type]


UNHEARD = {"problem": "no answer", "heard_at": None}
STUCK = {"owed": 3, "error": "connection refused"}


@pytest.mark.parametrize(
    ("changes", "called", "state", "why"),
    [
        ({}, True, PeerState.HEARS_US, ""),
        ({}, False, PeerState.HEARS_US, ""),
        (UNHEARD, True, PeerState.DEAF, "no answer"),
        (UNHEARD, False, PeerState.ONLY_SENDS, "no answer"),
        ({"echoed_at": None, "heard_at": None}, True, PeerState.NOT_ASKED, ""),
        ({"echoed_at": None, "heard_at": None}, False, PeerState.ONLY_SENDS, ""),
        ({"configured": False}, False, PeerState.NOT_CONFIGURED, ""),
        (STUCK | {"error_at": NOW}, True, PeerState.DID_NOT_TAKE, "connection refused"),
        (UNHEARD | STUCK | {"error_at": BEFORE}, True, PeerState.DID_NOT_TAKE, STUCK["error"]),
        (STUCK | {"error_at": BEFORE}, True, PeerState.HEARS_US, ""),
        (STUCK | {"owed": 0, "error_at": NOW}, True, PeerState.HEARS_US, ""),
        ({"owed": 3}, True, PeerState.HEARS_US, ""),
    ],
)
def test_the_later_of_echo_and_sending_speaks(
    changes: dict[str, object], called: bool, state: PeerState, why: str
) -> None:
    found = health(peer(**changes), called=called)
    assert (found.state, found.why) == (state, why)

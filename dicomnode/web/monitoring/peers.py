"""How a peer and we stand, in one word: the same on each page and for scripts."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dicomnode.worklist.overview import PeerStanding

__all__ = ["Health", "PeerState", "health", "health_of"]


class PeerState(StrEnum):
    """What is said of a peer."""

    HEARS_US = "hears us"
    DEAF = "does not hear us"
    DID_NOT_TAKE = "did not take results"
    ONLY_SENDS = "only sends to us"
    NOT_ASKED = "not asked yet"
    NOT_CONFIGURED = "not configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a peer stands."""

    state: PeerState
    why: str = ""  #: in words
    at: datetime | None = None  #: when that was said
    heard_at: datetime | None = None  #: the last C-ECHO that it answered


def health(peer: PeerStanding, *, called: bool) -> Health:
    """From the last C-ECHO and the last try to send what is owed; the later of the two speaks.

    `called`: does the node open associations to it? Where it does not, no answer is no trouble.
    """
    if not peer.configured:
        return Health(state=PeerState.NOT_CONFIGURED)
    tried_at = peer.error_at if peer.owed and peer.error else None
    if tried_at is not None and (peer.heard_at is None or tried_at >= peer.heard_at):
        state, why, at = PeerState.DID_NOT_TAKE, peer.error, tried_at
    elif peer.echoed_at is None:
        state, why, at = PeerState.NOT_ASKED if called else PeerState.ONLY_SENDS, "", None
    elif not peer.problem:
        state, why, at = PeerState.HEARS_US, "", peer.echoed_at
    else:
        state = PeerState.DEAF if called else PeerState.ONLY_SENDS
        why, at = peer.problem, peer.echoed_at
    return Health(state=state, why=why, at=at, heard_at=peer.heard_at)


def health_of(peers: Iterable[PeerStanding], called: Collection[str]) -> dict[str, Health]:
    """The health of each by its name; `called` are those that the node opens associations to."""
    return {each.peer: health(each, called=each.peer in called) for each in peers}

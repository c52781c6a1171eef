"""The desk at the door: who may open an association, who is inside, and who hears of it.

A node has one desk, however many processes receive; `receive/desk_line.py` brings it to them.
"""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dicomnode.config.current import Current
from dicomnode.errors import Trouble
from dicomnode.receive.negotiation import Rejection
from dicomnode.records import Association, Visit

__all__ = ["Admission", "Desk", "FrontDesk", "Listener"]


class Listener(Protocol):
    """Who wants to know what was received; called from many threads."""

    def kept(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """An object is durable, or was before; its sender is about to hear Success.

        From another process it is told of the first object only that an association brings of a
        study.
        """

    def conflict(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """Other bytes than those kept came under a UID; they are refused."""

    def turned_away(self, association: Association) -> None:
        """An object could not be kept for now, such as for want of room; it should come again."""

    def ended(self, association: Association) -> None:
        """Released, aborted or lost: nothing more comes of it. Called exactly once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A caller that was let in; `ended` must be told when it leaves."""

    association: Association
    may_store: bool  #: else it may echo, and ask for and report on storage commitment


class Desk(Listener, Protocol):
    """What an association asks and tells."""

    def admit(
        self, calling_ae: str, called_ae: str, address: str, *, stores: bool
    ) -> Admission | Rejection:
        """Decide on an A-ASSOCIATE-RQ; `stores` says whether it proposes to store anything."""

    def visited(self, visit: Visit) -> None:
        """What came of a connection, whether it was let in or not; told before `ended`."""


_WRONG_CALLING = Rejection(
    1,
    1,
    3,
    "calling AE title may not send; a file in peers/ with it and may_send = true lets it in "
    "(upper and lower case count)",
    Trouble.CALLING_AE,
)
_TOO_MANY = Rejection(2, 3, 2, "as many associations are open as are allowed", Trouble.TOO_MANY)
_TOO_MANY_OF_ONE = Rejection(
    2,
    3,
    2,
    "this caller has as many associations open as one may have",
    Trouble.TOO_MANY_OF_ONE,
)
_LOW_WATER = Rejection(
    2,
    3,
    1,
    "the disk is nearly full: free some space. low_water_bytes says how much must be left, or "
    "where it is 0, twice min_free_bytes",
    Trouble.LOW_DISK,
)
_STOPPING = Rejection(2, 3, 1, "this node is stopping", Trouble.STOPPING)


def _nobody(visit: Visit) -> None:
    """Where visits are not looked at."""


class FrontDesk:
    """The rules, and the list of who is inside. `has_room` says whether new images are welcome.

    `visited` is called from many threads, and must not keep them waiting.
    """

    def __init__(
        self,
        current: Current,
        listener: Listener,
        has_room: Callable[[], bool] = lambda: True,
        visited: Callable[[Visit], None] = _nobody,
    ) -> None:
        self._visited = visited
        self._current = current
        self._listener = listener
        self._has_room = has_room
        self._stopping = False
        self._numbers = itertools.count(1)
        self._inside: dict[int, Association] = {}
        self._lock = threading.Lock()

    def admit(
        self, calling_ae: str, called_ae: str, address: str, *, stores: bool
    ) -> Admission | Rejection:
        """See `Desk`."""
        ours = self._current.node.receive.ae_title
        if called_ae != ours:
            words = f"called AE title is not ours, {ours}"
            return Rejection(1, 1, 7, words, Trouble.CALLED_AE)
        known = [peer for peer in self._current.peers.values() if peer.ae_title == calling_ae]
        may_store = any(peer.may_send for peer in known)
        if not may_store and not any(peer.storage_commitment for peer in known):
            return _WRONG_CALLING
        if stores and may_store and not self._has_room():
            return _LOW_WATER
        with self._lock:
            refusal = self._refusal(calling_ae, address)
            if refusal is not None:
                return refusal
            number = next(self._numbers)
            association = self._inside[number] = Association(
                id=number, calling_ae=calling_ae, called_ae=called_ae, address=address
            )
        return Admission(association=association, may_store=may_store)

    def kept(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """See `Listener`."""
        self._listener.kept(association, study_uid, sop_instance_uid)

    def conflict(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """See `Listener`."""
        self._listener.conflict(association, study_uid, sop_instance_uid)

    def turned_away(self, association: Association) -> None:
        """See `Listener`."""
        self._listener.turned_away(association)

    def ended(self, association: Association) -> None:
        """See `Listener`; its place is free."""
        with self._lock:
            del self._inside[association.id]
        self._listener.ended(association)

    def visited(self, visit: Visit) -> None:
        """See `Desk`."""
        self._visited(visit)

    @property
    def inside(self) -> int:
        """How many associations are open."""
        with self._lock:
            return len(self._inside)

    def close(self) -> int:
        """Let nobody in any more; return how many are inside."""
        with self._lock:
            self._stopping = True
            return len(self._inside)

    def _refusal(self, calling_ae: str, address: str) -> Rejection | None:
        """No one caller may take all places: others must find the door open."""
        if self._stopping:
            return _STOPPING
        if len(self._inside) >= self._current.node.receive.max_associations:
            return _TOO_MANY
        inside = self._inside.values()
        most = self._most_of_one()
        if (
            sum(each.calling_ae == calling_ae for each in inside) >= most
            or sum(each.address == address for each in inside) >= most
        ):
            return _TOO_MANY_OF_ONE
        return None

    def _most_of_one(self) -> int:
        rules = self._current.node.receive
        most = rules.max_associations
        others = len({peer.ae_title for peer in self._current.peers.values() if peer.may_send}) - 1
        reserve = min(most // 4, 2 * max(0, others))
        return rules.max_associations_of_one or most - reserve

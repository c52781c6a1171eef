"""The desk at the door: who may open an association, who is inside, and who hears of it."""

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pynetdicom.association import Association as DicomAssociation

from dicomnode.config.settings import ReceiveSettings
from dicomnode.receive.intake import Intake
from dicomnode.records import Association, Peer

__all__ = ["Desk", "Listener", "Rejection"]


class Listener(Protocol):
    """Who wants to know what was received; called from the association's own thread."""

    def kept(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """An object is durable, or was before; its sender is about to hear Success."""

    def conflict(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """Other bytes than those kept came under a UID; they are refused."""

    def turned_away(self, association: Association) -> None:
        """An object could not be kept for now, such as for want of room; it should come again."""

    def ended(self, association: Association) -> None:
        """Released, aborted or lost: nothing more comes of it. Called exactly once."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ (PS3.8 Table 9-21) and the reason in words."""

    result: int
    source: int
    reason: int
    words: str


_WRONG_CALLING = Rejection(
    1,
    1,
    3,
    "calling AE title may not send; a file in peers/ with it and may_send = true lets it in",
)
_TOO_MANY = Rejection(2, 3, 2, "as many associations are open as are allowed")
_STOPPING = Rejection(2, 3, 1, "this node is stopping")


@dataclass(slots=True)
class Desk:
    """What the associations of one server share: the rules, the intake, and who is inside."""

    settings: ReceiveSettings
    peers: Mapping[str, Peer]
    intake: Intake
    listener: Listener
    _stopping: bool = False
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _inside: dict[int, DicomAssociation] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def admit(
        self, who: DicomAssociation, calling_ae: str, called_ae: str, address: str
    ) -> Association | Rejection:
        """Decide on an A-ASSOCIATE-RQ; who is let in must `leave` again."""
        if called_ae != self.settings.ae_title:
            return Rejection(1, 1, 7, f"called AE title is not ours, {self.settings.ae_title}")
        if not any(peer.may_send and peer.ae_title == calling_ae for peer in self.peers.values()):
            return _WRONG_CALLING
        with self._changed:
            if self._stopping:
                return _STOPPING
            if len(self._inside) >= self.settings.max_associations:
                return _TOO_MANY
            number = next(self._numbers)
            self._inside[number] = who
        return Association(id=number, calling_ae=calling_ae, called_ae=called_ae, address=address)

    def leave(self, association: Association) -> None:
        """An association has ended."""
        with self._changed:
            del self._inside[association.id]
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more."""
        with self._changed:
            self._stopping = True

    def wait_empty(self, timeout_s: float) -> list[DicomAssociation]:
        """Wait until all have left; return who has not."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside, timeout_s)
            return list(self._inside.values())

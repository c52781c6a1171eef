"""The desk, for receivers that are processes of their own: JSON lines over a socket.

A receiver asks and tells; the node answers who asks, and says when the settings changed and when it
is time to stop. Everything stays in order, so that the end of an association never overtakes what
it kept.
"""

import json
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, astuple
from queue import SimpleQueue
from typing import Any

from dicomnode.errors import Trouble
from dicomnode.receive.desk import Admission, Desk
from dicomnode.receive.negotiation import Rejection
from dicomnode.records import Association, Visit, VisitState

__all__ = ["DistantDesk", "attend", "say_settings", "say_stop"]

log = logging.getLogger(__name__)

_DIED = "its receiver died; what it was told is kept is kept"


class DistantDesk:
    """A receiver's end of the line. `stop` is called with the seconds to drain when the node
    wants an end, and with None when the node is gone: then nobody answers any more. `renew` is
    called with the settings of the node, as JSON, when others are in force.
    """

    def __init__(
        self,
        line: socket.socket,
        stop: Callable[[float | None], None],
        renew: Callable[[str], None] = lambda settings: None,
    ) -> None:
        self._line = line
        self._stop = stop
        self._renew = renew
        self._talking = threading.Lock()
        self._asking = threading.Lock()
        self._answers: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._brought: dict[int, set[str]] = {}  #: association -> studies the node was told of
        threading.Thread(target=self._listen, name="desk", daemon=True).start()

    def admit(
        self, calling_ae: str, called_ae: str, address: str, *, stores: bool
    ) -> Admission | Rejection:
        """See `Desk`."""
        with self._asking:
            self._say(
                do="admit", calling_ae=calling_ae, called_ae=called_ae, address=address,
                stores=stores,
            )  # fmt: skip
            answer = self._answers.get()
        if "rejection" in answer:
            result, source, reason, problem, trouble = answer["rejection"]
            return Rejection(result, source, reason, problem, Trouble(trouble))
        association = Association(
            id=answer["association"], calling_ae=calling_ae, called_ae=called_ae, address=address
        )
        return Admission(association=association, may_store=answer["may_store"])

    def kept(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """See `Listener`; for each object there would be a line that nobody needs."""
        brought = self._brought.setdefault(association.id, set())
        if study_uid not in brought:
            brought.add(study_uid)
            self._say(do="kept", association=association.id, uids=(study_uid, sop_instance_uid))

    def conflict(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """See `Listener`."""
        self._say(do="conflict", association=association.id, uids=(study_uid, sop_instance_uid))

    def turned_away(self, association: Association) -> None:
        """See `Listener`."""
        self._say(do="turned_away", association=association.id, uids=())

    def ended(self, association: Association) -> None:
        """See `Listener`."""
        self._brought.pop(association.id, None)
        self._say(do="ended", association=association.id, uids=())

    def visited(self, visit: Visit) -> None:
        """See `Desk`."""
        self._say(do="visited", visit=asdict(visit))

    def _say(self, **words: object) -> None:
        data = json.dumps(words).encode() + b"\n"
        with suppress(OSError), self._talking:  # where the node is gone, `stop` was told
            self._line.sendall(data)

    def _listen(self) -> None:
        with suppress(OSError, ValueError), self._line.makefile("rb") as lines:  # or cut off
            for line in lines:
                words = json.loads(line)
                if "stop" in words:
                    self._stop(words["stop"])
                elif "settings" in words:
                    self._renew(words["settings"])
                else:
                    self._answers.put(words)
        self._stop(None)


def attend(line: socket.socket, desk: Desk) -> None:
    """Serve one receiver until its end of the line is closed; what it left open has then ended."""
    inside: dict[int, Association] = {}
    try:
        with suppress(OSError), line.makefile("rb") as lines:
            for each in lines:
                _attend_one(json.loads(each), line, desk, inside)
    finally:
        for association in inside.values():
            _log_lost(association)
            desk.visited(_lost(association))
            desk.ended(association)


def say_stop(line: socket.socket, drain_s: float) -> None:
    """Ask a receiver to take no new association, and to end in `drain_s` seconds at the latest."""
    with suppress(OSError):
        line.sendall(json.dumps({"stop": drain_s}).encode() + b"\n")


def say_settings(line: socket.socket, settings: str) -> None:
    """Tell a receiver by which settings the associations go that begin from now on, as JSON."""
    with suppress(OSError):
        line.sendall(json.dumps({"settings": settings}).encode() + b"\n")


def _lost(association: Association) -> Visit:
    return Visit(
        state=VisitState.LOST,
        address=association.address,
        calling_ae=association.calling_ae,
        called_ae=association.called_ae,
        trouble=Trouble.LOST,
        words=_DIED,
    )


def _log_lost(association: Association) -> None:
    fields = {
        "association": association.id,
        "calling_ae": association.calling_ae,
        "address": association.address,
        "state": "lost",
        "problem": _DIED,
    }
    log.warning("association.ended", extra=fields)


def _attend_one(
    words: dict[str, Any], line: socket.socket, desk: Desk, inside: dict[int, Association]
) -> None:
    match words["do"]:
        case "admit":
            answer = desk.admit(
                words["calling_ae"], words["called_ae"], words["address"], stores=words["stores"]
            )
            line.sendall(json.dumps(_answer(answer, inside)).encode() + b"\n")
        case "ended":
            desk.ended(inside.pop(words["association"]))
        case "visited":
            desk.visited(_visit(words["visit"]))
        case "kept" | "conflict" | "turned_away":
            getattr(desk, words["do"])(inside[words["association"]], *words["uids"])


def _visit(words: dict[str, Any]) -> Visit:
    trouble = words["trouble"] and Trouble(words["trouble"])
    contexts = {name: tuple(each) for name, each in words["refused_contexts"].items()}
    read = {"state": VisitState(words["state"]), "trouble": trouble, "refused_contexts": contexts}
    return Visit(**(words | read))


def _answer(answer: Admission | Rejection, inside: dict[int, Association]) -> dict[str, object]:
    if isinstance(answer, Rejection):
        return {"rejection": astuple(answer)}
    inside[answer.association.id] = answer.association
    return {"association": answer.association.id, "may_store": answer.may_store}

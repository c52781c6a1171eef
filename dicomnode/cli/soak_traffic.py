"""The traffic of a soak: whole studies at a steady rate, and among them what goes wrong.

After each study one more thing may happen: the same study comes again, a transfer breaks off, a
peer dawdles, or a peer falls silent in the middle of an object. Only whole studies are timed.
"""

import contextlib
import os
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dicomnode.cli.replay import SAMPLES, Message, ReplayAssociation, Sample, UIDs
from dicomnode.errors import PeerAway
from dicomnode.records import Peer

__all__ = ["Traffic"]

_STUDIES = (("tiny", 20), ("tiny", 5), ("tiny", 1), ("ct", 10))  #: one is drawn: objects, how many
_DEEDS = {"nothing": 10, "again": 3, "broken": 4, "slow": 2, "stalled": 1}  #: how often each
_PATIENCE_S = 20.0  #: how long any answer may take
_SLOW_PIECES = 20
_SLOW_PAUSE_S = 0.2
_SLOW_AT_ONCE = 8
_AFTER_TROUBLE_S = 1.0
_PROBLEMS = 20  #: remembered, each once


@dataclass(frozen=True, slots=True)
class _Study:
    """What was sent, so that it can be sent again, byte for byte."""

    sample: Sample
    study_uid: str
    message: Message
    uids: list[str]


class Traffic:
    """Threads that send while the block runs, `rate` objects a second together."""

    def __init__(self, peer: Peer, calling: str, *, rate: float, seed: int, senders: int) -> None:
        self.counts: Counter[str] = Counter()  #: what was done how often
        self.problems: deque[str] = deque(maxlen=_PROBLEMS)  #: what a healthy node would not do
        self._peer = peer
        self._calling = calling
        self._pause_s = senders / rate
        self._stop = threading.Event()
        self._spent: list[float] = []
        self._lock = threading.Lock()
        self._uids = UIDs()
        self._dawdlers = ThreadPoolExecutor(_SLOW_AT_ONCE, thread_name_prefix="dawdle")
        self._senders = [
            threading.Thread(target=self._send, args=(random.Random(seed + n),))  # noqa: S311
            for n in range(senders)
        ]

    def __enter__(self) -> "Traffic":
        for sender in self._senders:
            sender.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        for sender in self._senders:
            sender.join()
        self._dawdlers.shutdown(cancel_futures=True)

    def take_spent(self) -> list[float]:
        """Seconds from request to response of the objects since it was last asked."""
        with self._lock:
            spent, self._spent = self._spent, []
        return spent

    def _send(self, chance: random.Random) -> None:
        deeds: dict[str, Callable[[_Study, random.Random], None]] = {
            "nothing": lambda _study, _chance: None,
            "again": self._again,
            "broken": self._broken,
            "slow": self._dawdle,
            "stalled": self._dawdle_and_stop,
        }
        while not self._stop.is_set():
            try:
                study = self._study(chance)
                (deed,) = chance.choices(list(_DEEDS), list(_DEEDS.values()))
                deeds[deed](study, chance)
            except PeerAway as error:
                self._note(str(error))
                self._stop.wait(_AFTER_TROUBLE_S)

    def _study(self, chance: random.Random) -> _Study:
        """A whole study, timed, in its own association."""
        name, number = chance.choice(_STUDIES)
        sample = SAMPLES[name]
        with self._open(sample) as association:
            study_uid, series_uid, *uids = (self._uid() for _ in range(number + 2))
            message, sent = association.message(study_uid, series_uid), []
            for uid in uids:
                if self._stop.wait(self._pause_s):
                    break
                started = time.monotonic()
                self._take(association.store(message, uid), "stored")
                with self._lock:
                    self._spent.append(time.monotonic() - started)
                sent.append(uid)
            association.release()
        self._count("studies")
        return _Study(sample, study_uid, message, sent)

    def _again(self, study: _Study, _chance: random.Random) -> None:
        """The same bytes once more: the sender never learned that they had arrived."""
        with self._open(study.sample) as association:
            for uid in study.uids:
                self._take(association.store(study.message, uid), "stored again")
            association.release()

    def _broken(self, study: _Study, chance: random.Random) -> None:
        """An object that ends anywhere: with the connection, with an A-ABORT, or in nonsense."""
        with self._open(study.sample) as association, contextlib.suppress(PeerAway):
            data = b"".join(study.message.pieces(self._uid()))
            association.write(data[: chance.randrange(len(data))])
            if (how := chance.randrange(3)) == 1:
                association.abort()
            elif how == 2:
                association.write(os.urandom(64))
        self._count("broken off")

    def _dawdle(self, study: _Study, _chance: random.Random) -> None:
        self._dawdlers.submit(self._piece_by_piece, study.sample, _SLOW_PIECES)

    def _dawdle_and_stop(self, study: _Study, chance: random.Random) -> None:
        self._dawdlers.submit(self._piece_by_piece, study.sample, chance.randrange(_SLOW_PIECES))

    def _piece_by_piece(self, sample: Sample, last: int) -> None:
        """One object in small pieces; where some stay away, wait to be sent away."""
        try:
            with self._open(sample) as association:
                message = association.message(self._uid(), self._uid())
                data = b"".join(message.pieces(self._uid()))
                size = -(-len(data) // _SLOW_PIECES)
                for at in range(0, last * size, size):
                    association.write(data[at : at + size])
                    if self._stop.wait(_SLOW_PAUSE_S):
                        return
                if last == _SLOW_PIECES:
                    self._take(association.status(), "stored slowly")
                    association.release()
                else:
                    self._count("fell silent")
                    with contextlib.suppress(PeerAway):
                        association.status()
        except PeerAway as error:
            self._note(str(error))

    def _open(self, sample: Sample) -> ReplayAssociation:
        peer = self._peer
        return ReplayAssociation(
            peer.port, peer.ae_title, self._calling, sample, host=peer.host, timeout_s=_PATIENCE_S
        ).accepted()

    def _uid(self) -> str:
        with self._lock:
            return next(self._uids)

    def _take(self, status: int, what: str) -> None:
        if status:
            self._note(f"answered 0x{status:04X} where an object should be {what}")
        else:
            self._count(what)

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def _note(self, problem: str) -> None:
        self._count("problems")
        with self._lock:
            if problem not in self.problems:
                self.problems.append(problem)

"""The audit trail leaves the node: who did what is told to a file and to a collector.

What happened stands in the database already: deeds of people in the table `audit`, objects that
came in `instances`, those that were refused in `associations`, what was delivered in `history`. A
follower for each receiver reads what is new there, tells it, and only then remembers how far it is.
So nothing waits for a receiver that is away, nothing is lost while the worklist is kept, and each
message arrives at least once.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from dicomnode.audit.events import Deed, Party, Transfer, deed_message, transfer_message
from dicomnode.audit.file import AuditFile
from dicomnode.audit.gathering import Gathered, Place
from dicomnode.audit.message import Message, Source
from dicomnode.audit.syslog import Collector, Syslog
from dicomnode.config.auditing import SyslogSettings
from dicomnode.config.current import Current
from dicomnode.errors import AuditAway, DatabaseAway
from dicomnode.logbook import audit
from dicomnode.node.parts import Part
from dicomnode.storage.database import Connection, Database
from dicomnode.worklist import to_audit

__all__ = ["Auditing", "Follower", "Sink"]

log = logging.getLogger(__name__)

_LOOK_S = 5.0
_LONGEST_WAIT_S = 60.0
_FAREWELL_S = 5.0  #: for the line that says that the node stops
_AT_ONCE = 1000


class Sink(Protocol):
    """Who is told."""

    def write(self, messages: Sequence[Message]) -> None:
        """Tell all of them; AuditAway where some or all have to be told again."""


class Follower:
    """Tells one receiver, `name`, what is new in the worklist."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        database: Database,
        current: Current,
        source: Source,
        is_open: Callable[[str], bool],
    ) -> None:
        self._name = name
        self._sink = sink
        self._database = database
        self._current = current
        self._source = source
        self._is_open = is_open
        self._kept: dict[str, object] | None = None  #: the place, as it stands in the database

    def run(self, stop: threading.Event, last_word: threading.Event) -> None:
        """Follow until `stop`; then tell what is there when `last_word` was written."""
        wait_s = _LOOK_S
        while not stop.is_set():
            try:
                more = self.follow(datetime.now(UTC))
                if wait_s > _LOOK_S:
                    log.info("audit.heard", extra={"problem": self._name})
                wait_s = _LOOK_S
                if not more:
                    stop.wait(_LOOK_S)
            except (AuditAway, DatabaseAway) as error:
                if wait_s == _LOOK_S:
                    log.warning("audit.waiting", extra={"problem": self._name, "error": str(error)})
                wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
                stop.wait(wait_s)
        last_word.wait(_FAREWELL_S)
        with suppress(AuditAway, DatabaseAway):
            self.follow(datetime.now(UTC))

    def follow(self, now: datetime) -> bool:
        """Tell what is new; is there more?

        Raises:
            AuditAway: it was not heard, and will be told again.
            DatabaseAway: the same, or nothing could be read.
        """
        with self._database.reading() as tx:
            place = self._place(tx)
            beginning = place.as_json()
            messages, more = self._read(tx, place, now)
        self._keep(beginning, now)  # of one that is new: what comes while nobody hears is told, too
        if messages:
            self._sink.write(sorted(messages, key=lambda message: message.at))
        self._keep(place.as_json(), now)
        return more

    def _keep(self, place: dict[str, object], now: datetime) -> None:
        if place != self._kept:
            with self._database.transaction() as tx:
                to_audit.keep_place(tx, self._name, place, now=now)
            self._kept = place

    def _place(self, tx: Connection) -> Place:
        """Where to go on; who is new is told every deed, and transfers from now on."""
        if (kept := to_audit.place(tx, self._name)) is not None:
            return Place.from_json(kept)
        place = Place()
        place.arrived, place.history.after, place.callers.after = to_audit.newest(tx)
        return place

    def _read(self, tx: Connection, place: Place, now: datetime) -> tuple[list[Message], bool]:
        deeds = to_audit.deeds(tx, place.deeds.after, place.deeds.missing, limit=_AT_ONCE)
        place.deeds.read([number for number, _ in deeds], now=now)
        messages = [deed_message(deed, self._source) for _, deed in deeds]
        count = self._gather(tx, place, now)
        over = place.over(self._is_open, now=now)
        whose = to_audit.who(tx, (each.study_uid for each in over))
        for each in over:
            transfer = self._transfer(tx, each, whose.get(each.study_uid))
            messages.append(transfer_message(transfer, self._source))
        callers = to_audit.turned_away(
            tx, place.callers.after, place.callers.missing, limit=_AT_ONCE
        )
        place.callers.read([number for number, _ in callers], now=now)
        refused = (self._refused(each) for _, each in callers if each is not None)
        messages += [transfer_message(each, self._source) for each in refused]
        return messages, max(len(deeds), len(callers), count) >= _AT_ONCE

    def _gather(self, tx: Connection, place: Place, now: datetime) -> int:
        arrived = to_audit.arrived(tx, place.arrived, limit=_AT_ONCE)
        for number, each in arrived:
            place.arrived = number
            place.gather(
                sent=False,
                other=each.calling_ae,
                study_uid=each.study_uid,
                at=each.at,
                sop_class_uid=each.sop_class_uid,
            )
        sent = to_audit.sent(tx, place.history.after, place.history.missing, limit=_AT_ONCE)
        place.history.read([number for number, _ in sent], now=now)
        for one in (one for _, one in sent if one is not None):
            place.gather(
                sent=True,
                taken=one.taken,
                other=one.peer,
                study_uid=one.study_uid,
                at=one.at,
                sop_class_uid=one.sop_class_uid,
            )
        return max(len(arrived), len(sent))

    def _transfer(self, tx: Connection, each: Gathered, whose: to_audit.Who | None) -> Transfer:
        ours, theirs = self._ours(), self._theirs(tx, each)
        return Transfer(
            at=each.last_at,
            sender=ours if each.sent else theirs,
            receiver=theirs if each.sent else ours,
            study_uid=each.study_uid,
            patient_id=whose.patient_id if whose else "",
            accession_number=whose.accession_number if whose else "",
            sop_classes=each.sop_classes,
            refused="" if each.taken else "refused by the receiver",
        )

    def _refused(self, each: to_audit.TurnedAway) -> Transfer:
        kinds = (f"{kind or 'unforeseen'} {n}" for kind, n in sorted(each.refusals.items()))
        return Transfer(
            at=each.at,
            sender=Party(ae_title=each.calling_ae, address=each.address),
            receiver=self._ours(),
            refused=f"objects refused by the receiver: {', '.join(kinds)}",
        )

    def _ours(self) -> Party:
        title, _, machine = self._source.id.partition("@")
        return Party(ae_title=title, address=machine)

    def _theirs(self, tx: Connection, each: Gathered) -> Party:
        peers = self._current.peers
        if each.sent:
            peer = peers.get(each.other)
            return (
                Party(ae_title=peer.ae_title, address=peer.host)
                if peer
                else Party(ae_title=each.other)
            )
        address = to_audit.address_of(tx, each.other, since=each.first_at, until=each.last_at)
        hosts = (peer.host for peer in peers.values() if peer.ae_title == each.other)
        return Party(ae_title=each.other, address=address or next(hosts, ""))


class Auditing:
    """The parts of a node that have to do with its audit trail; `holder` is AE title @ machine."""

    def __init__(
        self, database: Database, current: Current, holder: str, is_open: Callable[[str], bool]
    ) -> None:
        self._database = database
        self._current = current
        self._holder = holder
        self._is_open = is_open
        self._started = False
        self._last_word = threading.Event()

    def parts(self) -> dict[str, Part]:
        """What runs, by the settings in force: each receiver's follower, and who notes our life."""
        rules, storage = self._current.node.audit, self._current.node.storage
        sinks: dict[str, tuple[Sink, object]] = {}
        if rules.file:
            file = AuditFile(
                storage.folder / "audit", most_bytes=rules.file_bytes, kept=rules.files
            )
            sinks["file"] = file, (rules.file_bytes, rules.files)
        if rules.syslog.host:
            sinks["syslog"] = Syslog(_collector(rules.syslog)), rules.syslog
        return {"audit": Part(run=self._live)} | {
            f"audit {name}": self._part(name, sink, (rules.site, how))
            for name, (sink, how) in sinks.items()
        }

    def _part(self, name: str, sink: Sink, rules: object) -> Part:
        source = Source(id=self._holder, site=self._current.node.audit.site)
        follower = Follower(name, sink, self._database, self._current, source, self._is_open)
        return Part(run=lambda stop: follower.run(stop, self._last_word), rules=rules)

    def _live(self, stop: threading.Event) -> None:
        """Note that the node starts, and that it stops."""
        try:
            while not self._started:
                self._started = self._note("node.started")
                if not self._started and stop.wait(_LOOK_S):
                    return
            stop.wait()
            self._note("node.stopped")
        finally:
            self._last_word.set()

    def _note(self, action: str) -> bool:
        deed = Deed(at=datetime.now(UTC), user="", address="", action=action, detail=self._holder)
        try:
            with self._database.transaction() as tx:
                audit.note(tx, deed)
        except DatabaseAway as error:
            log.warning("audit.waiting", extra={"problem": action, "error": str(error)})
            return False
        return True


def _collector(rules: SyslogSettings) -> Collector:
    return Collector(
        host=rules.host,
        port=rules.port,
        transport=rules.transport,
        ca=rules.ca,
        certificate=rules.certificate,
        key=rules.key,
    )

"""One that hears the audit trail, may be away, and remembers; and what brings the trail to it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from dicomnode.audit.events import Deed
from dicomnode.audit.message import Message, Source, as_xml
from dicomnode.config.current import Current
from dicomnode.config.load import load
from dicomnode.errors import AuditAway
from dicomnode.logbook import audit
from dicomnode.node import auditing
from dicomnode.node.auditing import Follower
from dicomnode.storage.database import Database
from tests.audit_schema import parse
from tests.cli import configure
from tests.worklist import NOW

__all__ = ["SOURCE", "Ear", "event_of", "follower", "note"]

SOURCE = Source(id="DICOMNODE@here")


class Ear:
    """A receiver that remembers, and may be away."""

    def __init__(self) -> None:
        self.away = False
        self.heard: list[ET.Element] = []

    def write(self, messages: Sequence[Message]) -> None:
        if self.away:
            raise AuditAway("the test")
        self.heard += [parse(as_xml(message)) for message in messages]

    @property
    def told(self) -> list[str]:
        """What each message is about, in its own words or as its event's."""
        return [
            each.findtext("EventIdentification/EventOutcomeDescription") or event_of(each)
            for each in self.heard
        ]


def event_of(root: ET.Element) -> str:
    event = root.find("EventIdentification/EventID")
    assert event is not None
    return event.attrib["originalText"]


def note(database: Database, action: str, detail: str = "") -> None:
    with database.transaction() as tx:
        entry = Deed(at=NOW, user="ada", address="10.0.0.7", action=action, detail=detail)
        audit.note(tx, entry)


def follower(
    database: Database,
    folder: Path,
    sink: auditing.Sink,
    is_open: Callable[[str], bool] = lambda study: False,
) -> Follower:
    current = Current(load(configure(folder)))
    return Follower("file", sink, database, current, SOURCE, is_open)

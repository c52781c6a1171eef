"""One file of the configuration in the hands of somebody: what the page shows of it.

Nothing is read or checked here: `filling.py` makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from dicomnode.config.filled import Shown, default_of
from dicomnode.config.forms import Field, Group
from dicomnode.config.proposal import NODE, Proposal, said
from dicomnode.errors import Mistake
from dicomnode.web.cards import Said, Shelf
from dicomnode.web.configuration.changing import Standing, counts_after_restart
from dicomnode.web.configuration.trying import Heard, Tried

__all__ = ["Filling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """A file, and what somebody makes of it."""

    folder: Path
    file: str  #: empty while what is new has no name
    kind: str  #: peers or pipelines; empty for the node
    name: str
    new: bool
    before: str  #: the text that is changed
    text: str  #: as it would be
    digest: str  #: of the file as it is
    opened: str  #: of the file as it was when the form was opened
    groups: tuple[Group, ...]
    show: Mapping[str, Shown]  #: by the names of fields
    as_text: bool
    is_toml: bool
    standing: Standing
    cards: Shelf
    proposal: Proposal | None = None
    mistakes: tuple[Mistake, ...] = ()  #: of this file, and new ones elsewhere
    review: bool = False  #: was it asked what would change?
    heard: Heard | None = None
    tried: tuple[Tried, ...] | None = None

    @property
    def fields(self) -> list[Field]:
        """Of all its groups."""
        return [one for group in self.groups for one in group.fields]

    @property
    def left(self) -> list[Mistake]:
        """What is only not filled in yet: no mistake before somebody wants to go on."""
        return [] if self.review else [each for each in self.mistakes if _is_missing(each)]

    @property
    def wrong(self) -> list[Mistake]:
        """The other mistakes."""
        return [each for each in self.mistakes if self.review or not _is_missing(each)]

    def wrong_at(self, one: Field) -> list[str]:
        """What is wrong with a field."""
        mine = self.folder / self.file
        return [
            each.problem
            for each in self.wrong
            if each.file == mine
            and each.key.startswith(one.name)
            and each.key.removeprefix(one.name)[:1] in ("", ".", "[")
        ]

    @property
    def said_of_model(self) -> Said | None:
        """What the card says of the model that is filled in; none where a file names no model."""
        one = next((each for each in self.fields if each.name == "model"), None)
        return self.cards.of(str(self.show[one.name]) or self.default(one)) if one else None

    def default(self, one: Field) -> str:
        """What an empty field means, in words."""
        return default_of(one)

    def is_number(self, one: Field) -> bool:
        """Does a field show a number, as a browser's input for numbers takes it?"""
        try:
            return isfinite(float(str(self.show[one.name])))
        except ValueError:
            return False

    @property
    def printable(self) -> str:
        """The text, with marks for bytes that are none."""
        return self.text.encode(errors="surrogateescape").decode(errors="replace")

    def restart(self, one: Field) -> bool:
        """Does a value count from the next start only?"""
        return self.file == NODE and counts_after_restart(one.name)

    @property
    def of_page(self) -> str:
        """What it would do to this page itself; empty: nothing."""
        before, after = said(self.before).get("web"), said(self.text).get("web")
        if self.file != NODE or before == after:
            return ""
        if isinstance(after, Mapping) and after.get("on") is False:
            return "This turns the page off; only the file turns it on again."
        return (
            "The page itself starts again then. Where its address, port or certificate is another, "
            "look for it there."
        )

    @property
    def changed(self) -> bool:
        """Has somebody saved the file since the form was opened?"""
        return self.opened != self.digest

    @property
    def at_page(self) -> str:
        """Where the form is sent to."""
        if self.new:
            return f"/configuration/add/{self.kind}"
        return f"/configuration/{self.kind}/{self.name}" if self.kind else "/configuration/node"

    def values(self) -> dict[str, object]:
        """For a template."""
        return {"at": self, "standing": self.standing, "saved": ""}


def _is_missing(mistake: Mistake) -> bool:
    return mistake.problem.startswith("is missing")

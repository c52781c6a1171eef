"""What every page and every call works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request

from dicomnode.config.load import Settings
from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.web.cards import Cards, Shelf
from dicomnode.web.login.tries import Tries
from dicomnode.web.monitoring.measures import Measures
from dicomnode.web.monitoring.overview import Overviews
from dicomnode.web.seen import Seen
from dicomnode.web.showing.pictures import Pictures
from dicomnode.web.streams import Streams
from dicomnode.web.trials.trials import Trials

__all__ = ["Here", "Site"]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The node as the page sees it."""

    config: Path  #: the folder of the configuration
    settings: Callable[[], Settings]  #: the last good ones; read again when the files change
    database: Database
    store: ObjectStore
    now: Callable[[], datetime] = _now
    cards: Cards = field(default_factory=Cards)  #: of the installed models
    tries: Tries = field(default_factory=Tries)  #: logins with wrong passwords
    pictures: Pictures = field(default_factory=Pictures)
    measures: Measures = field(default_factory=Measures)
    overviews: Overviews = field(default_factory=Overviews)
    seen: Seen = field(default_factory=Seen)  #: looks at studies
    streams: Streams = field(default_factory=Streams)  #: of news, to open pages
    trials: Trials = field(default_factory=Trials)  #: pipelines tried on what was uploaded

    def shelf(self) -> Shelf:
        """What the models say of themselves that are installed now."""
        return self.cards.now(self.settings().node.classify.models)


def _here(request: Request) -> Site:
    return cast(Site, request.app.state.site)


#: In a route: `here: Here`.
Here = Annotated[Site, Depends(_here)]

"""Watch the files of the configuration, and take over what changed.

Where a file is wrong, the last good configuration stays in force, and what is wrong is said.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from watchfiles import watch

from dicomnode.config.current import Current
from dicomnode.config.load import Settings, check, read
from dicomnode.errors import ConfigError, Mistake
from dicomnode.log import configure

__all__ = ["Takeover"]

log = logging.getLogger(__name__)

_LOOK_S = 3.0  #: a network share does not tell that files changed, so they are looked at anyway
_STEP_S = 0.25  #: while somebody is writing


class Takeover:
    """One thread that keeps `current` to what the files of `folder` say."""

    def __init__(self, folder: Path, current: Current) -> None:
        self.current = current
        self.mistakes: tuple[str, ...] = ()  #: of the files as they are, in words
        self.restart: tuple[str, ...] = ()  #: keys that were changed and count after a restart
        self._folder = folder
        self._seen: Mapping[str, str] | tuple[Mistake, ...] = dict(current.settings.files)

    def run(self, stop: threading.Event, changed: Callable[[], None]) -> None:
        """Look when files change, until `stop`; `changed` is called when all is in force, and when
        there are mistakes, or no more.
        """
        for _ in _moments(self._folder, stop):
            if self.look(stop):
                changed()

    def look(self, stop: threading.Event) -> bool:
        """Take over what is new and right, once nobody writes any more; was there anything?"""
        seen = _look_at(self._folder)
        if seen == self._seen:
            return False
        while (again := _after_a_moment(self._folder, stop)) != seen:
            seen = again
        if stop.is_set() or seen == self._seen:
            return False
        self._seen = seen
        try:
            if isinstance(seen, tuple):
                raise ConfigError(*seen)
            restart = self._take(check(self._folder, seen))
        except ConfigError as error:
            self._tell(error.mistakes)
            return True
        self.mistakes = ()
        log.info("config.taken", extra={"count": len(seen)})
        if restart and restart != self.restart:
            log.warning("config.restart", extra={"problem": f"after a restart: {_list(restart)}"})
        self.restart = restart
        return True

    def _take(self, settings: Settings) -> tuple[str, ...]:
        logged = self.current.node.log
        restart = self.current.take(settings)
        if (rules := self.current.node.log) != logged:
            configure(level=rules.level, json_lines=rules.format == "json")
        return restart

    def _tell(self, mistakes: tuple[Mistake, ...]) -> None:
        self.mistakes = tuple(self._words(mistake) for mistake in mistakes)
        for words in self.mistakes:
            log.error("config.wrong", extra={"problem": words})

    def _words(self, mistake: Mistake) -> str:
        """On one line, the file as it is called in the folder."""
        if mistake.file != self._folder:
            mistake = replace(mistake, file=mistake.file.relative_to(self._folder))
        return ": ".join(part.strip() for part in str(mistake).split("\n"))


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _look_at(folder: Path) -> Mapping[str, str] | tuple[Mistake, ...]:
    """The texts, or which of them cannot be read."""
    try:
        return read(folder)
    except ConfigError as error:
        return error.mistakes


def _after_a_moment(folder: Path, stop: threading.Event) -> Mapping[str, str] | tuple[Mistake, ...]:
    stop.wait(_STEP_S)
    return _look_at(folder)


def _moments(folder: Path, stop: threading.Event) -> Iterator[None]:
    """When a look is worth it: something changed in the folder, or it is time."""
    while not stop.is_set():
        try:
            for _ in watch(
                folder,
                watch_filter=None,
                step=int(_STEP_S * 1000),
                stop_event=stop,
                rust_timeout=int(_LOOK_S * 1000),
                yield_on_timeout=True,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                yield
        except (OSError, RuntimeError):  # the folder is gone, or the system watches no more of them
            if not stop.wait(_LOOK_S):
                yield

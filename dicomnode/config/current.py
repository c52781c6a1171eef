"""The settings in force, where they may change while a process runs.

Who works by them asks for them when they are needed, and keeps no copy.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dicomnode.config.load import Settings, check, read
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.errors import ConfigError
from dicomnode.records import Peer

__all__ = ["AT_START", "Current", "Followed"]

#: What counts from the next start of the node: keys of `node.toml` by their section.
AT_START: Mapping[str, tuple[str, ...]] = {
    "receive": (
        "ae_title",
        "address",
        "port",
        "processes",
        "tls_certificate",
        "tls_key",
        "tls_client_ca",
    ),
    "storage": ("folder",),
    "worklist": ("url", "password_file"),
}

_LOOK_S = 1.0  #: how often files are read that may have changed


class Current:
    """What is in force; `take` changes it all at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def node(self) -> NodeSettings:
        """This node."""
        return self.settings.node

    @property
    def peers(self) -> Mapping[str, Peer]:
        """The peers, by name."""
        return self.settings.peers

    @property
    def pipelines(self) -> Mapping[str, PipelineSettings]:
        """The pipelines, by name."""
        return self.settings.pipelines

    def take(self, settings: Settings) -> tuple[str, ...]:
        """Have these in force from now on, but for what counts from the next start.

        Return the dotted keys of which the values here stay as they are until then.
        """
        held, sections = [], {}
        for section, names in AT_START.items():
            before, after = getattr(self.node, section), getattr(settings.node, section)
            kept = {n: getattr(before, n) for n in names if getattr(before, n) != getattr(after, n)}
            sections[section] = after.model_copy(update=kept)
            held += [f"{section}.{name}" for name in kept]
        self.settings = replace(settings, node=settings.node.model_copy(update=sections))
        return tuple(held)


class Followed:
    """Called, it gives the last good settings of a folder: for a process that nobody tells."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._current = Current(settings)
        self._seen: Mapping[str, str] = settings.files
        self._look_at = 0.0
        self._looking = threading.Lock()

    def __call__(self) -> Settings:
        """The settings; the files are read again where that was not done just now."""
        with self._looking:
            if time.monotonic() >= self._look_at:
                self._look()
                self._look_at = time.monotonic() + _LOOK_S
            return self._current.settings

    def _look(self) -> None:
        try:
            files = read(self._folder)
            if files != self._seen:
                self._seen = files
                self._current.take(check(self._folder, files))
        except ConfigError:
            return  # the node says what is wrong, and keeps to the last good ones too

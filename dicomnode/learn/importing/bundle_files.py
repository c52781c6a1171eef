"""The files of a MONAI bundle, a folder or a zip file: only those that are asked for by name."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dicomnode.errors import ModelError

__all__ = ["BundleFiles"]

_CONFIG = 4 << 20  #: bytes of a configuration, at most
_WEIGHTS = 8 << 30
_PACKED, _SMALL = 50, 1 << 20  #: times that a file grows when it is unpacked, at most, if not small


class BundleFiles:
    """What is inside a bundle. Nothing is unpacked but one file at a time, where we say.

    Raises:
        ModelError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        if path.is_dir():
            return
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise ModelError(f"{path}: is a broken archive, or ends early") from error
        found = sorted((n for n in self._zip.namelist() if n.endswith("metadata.json")), key=len)
        self._top = found[0].removesuffix("metadata.json").removesuffix("configs/") if found else ""

    def close(self) -> None:
        """Let go of the archive."""
        if self._zip is not None:
            self._zip.close()

    def has(self, name: str) -> bool:
        """Is there such a file?"""
        if self._zip is None:
            return (self.path / name).is_file()
        return f"{self._top}{name}" in self._zip.namelist()

    def config(self, *names: str) -> Mapping[str, Any]:
        """The first of these configurations that is there, JSON or YAML, as plain data."""
        for name in names:
            if self.has(name):
                return self._parsed(name)
        raise ModelError(f"{self.path}: has no {names[0]}")

    def _parsed(self, name: str) -> Mapping[str, Any]:
        text = self._bytes(name, _CONFIG)
        try:
            parsed = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise ModelError(f"{self.path}: {name} cannot be read: {error}") from error
        if not isinstance(parsed, dict):
            raise ModelError(f"{self.path}: {name} is no table")
        return parsed

    def unpacked(self, name: str, folder: Path) -> Path:
        """A file of weights where it can be read: as it lies, or copied out of the archive."""
        if self._zip is None:
            return self._inside(name)
        copy = folder / Path(name).name
        copy.write_bytes(self._bytes(name, _WEIGHTS))
        return copy

    def _bytes(self, name: str, most: int) -> bytes:
        """A whole file, if it is no longer than `most`: what it says of itself is not believed."""
        try:
            if self._zip is None:
                with self._inside(name).open("rb") as file:
                    data = file.read(most + 1)
            else:
                info = self._zip.getinfo(f"{self._top}{name}")
                if info.file_size > _PACKED * info.compress_size + _SMALL:
                    raise ModelError(f"{self.path}: {name} unpacks to {info.file_size} bytes")
                with self._zip.open(info) as member:
                    data = member.read(most + 1)
        except (OSError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
            raise ModelError(f"{self.path}: {name} cannot be read") from error
        if len(data) > most:
            raise ModelError(f"{self.path}: {name} is longer than {most} bytes")
        return data

    def _inside(self, name: str) -> Path:
        """A link may not lead out of the bundle."""
        path = (self.path / name).resolve()
        if not path.is_relative_to(self.path.resolve()):
            raise ModelError(f"{self.path}: {name} is a link that leads out of the bundle")
        return path

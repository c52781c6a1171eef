"""torch's own archives, looked into before anything in them is made use of.

The same reader opens them that torch loads them with, so that no second directory can hide behind
the one that was looked at.
"""

import io
import json
from typing import Any

import torch

from dicomnode.errors import ModelError

__all__ = ["Archive"]

_TEXT = 1 << 26  #: bytes of one record of text, at most
_SPARE = 1 << 20  #: torch stores without compression, so that records are no larger than the file


class Archive:
    """Records of a zip file as torch writes it, by name.

    Raises:
        ModelError: it is no such archive, ends early, or unpacks to more than it is.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._what = what
        try:
            self._reader = torch._C.PyTorchFileReader(io.BytesIO(data))
            self.names: list[str] = self._reader.get_all_records()
            total = sum(self._reader.get_record_size(name) for name in self.names)
        except RuntimeError as error:
            raise ModelError(f"{what}: is no archive of torch, or ends early") from error
        if total > len(data) + _SPARE:
            raise ModelError(f"{what}: says it unpacks to {total} bytes, which is no archive's way")

    def bytes_of(self, name: str) -> bytes:
        """One record; ModelError if it is not there or broken."""
        try:
            found: bytes = self._reader.get_record(name)
        except RuntimeError as error:
            raise ModelError(f"{self._what}: {name} is missing or broken") from error
        return found

    def text(self, name: str) -> str:
        """One record as text."""
        if name in self.names and self._reader.get_record_size(name) > _TEXT:
            raise ModelError(f"{self._what}: {name} is too long")
        try:
            return self.bytes_of(name).decode()
        except UnicodeDecodeError as error:
            raise ModelError(f"{self._what}: {name} is no text") from error

    def json(self, name: str) -> Any:
        """One record as what its JSON says."""
        try:
            return json.loads(self.text(name))
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{self._what}: {name} is no JSON") from error

"""What is known beforehand: codes of findings, and what published models see and say."""

import hashlib
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dicomnode.classify.card.output import Code, Label

__all__ = ["PRIVATE_SCHEME", "label", "presets"]

_HERE = Path(__file__).parent
#: The node's own coding scheme, for findings that have no code elsewhere (PS3.16 section 8.2).
PRIVATE_SCHEME = "99DICOMNODE"


def presets() -> Mapping[str, Mapping[str, Any]]:
    """By name: `about` in words, and tables of a card; `labels` are names."""
    return _read("presets.toml")


def label(name: str, threshold: float = 0.5) -> Label:
    """A label by the name that its makers gave it, with its code where it is known."""
    spoken = " ".join(name.replace("_", " ").split())
    entry = _findings().get(spoken.lower())
    if entry is None:
        return Label(name=spoken, code=_private(spoken), threshold=threshold)
    known, facts = entry
    code = facts.get("code")
    return Label(
        name=known,
        code=Code(value=code[0], scheme=code[1], meaning=code[2]) if code else _private(known),
        threshold=threshold,
        names=facts["names"],
    )


def _private(name: str) -> Code:
    """The same name has the same code everywhere; none begins with P, as probabilities do."""
    value = f"F{hashlib.sha256(name.lower().encode()).hexdigest()[:12].upper()}"
    return Code(value=value, scheme=PRIVATE_SCHEME, meaning=name[:1].upper() + name[1:])


@cache
def _findings() -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """By every name that a finding goes by."""
    return {
        alias: (name, facts)
        for name, facts in _read("findings.toml").items()
        for alias in (name, *facts.get("also", ()))
    }


@cache
def _read(name: str) -> Mapping[str, Any]:
    return tomllib.loads((_HERE / name).read_text("utf-8"))

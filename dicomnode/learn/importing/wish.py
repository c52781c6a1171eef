"""What a person asks for when a model is imported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Answers", "Wish"]

Answers = Literal["", "logits", "probabilities"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Where the model is, what it is to be called, and what its source does not tell."""

    source: Path
    into: Path  #: folder of models; a new one appears in it
    folder: str  #: its name, by which pipelines name the model
    name: str
    version: str
    preset: str = ""  #: one of `known.presets`
    recipe: Mapping[str, Any] = field(default_factory=dict)  #: tables of a card, as a person wrote
    labels: tuple[Mapping[str, Any], ...] = ()  #: each with a name, or an empty one: dropped
    architecture: str = ""  #: one of `families.named_architectures`; else told from the tensors
    params: Mapping[str, Any] = field(default_factory=dict)  #: of the architecture
    convert_pickle: bool = False
    answers: Answers = ""  #: what a program gives; empty: it is looked at, and asked if unclear
    output: str = ""  #: kind of output; empty: as the source tells, else multi-label
    words: Mapping[str, str] = field(default_factory=dict)  #: intended_use, manufacturer, ...

"""What is evaluated: images with their patients, the truth, and what models and readers said."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "Group", "Opinion", "Sample"]

UNKNOWN = -1  #: truth, or a reader's word, that was not given


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opinion:
    """What another model, or a reader, said of the same images."""

    name: str  #: as tables call it
    scores: NDArray[np.float64]  #: (images, findings), 0..1; NaN where nothing was said
    binary: bool = False  #: a reader: 1 present, 0 absent
    thresholds: Mapping[str, float] = field(default_factory=dict)  #: of its card, by finding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Some of the images, by a property of patient or equipment."""

    variable: str  #: such as sex
    name: str  #: such as F
    rows: NDArray[np.intp]  #: which images


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Images, one a row, and findings, one a column."""

    name: str  #: of the model, as tables call it
    findings: tuple[str, ...]
    truth: NDArray[np.int8]  #: (images, findings): 1 there, 0 not, `UNKNOWN`
    scores: NDArray[np.float64]  #: (images, findings): probability 0..1; NaN: nothing was said
    patients: NDArray[np.intp]  #: (images,): numbers from 0, none left out
    groups: tuple[Group, ...] = ()
    others: tuple[Opinion, ...] = ()
    thresholds: Mapping[str, float] = field(
        default_factory=dict
    )  #: of the model's card, by finding

    @property
    def clustered(self) -> bool:
        """Has any patient more than one image?"""
        return int(self.patients.max(initial=-1)) + 1 < len(self.patients)

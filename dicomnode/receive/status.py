"""What a sender is told: one table from errors to C-STORE statuses.

The statuses are those of PS3.4 Table B.2-1 and PS3.7 section 9.1.1.1.9. The comments are fixed, so
that no answer can quote a dataset.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dicomnode.errors import (
    BadUID,
    Conflict,
    DicomnodeError,
    Mismatch,
    StoreError,
    StoreFull,
    TooLarge,
    Unreadable,
)

__all__ = ["ANSWERS", "SUCCESS", "UNFORESEEN", "Answer", "answer_to", "reason_of"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status (0000,0900) and Error Comment (0000,0902) of a C-STORE-RSP."""

    status: int
    comment: str  #: at most 64 characters (LO)


SUCCESS = Answer(0x0000, "")
UNFORESEEN = Answer(0xC211, "Unforeseen error, see the log of this node")

ANSWERS: Mapping[type[DicomnodeError], Answer] = {
    StoreFull: Answer(0xA700, "No room left on the disk, send again later"),
    StoreError: Answer(0xA701, "The disk refused the object, send again later"),
    Mismatch: Answer(0xA900, "Command, presentation context and dataset disagree"),
    Unreadable: Answer(0xC000, "The dataset cannot be parsed, or ends early"),
    TooLarge: Answer(0xC001, "The object is larger than this node takes"),
    Conflict: Answer(0xC002, "This SOP Instance UID is kept already with other bytes"),
    BadUID: Answer(0x0117, "A UID is missing, or is not a UID"),
}


def answer_to(error: DicomnodeError) -> Answer:
    """The answer to the nearest class of the tree that has one."""
    for kind in type(error).__mro__:
        if kind in ANSWERS:
            return ANSWERS[kind]
    return UNFORESEEN


def reason_of(error: Exception) -> str:
    """The name of the kind of error that decides the answer; empty for one nobody foresaw."""
    return next((kind.__name__ for kind in type(error).__mro__ if kind in ANSWERS), "")

"""What a C-STORE status means for an object that was sent: one table, and words for it."""

from dicomnode.records import Verdict

__all__ = ["meaning"]

#: General statuses of PS3.7 Annex C that a Storage SCP may answer.
_GENERAL = {
    0x0000: (Verdict.STORED, "stored"),
    0x0001: (Verdict.STORED, "stored, with a warning about optional attributes"),
    0x0105: (Verdict.NEVER, "no such attribute"),
    0x0106: (Verdict.NEVER, "invalid attribute value"),
    0x0107: (Verdict.STORED, "stored, some attributes were not"),
    0x0110: (Verdict.LATER, "processing failure"),
    0x0111: (Verdict.STORED, "the peer has this SOP instance already"),
    0x0112: (Verdict.NEVER, "no such SOP instance"),
    0x0115: (Verdict.NEVER, "invalid argument value"),
    0x0116: (Verdict.STORED, "stored, an attribute value was out of range"),
    0x0117: (Verdict.NEVER, "invalid SOP instance"),
    0x0118: (Verdict.NEVER, "no such SOP class"),
    0x0119: (Verdict.NEVER, "SOP class and instance do not agree"),
    0x0120: (Verdict.NEVER, "missing attribute"),
    0x0121: (Verdict.NEVER, "missing attribute value"),
    0x0122: (Verdict.NEVER, "SOP class not supported"),
    0x0124: (Verdict.NEVER, "not authorized to store this"),
    0x0211: (Verdict.NEVER, "the peer does not do C-STORE"),
    0x0212: (Verdict.NEVER, "mistyped argument"),
    0x0213: (Verdict.LATER, "resource limitation"),
    0xB000: (Verdict.STORED, "stored, data elements were coerced"),
    0xB006: (Verdict.STORED, "stored, elements were discarded"),
    0xB007: (Verdict.STORED, "stored, although it does not match its SOP class"),
}

#: Ranges of PS3.4 Table B.2-1, by the digits that stay the same.
_STORAGE = (
    (0xFF00, 0xA700, Verdict.LATER, "out of resources"),
    (0xFF00, 0xA900, Verdict.NEVER, "the dataset does not match its SOP class"),
    (0xF000, 0xB000, Verdict.STORED, "stored, with a warning"),
    (0xF000, 0xC000, Verdict.NEVER, "the peer cannot understand the dataset"),
)


def meaning(status: int) -> tuple[Verdict, str]:
    """Stored, later or never, and why; a status of no standard is tried again.

    The peer's own Error Comment is left out: it may quote the dataset.
    """
    verdict, words = _GENERAL.get(status, (None, ""))
    if verdict is None:
        verdict, words = next(
            ((v, w) for mask, value, v, w in _STORAGE if status & mask == value),
            (Verdict.LATER, "a status the standard does not know"),
        )
    return verdict, words if status == 0x0000 else f"{words} (0x{status:04X})"

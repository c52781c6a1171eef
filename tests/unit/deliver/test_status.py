"""Every status a Storage SCP may answer has a verdict and words."""

import pytest

from dicomnode.deliver.status import meaning
from dicomnode.records import Verdict


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (0x0000, Verdict.STORED, "stored"),
        (0xB000, Verdict.STORED, "stored, data elements were coerced (0xB000)"),
        (0xB006, Verdict.STORED, "stored, elements were discarded (0xB006)"),
        (0xB007, Verdict.STORED, "stored, although it does not match its SOP class (0xB007)"),
        (0xB123, Verdict.STORED, "stored, with a warning (0xB123)"),
        (0x0111, Verdict.STORED, "the peer has this SOP instance already (0x0111)"),
        (0xA700, Verdict.LATER, "out of resources (0xA700)"),
        (0xA7FF, Verdict.LATER, "out of resources (0xA7FF)"),
        (0x0110, Verdict.LATER, "processing failure (0x0110)"),
        (0x0213, Verdict.LATER, "resource limitation (0x0213)"),
        (0xA900, Verdict.NEVER, "the dataset does not match its SOP class (0xA900)"),
        (0xC000, Verdict.NEVER, "the peer cannot understand the dataset (0xC000)"),
        (0xCFFF, Verdict.NEVER, "the peer cannot understand the dataset (0xCFFF)"),
        (0x0117, Verdict.NEVER, "invalid SOP instance (0x0117)"),
        (0x0122, Verdict.NEVER, "SOP class not supported (0x0122)"),
        (0x0124, Verdict.NEVER, "not authorized to store this (0x0124)"),
        (0x0210, Verdict.LATER, "a status the standard does not know (0x0210)"),
        (0xFF00, Verdict.LATER, "a status the standard does not know (0xFF00)"),
        (0xA801, Verdict.LATER, "a status the standard does not know (0xA801)"),
    ],
)
def test_a_status_is_said_in_words(status: int, verdict: Verdict, words: str) -> None:
    assert meaning(status) == (verdict, words)


def test_no_status_at_all_is_without_meaning() -> None:
    for status in range(0x10000):
        assert all(meaning(status))

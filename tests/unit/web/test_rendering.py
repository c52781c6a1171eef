"""Numbers for people."""

import pytest

from dicomnode.web import rendering


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (2**30, "1 GiB"),
        (2.5 * 2**20, "2.5 MiB"),
        (75 * 2**30, "75 GiB"),
        (2000 * 2**40, "2000 TiB"),
    ],
)
def test_bytes_are_told_as_settings_give_them(count: float, words: str) -> None:
    assert rendering._bytes(count) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0"), (5000, "5,000"), (5001, "more than 5,000")])
def test_what_was_counted_no_further_is_said_to_be_more(count: int, words: str) -> None:
    assert rendering._many(count) == words

"""Numbers for people."""

from datetime import datetime, timedelta, timezone

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


def test_a_time_stands_in_utc_where_no_script_shows_it_otherwise() -> None:
    at = datetime(2026, 1, 2, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    told = "2026-01-01T23:30:00+00:00"
    assert rendering._time(at) == f'<time datetime="{told}">{told}</time>'
    assert rendering._time(None) == '<time datetime=""></time>'

"""News of pages that are open: what changed, and no more streams than a browser bears."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest
from fastapi import HTTPException

from dicomnode.errors import DatabaseAway, DicomnodeError, NotFound
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web import live
from dicomnode.web.access import Caller
from dicomnode.web.streams import Streams
from tests.web import make_site

CALLER = Caller(name="ada", role=Role.VIEWER, address="", csrf="of this session")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.0)


async def _next(stream: AsyncIterator[str], count: int) -> list[tuple[str, str]]:
    """So many events, comments left out."""
    found: list[tuple[str, str]] = []
    async for text in stream:
        if text.startswith("data: "):
            event = json.loads(text.removeprefix("data: "))
            found.append((event["id"], event["html"]))
        if len(found) == count:
            break
    return found


def test_only_what_changed_is_sent() -> None:
    looks: Iterator[Mapping[str, str]] = iter(
        [{"a": "1", "b": "1"}, {"a": "1", "b": "1"}, {"b": "1"}, {"a": "1", "b": "2"}, {"a": "2"}]
    )

    async def look() -> list[tuple[str, str]]:
        return await _next(live.news(Streams(), "ada", lambda: next(looks)), 4)

    assert asyncio.run(look()) == [("a", "1"), ("b", "1"), ("b", "2"), ("a", "2")]


def test_a_stream_ends_after_a_while_and_a_session_has_only_some(
    tmp_path: Path, sqlite_url: str
) -> None:
    site = make_site(tmp_path, Database(sqlite_url))

    async def look() -> None:
        answers = [live.live(site, CALLER, lambda: {"a": "1"}) for _ in range(4)]
        streams = [cast("AsyncGenerator[str]", answer.body_iterator) for answer in answers]
        for stream in streams:
            assert await anext(stream)
        with pytest.raises(HTTPException) as refused:
            live.live(site, CALLER, dict)
        assert refused.value.status_code == 429
        assert site.streams.has_room("another session")
        for stream in streams:
            await stream.aclose()
        assert site.streams.has_room("of this session")
        assert len(site.streams) == 0
        ended = live.news(site.streams, "ada", dict, lasts_s=0)
        assert [text async for text in ended] == []

    asyncio.run(look())


@pytest.mark.parametrize("error", [DatabaseAway("away"), NotFound("it was removed")])
def test_a_stream_ends_where_it_cannot_be_looked(error: DicomnodeError) -> None:
    def away() -> Mapping[str, str]:
        raise error

    async def look() -> list[str]:
        return [text async for text in live.news(Streams(), "ada", away)]

    assert asyncio.run(look()) == []

"""Parts of a page as they change: server-sent events, as `app.js` takes them."""

import json
import time
from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Mapping

from fastapi import HTTPException
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from dicomnode.errors import DicomnodeError
from dicomnode.web.access import Caller
from dicomnode.web.site import Site
from dicomnode.web.streams import Streams

__all__ = ["EVERY_S", "live", "news"]

EVERY_S = 2.0  #: between two looks
_LASTS_S = 300.0  #: then the browser asks again, and so whether it still may


def live(here: Site, caller: Caller, look: Callable[[], Mapping[str, str]]) -> StreamingResponse:
    """Send parts by their ids when they change; `look` makes all of them, in a thread.

    Raises:
        HTTPException: the caller's session looks at as many as it may.
    """
    session = caller.csrf or caller.name
    if not here.streams.has_room(session):
        raise HTTPException(429, "this session looks at too many live pages; close one")
    return StreamingResponse(news(here.streams, session, look), media_type="text/event-stream")


async def news(
    streams: Streams,
    session: str,
    look: Callable[[], Mapping[str, str]],
    lasts_s: float = _LASTS_S,
) -> AsyncIterator[str]:
    """Each changed part as an event; ends with the browser, after a while, or with an error.

    Of the latter the browser says that what it shows is old, and asks again by itself.
    """
    shown: dict[str, str] = {}
    end = time.monotonic() + lasts_s
    with streams.one_more(session):
        while time.monotonic() < end:
            try:
                now = await run_in_threadpool(look)
            except DicomnodeError:
                return
            for name, html in now.items():
                if shown.get(name) != html:
                    yield f"data: {json.dumps({'id': name, 'html': html})}\n\n"
            shown |= now
            yield ":\n\n"  # says that the node is there; fails where the browser is not
            await sleep(EVERY_S)

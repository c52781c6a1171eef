"""Headers of every answer: what a browser may do with it is nearly nothing.

And how much is heard of whom.
"""

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from dicomnode.errors import DatabaseAway
from dicomnode.web.access import who

__all__ = ["HEADERS", "MAX_BODY_BYTES", "add_headers"]

#: Of what is sent to a route; one that takes files says `max_body_size` itself.
MAX_BODY_BYTES = 1 << 20

#: Of every answer.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


async def add_headers(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Add them; what is of patients is kept by no browser or proxy."""
    response = await _refusal(request) or await call_next(request)
    response.headers.update(HEADERS)
    if not request.url.path.startswith("/static/"):
        response.headers.setdefault("cache-control", "no-store")
    if request.url.scheme == "https":
        response.headers["strict-transport-security"] = "max-age=31536000"
    return response


async def _refusal(request: Request) -> Response | None:
    """FastAPI reads what is sent before it asks who sends it: of strangers that must be little."""
    if not _is_large(request):
        return None
    try:
        if await run_in_threadpool(who, request, request.app.state.site) is not None:
            return None
        status, problem = 401, "log in before you send so much"
    except DatabaseAway as error:
        status, problem = 503, str(error)
    return JSONResponse({"problem": problem}, status, headers={"connection": "close"})


def _is_large(request: Request) -> bool:
    if "transfer-encoding" in request.headers:
        return True
    length = request.headers.get("content-length", "0")
    return not length.isdecimal() or int(length) > MAX_BODY_BYTES

"""What goes wrong, as it is told: to people a page, to a script of ours a part, to others JSON."""

from collections.abc import Mapping

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from dicomnode.errors import (
    AccountError,
    ConfigError,
    DicomnodeError,
    NotAnalysable,
    NotFound,
    StoreFull,
    WrongStep,
)
from dicomnode.web.access import Caller, who
from dicomnode.web.headers import HEADERS
from dicomnode.web.rendering import is_of_script, page, part

__all__ = ["broken", "not_understood", "refused", "told"]

#: Others are 503 where trying again may help, else 500.
_STATUS: Mapping[type[DicomnodeError], int] = {
    NotFound: 404,
    WrongStep: 409,
    AccountError: 409,
    ConfigError: 422,
    NotAnalysable: 422,
    StoreFull: 507,
}
_AGAIN_S = 60  #: when trying again may help


async def told(request: Request, error: Exception) -> Response:
    """Our own errors are said as they are: they are made for people, and name no patient."""
    assert isinstance(error, DicomnodeError)  # noqa: S101  # as registered
    usual = 503 if error.retry else 500
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), usual)
    headers = {"retry-after": str(_AGAIN_S)} if error.retry else None
    return await _answer(request, status, str(error), headers)


async def refused(request: Request, error: Exception) -> Response:
    """What a route says itself, by HTTPException; and paths that there are not."""
    assert isinstance(error, HTTPException | StarletteHTTPException)  # noqa: S101  # as registered
    if error.status_code == 303:
        return Response(status_code=303, headers=error.headers)
    return await _answer(request, error.status_code, str(error.detail), error.headers)


async def not_understood(request: Request, error: Exception) -> Response:
    """What is wrong and where; never what was sent, which may name a patient."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as registered
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return await _answer(request, 422, "; ".join(problems))


async def broken(request: Request, error: Exception) -> Response:
    """A mistake of ours: it goes on to the log, and nothing of it to the caller."""
    problem = "this is a mistake of dicomnode; its log says more"
    answer = _as_asked(request, None, 500, problem)
    answer.headers.update(HEADERS | {"cache-control": "no-store"})
    return answer


async def _answer(
    request: Request, status: int, problem: str, headers: Mapping[str, str] | None = None
) -> Response:
    caller = await run_in_threadpool(_caller, request) if _wants_page(request) else None
    answer = _as_asked(request, caller, status, problem)
    answer.headers.update(headers or {})
    return answer


def _as_asked(request: Request, caller: Caller | None, status: int, problem: str) -> Response:
    values = {"code": status, "problem": problem}
    if is_of_script(request) and _wants_page(request):
        return part("problem_said.html", caller, values, status=status)
    if _wants_page(request):
        answer = page(request, "problem.html", caller, **values)
        answer.status_code = status
        return answer
    return JSONResponse({"problem": problem}, status)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _caller(request: Request) -> Caller | None:
    """For whom the page with the problem is; nobody where that cannot be found out now."""
    try:
        return who(request, request.app.state.site)
    except DicomnodeError:
        return None

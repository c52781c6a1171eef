"""The table of routes, and what is done to every request."""

from collections.abc import Iterable

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import BaseRoute

from dicomnode import __version__
from dicomnode.errors import (
    AccountError,
    ConfigError,
    DatabaseAway,
    DicomnodeError,
    NotFound,
    WrongStep,
)
from dicomnode.web.access import ACCESS
from dicomnode.web.api import associations as associations_api
from dicomnode.web.api import audit as audit_api
from dicomnode.web.api import configuration as configuration_api
from dicomnode.web.api import files, health, measures
from dicomnode.web.api import jobs as jobs_api
from dicomnode.web.api import openapi as openapi_api
from dicomnode.web.api import overview as overview_api
from dicomnode.web.api import people as people_api
from dicomnode.web.api import studies as studies_api
from dicomnode.web.api import study as study_api
from dicomnode.web.api import trying as trying_api
from dicomnode.web.headers import HEADERS, MAX_BODY_BYTES, add_headers
from dicomnode.web.pages import (
    associations,
    audit,
    configuration,
    configuration_history,
    login,
    me,
    openapi,
    openid,
    people,
    pictures,
    results,
    studies,
    study,
    today,
    trying,
)
from dicomnode.web.rendering import STATIC, part
from dicomnode.web.site import Site

__all__ = ["build_app"]

_ROUTERS = (
    health.router,
    measures.router,
    today.router,
    overview_api.router,
    studies.router,
    studies_api.router,
    study.router,
    study_api.router,
    jobs_api.router,
    results.router,
    pictures.router,
    login.router,
    openid.router,
    me.router,
    people.router,
    people_api.router,
    associations.router,
    associations_api.router,
    trying.router,
    trying_api.router,
    audit.router,
    audit_api.router,
    openapi.router,
    openapi_api.router,
    configuration_history.router,
    configuration.router,
    configuration_api.router,
    files.router,
)

_STATUS: dict[type[DicomnodeError], int] = {
    NotFound: 404,
    WrongStep: 409,
    AccountError: 409,
    ConfigError: 422,
    DatabaseAway: 503,
}


def build_app(site: Site) -> FastAPI:
    """The whole of it, for a server of ASGI applications."""
    app = FastAPI(
        title="dicomnode",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        max_body_size=MAX_BODY_BYTES,
    )
    app.state.site = site
    app.middleware("http")(add_headers)
    app.add_exception_handler(DicomnodeError, _told)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(Exception, _broken)
    for router in _ROUTERS:
        _demand_access(router.routes)
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def _demand_access(routes: Iterable[BaseRoute]) -> None:
    """A route that does not say who may call it is a mistake of ours, found at the start.

    So is one that cannot be asked: a router within a router, or an application of its own.
    """
    for route in routes:
        asked = route.dependant.dependencies if isinstance(route, APIRoute) else ()
        if {each.call for each in asked}.isdisjoint(ACCESS):
            raise AssertionError(f"{getattr(route, 'path', route)} does not say who may call it")


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _answer(request: Request, status: int, problem: str) -> Response:
    if _wants_page(request):
        return part("problem.html", None, {"code": status, "problem": problem}, status=status)
    return JSONResponse({"problem": problem}, status)


async def _told(request: Request, error: Exception) -> Response:
    """Our own errors are said as they are: they are made for people, and name no patient."""
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    return _answer(request, status, str(error))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException | StarletteHTTPException)  # noqa: S101  # as registered
    if error.status_code == 303:
        return Response(status_code=303, headers=error.headers)
    return _answer(request, error.status_code, str(error.detail))


async def _broken(request: Request, error: Exception) -> Response:
    """A mistake of ours: it goes on to the log, and nothing of it to the caller."""
    answer = _answer(request, 500, "this is a mistake of dicomnode; its log says more")
    answer.headers.update(HEADERS | {"cache-control": "no-store"})
    return answer


async def _not_understood(request: Request, error: Exception) -> Response:
    """What is wrong and where; never what was sent, which may name a patient."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as registered
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return _answer(request, 422, "; ".join(problems))

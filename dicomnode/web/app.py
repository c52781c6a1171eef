"""The table of routes, and what is done to every request."""

from collections.abc import Iterable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import BaseRoute

from dicomnode import __version__
from dicomnode.errors import DicomnodeError
from dicomnode.web.access import ACCESS
from dicomnode.web.api import associations as associations_api
from dicomnode.web.api import audit as audit_api
from dicomnode.web.api import configuration as configuration_api
from dicomnode.web.api import files, health, measures
from dicomnode.web.api import jobs as jobs_api
from dicomnode.web.api import models as models_api
from dicomnode.web.api import openapi as openapi_api
from dicomnode.web.api import overview as overview_api
from dicomnode.web.api import people as people_api
from dicomnode.web.api import studies as studies_api
from dicomnode.web.api import study as study_api
from dicomnode.web.api import trying as trying_api
from dicomnode.web.headers import MAX_BODY_BYTES, add_headers
from dicomnode.web.pages import (
    associations,
    audit,
    configuration,
    configuration_history,
    login,
    me,
    models,
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
from dicomnode.web.problems import broken, not_understood, refused, told
from dicomnode.web.rendering import STATIC
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
    models.router,
    models_api.router,
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
    app.add_exception_handler(DicomnodeError, told)
    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(RequestValidationError, not_understood)
    app.add_exception_handler(Exception, broken)
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

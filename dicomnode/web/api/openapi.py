"""What this interface is, as OpenAPI."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

from dicomnode.web.access import Viewer

__all__ = ["described", "router"]

router = APIRouter(include_in_schema=False)

_WORDS = """\
All that the pages show and do, for scripts. Make a key on the page of yourself (/me) and send it:
`Authorization: Bearer KEY`. Times are UTC. What goes wrong is said as `{"problem": "..."}`.
"""
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What is wrong, in words.",
    "required": ["problem"],
    "properties": {"problem": {"type": "string"}},
}


@router.get("/api/openapi.json")
def openapi(request: Request, _: Viewer) -> JSONResponse:
    """For programs that make clients."""
    return JSONResponse(described(request.app))


def described(app: FastAPI) -> dict[str, Any]:
    """The description, with problems as they are said here and keys as they are sent."""
    if app.openapi_schema is None:
        app.description = _WORDS
        made = app.openapi()
        parts = made.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        schemas["Problem"] = _PROBLEM
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"key": []}]
        said = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for path in made["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                operation["responses"]["4XX"] = {"description": "Refused.", "content": said}
                operation["responses"]["5XX"] = {"description": "Not now.", "content": said}
    return app.openapi()

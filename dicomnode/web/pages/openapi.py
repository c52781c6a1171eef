"""The programming interface, to be read by people."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dicomnode.web.access import Viewer
from dicomnode.web.api.openapi import described
from dicomnode.web.rendering import page

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/api")
def interface(request: Request, caller: Viewer) -> HTMLResponse:
    """Every call, with what it takes and gives."""
    document = described(request.app)
    subjects: dict[str, list[dict[str, Any]]] = {}
    for call in _calls(document):
        subjects.setdefault(call["subject"], []).append(call)
    base = str(request.base_url).rstrip("/")
    return page(request, "interface.html", caller, subjects=subjects, base=base)


def _calls(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            good = next(code for code in operation["responses"] if code.startswith("2"))
            words = operation.get("description") or operation.get("summary", "")
            yield {
                "subject": (operation.get("tags") or ["Other"])[0],
                "method": method.upper(),
                "path": path,
                "words": words.partition("\n")[0],
                "more": words.partition("\n")[2].strip(),
                "id": operation["operationId"],
                "parameters": [
                    _parameter(each, schemas) for each in operation.get("parameters", ())
                ],
                "takes": _fields(operation.get("requestBody", {}), schemas),
                "gives": _fields(operation["responses"][good], schemas),
            }


def _parameter(each: dict[str, Any], schemas: dict[str, Any]) -> dict[str, str]:
    schema = each["schema"]
    words = each.get("description") or schema.get("description") or ""
    return {"name": each["name"], "in": each["in"], "kind": _kind(schema, schemas), "words": words}


def _fields(body: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, str]]:
    """The fields of what is sent or answered, where it is an object or a list of objects."""
    contents: dict[str, Any] = body.get("content", {})
    schema: dict[str, Any] = next((each.get("schema", {}) for each in contents.values()), {})
    schema = schema.get("items", schema)
    found = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    return [
        {"name": name, "kind": _kind(each, schemas), "words": each.get("description", "")}
        for name, each in found.get("properties", {}).items()
    ]


def _kind(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A type in a few words."""
    if "$ref" in schema:
        name = str(schema["$ref"].rpartition("/")[2])
        return _kind(schemas[name], schemas) if "enum" in schemas.get(name, {}) else name
    if "anyOf" in schema:
        kinds = [each for each in schema["anyOf"] if each.get("type") != "null"]
        return " or ".join(_kind(each, schemas) for each in kinds)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), schemas)}"
    return str(schema.get("format") or schema.get("type") or "any")

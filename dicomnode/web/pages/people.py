"""Who may do what: everybody in a table, and a page for each."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dicomnode.errors import AccountError
from dicomnode.people import accounts, keys, sessions
from dicomnode.people.accounts import Role
from dicomnode.web import people
from dicomnode.web.access import Administrator, Caller
from dicomnode.web.login.passwords import SHORTEST
from dicomnode.web.rendering import page
from dicomnode.web.site import Here, Site

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_DONE = {
    "added": "May log in from now on.",
    "changed": "Changed, and logged out everywhere.",
    "logged-out": "Logged out everywhere.",
}


@router.get("/people")
def table(request: Request, here: Here, caller: Administrator) -> HTMLResponse:
    """Everybody."""
    return _table(request, here, caller)


@router.post("/people")
def add(
    request: Request,
    here: Here,
    caller: Administrator,
    name: Annotated[str, Form()],
    role: Annotated[Role, Form()],
    password: Annotated[str, Form()],
) -> Response:
    """Let somebody in."""
    try:
        people.add(here, caller, name, role, password)
    except AccountError as error:
        return _table(request, here, caller, problem=str(error), name=name, role=role)
    return RedirectResponse(f"/people/{name}?done=added", 303)


@router.get("/people/{name}")
def person(
    request: Request, here: Here, caller: Administrator, name: str, done: str = ""
) -> HTMLResponse:
    """One of them."""
    return _person(request, here, caller, name, done=_DONE.get(done, ""))


@router.post("/people/{name}")
def change(
    request: Request,
    here: Here,
    caller: Administrator,
    name: str,
    role: Annotated[Role | None, Form()] = None,
    disabled: Annotated[bool | None, Form()] = None,
    password: Annotated[str | None, Form()] = None,
) -> Response:
    """Change the one thing that a form holds."""
    try:
        people.change(here, caller, name, role=role, disabled=disabled, password=password)
    except AccountError as error:
        return _person(request, here, caller, name, problem=str(error))
    return RedirectResponse(f"/people/{name}?done=changed", 303)


@router.post("/people/{name}/log-out")
def log_out(here: Here, caller: Administrator, name: str) -> Response:
    """End all sessions of somebody."""
    people.log_out(here, caller, name)
    return RedirectResponse(f"/people/{name}?done=logged-out", 303)


@router.post("/people/{name}/remove")
def remove(request: Request, here: Here, caller: Administrator, name: str) -> Response:
    """Forget somebody."""
    try:
        people.remove(here, caller, name)
    except AccountError as error:
        return _person(request, here, caller, name, problem=str(error))
    return RedirectResponse("/people", 303)


def _table(
    request: Request,
    here: Site,
    caller: Caller,
    *,
    problem: str = "",
    name: str = "",
    role: Role = Role.VIEWER,
) -> HTMLResponse:
    with here.database.reading() as tx:
        members = accounts.listed(tx)
    said = {"typed": name, "role": role, "problem": problem, "shortest": SHORTEST}
    answer = page(request, "people.html", caller, members=members, roles=list(Role), **said)
    answer.status_code = 409 if problem else 200
    return answer


def _person(
    request: Request,
    here: Site,
    caller: Caller,
    name: str,
    *,
    problem: str = "",
    done: str = "",
) -> HTMLResponse:
    with here.database.reading() as tx:
        values = {
            "user": accounts.demand(tx, name),
            "open": sessions.of(tx, name),
            "keys": keys.of(tx, name),
        }
    said = {"problem": problem, "done": done, "shortest": SHORTEST, "roles": list(Role)}
    answer = page(request, "people_one.html", caller, **values, **said)
    answer.status_code = 409 if problem else 200
    return answer

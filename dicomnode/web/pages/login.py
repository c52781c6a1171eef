"""Log in and out."""

import math
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dicomnode.people import accounts, sessions
from dicomnode.people.accounts import User
from dicomnode.storage.database import Connection
from dicomnode.web.access import Anyone, Viewer, cookie_name, note, session_limits, stranger
from dicomnode.web.login import passwords
from dicomnode.web.rendering import page
from dicomnode.web.site import Here, Site

__all__ = ["inside", "log_in_here", "login_page", "router", "set_cookie"]

router = APIRouter(include_in_schema=False)


def login_page(
    request: Request, here: Site, *, to: str = "/", problem: str = "", status: int = 200
) -> HTMLResponse:
    """Where one logs in."""
    with here.database.reading() as tx:
        empty = not accounts.has_administrator(tx)
    openid = here.settings().node.web.openid
    values = {"to": to, "problem": problem, "empty": empty, "openid": openid}
    answer = page(request, "login.html", None, **values)
    answer.status_code = status
    return answer


@router.get("/login")
def form(request: Request, here: Here, _: Anyone, to: str = "/") -> HTMLResponse:
    """Where one logs in."""
    return login_page(request, here, to=to)


@router.post("/login")
def log_in(
    request: Request,
    here: Here,
    _: Anyone,
    name: Annotated[str, Form()],
    password: Annotated[str, Form()],
    to: Annotated[str, Form()] = "/",
) -> Response:
    """Open a session where name and password are right."""
    caller = stranger(request)
    wait_s = math.ceil(here.tries.begin(name, caller.address))
    if wait_s > 0:
        problem = f"Too many wrong passwords: wait {_waiting(wait_s)} before you try again."
        answer = login_page(request, here, to=to, problem=problem, status=429)
        answer.headers["retry-after"] = str(wait_s)
        return answer
    with here.database.reading() as tx:
        user = accounts.get(tx, name)
    usable = user.password if user is not None and not user.disabled else None
    right = passwords.is_right(usable, password)  # takes long: in no transaction
    renewed = passwords.hashed(password) if right and usable and passwords.is_old(usable) else None
    with here.database.transaction() as tx:
        if not right or user is None or not _is_still(tx, user):
            known = stranger(request, user.name if user else "")
            note(tx, here, known, "login", done=False, detail="" if user else "unknown name")
            key = ""
        else:
            if renewed:
                accounts.renew_password(tx, user.name, renewed)
            key = log_in_here(tx, request, here, user)
    if not key:
        problem = "Name or password is wrong."
        return login_page(request, here, to=to, problem=problem, status=403)
    here.tries.right(name, caller.address)
    return set_cookie(request, RedirectResponse(inside(to), 303), key)


def log_in_here(tx: Connection, request: Request, here: Site, user: User) -> str:
    """The key of a new session: one that the browser had before, from whomever, ends."""
    caller = stranger(request, user.name)
    sessions.tidy(tx, **session_limits(here), now=here.now())
    sessions.close(tx, request.cookies.get(cookie_name(request), ""))
    note(tx, here, caller, "login")
    return sessions.begin(tx, user.name, address=caller.address, now=here.now())


def set_cookie(request: Request, response: Response, key: str) -> Response:
    """Let the browser keep a session's key, out of reach of scripts and other sites."""
    name, secure = cookie_name(request), request.url.scheme == "https"
    response.set_cookie(name, key, httponly=True, samesite="lax", secure=secure)
    return response


def inside(to: str) -> str:
    """A place of this page: nobody is sent elsewhere after a login."""
    return to if to.startswith("/") and to[1:2] not in ("/", "\\") else "/"


@router.post("/logout")
def log_out(request: Request, here: Here, caller: Viewer) -> Response:
    """End the session."""
    with here.database.transaction() as tx:
        sessions.close(tx, request.cookies.get(cookie_name(request), ""))
        note(tx, here, caller, "logout")
    response = RedirectResponse("/login", 303)
    response.delete_cookie(
        cookie_name(request), secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )
    return response


def _is_still(tx: Connection, user: User) -> bool:
    """Nothing of it was changed while the password was looked at."""
    return accounts.get(tx, user.name) == user


def _waiting(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"

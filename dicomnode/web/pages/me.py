"""One's own: password, browsers that are logged in, keys for scripts."""

from datetime import UTC, datetime, time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dicomnode.errors import AccountError
from dicomnode.people import accounts, keys, sessions
from dicomnode.people.accounts import Role
from dicomnode.web.access import Caller, Viewer, cookie_name, note
from dicomnode.web.asked import Day, Number
from dicomnode.web.login import passwords
from dicomnode.web.pages.login import log_in_here, set_cookie
from dicomnode.web.rendering import page
from dicomnode.web.site import Here, Site

__all__ = ["router"]


def _in_person(caller: Viewer) -> Caller:
    """Keys are for work, not for what belongs to a person: a lost one must not make others."""
    if caller.key is not None:
        raise HTTPException(403, "not with a key; log in with a browser")
    return caller


Person = Annotated[Caller, Depends(_in_person)]

router = APIRouter(include_in_schema=False)

_DONE = {
    "password": "Your password is changed; every other browser is logged out.",
    "sessions": "Logged out there.",
    "key": "The key is revoked: it opens nothing any more.",
}


@router.get("/me")
def me(request: Request, here: Here, _: Viewer, caller: Person, done: str = "") -> HTMLResponse:
    """All of it."""
    return _me(request, here, caller, done=_DONE.get(done, ""))


@router.post("/me/password")
def change_password(
    request: Request,
    here: Here,
    _: Viewer,
    caller: Person,
    old: Annotated[str, Form()],
    new: Annotated[str, Form()],
    again: Annotated[str, Form()],
) -> Response:
    """Another password; who knows the old one elsewhere is logged out."""
    problem = _wrong(here, caller, old, new, again)
    if problem:
        return _me(request, here, caller, problem=problem)
    try:
        hashed = passwords.hashed(new)
        with here.database.transaction() as tx:
            accounts.set_password(tx, caller.name, hashed)
            note(tx, here, caller, "user.password", detail=caller.name)
            key = log_in_here(tx, request, here, accounts.demand(tx, caller.name))
    except AccountError as error:
        return _me(request, here, caller, problem=str(error))
    return set_cookie(request, RedirectResponse("/me?done=password", 303), key)


def _wrong(here: Site, caller: Caller, old: str, new: str, again: str) -> str:
    """Why the password cannot be changed; empty where it can."""
    if new != again:
        return "The new password was not typed twice alike."
    if here.tries.begin(caller.name, caller.address) > 0:
        return "Too many wrong passwords: wait some minutes before you try again."
    with here.database.reading() as tx:
        user = accounts.demand(tx, caller.name)
    if not passwords.is_right(user.password, old):
        return "That is not your password."
    here.tries.right(caller.name, caller.address)
    return ""


@router.post("/me/sessions")
def end_sessions(
    request: Request, here: Here, _: Viewer, caller: Person, which: Annotated[str, Form()]
) -> Response:
    """End one session, or `others`: all but this one."""
    this = sessions.sha256(request.cookies.get(cookie_name(request), ""))
    with here.database.transaction() as tx:
        if which == "others":
            accounts.end_sessions(tx, caller.name, but=this)
        else:
            sessions.end(tx, caller.name, which)
        note(tx, here, caller, "user.logged-out", detail=caller.name)
    return RedirectResponse("/me?done=sessions", 303)


@router.post("/me/keys")
def make_key(
    request: Request,
    here: Here,
    _: Viewer,
    caller: Person,
    purpose: Annotated[str, Form(min_length=1, max_length=200)],
    role: Annotated[Role, Form()],
    until: Annotated[Day, Form()] = None,
) -> Response:
    """A key; it is in this answer and nowhere else."""
    ends_at = datetime.combine(until, time.max, UTC) if until else None
    try:
        with here.database.transaction() as tx:
            user = accounts.demand(tx, caller.name)
            key = keys.make(tx, user, purpose, role, ends_at, now=here.now())
            note(tx, here, caller, "key.made", detail=f"{role}: {purpose}")
    except AccountError as error:
        return _me(request, here, caller, problem=str(error))
    return _me(request, here, caller, key=key)


@router.post("/me/keys/{number}/revoke")
def revoke_key(here: Here, _: Viewer, caller: Person, number: Number) -> Response:
    """End a key."""
    with here.database.transaction() as tx:
        if keys.revoke(tx, caller.name, number):
            note(tx, here, caller, "key.revoked", detail=f"key {number}")
    return RedirectResponse("/me?done=key", 303)


def _me(
    request: Request,
    here: Site,
    caller: Caller,
    *,
    problem: str = "",
    done: str = "",
    key: str = "",
) -> HTMLResponse:
    with here.database.reading() as tx:
        user = accounts.demand(tx, caller.name)
        values = {"user": user, "open": sessions.of(tx, user.name), "keys": keys.of(tx, user.name)}
    said = {"problem": problem, "done": done, "key": key, "shortest": passwords.SHORTEST}
    this = sessions.sha256(request.cookies.get(cookie_name(request), ""))
    roles = [role for role in Role if user.role.covers(role)]
    answer = page(
        request, "me.html", caller, this=this, roles=roles, now=here.now(), **values, **said
    )
    answer.status_code = 409 if problem else 200
    return answer

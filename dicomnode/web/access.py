"""Who is asking, and may they? Every route names what it needs: `Viewer`, `Operator`, ...

Nothing is open by itself: `app.py` refuses to be built with a route that names nothing. A person is
known by the cookie of a session, a script by its key: `Authorization: Bearer KEY`.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from dicomnode.audit.events import Deed
from dicomnode.logbook import audit
from dicomnode.people import keys, sessions
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Connection
from dicomnode.web.asked import demand_known
from dicomnode.web.site import Here, Site
from dicomnode.worklist import dossier

__all__ = [
    "ACCESS",
    "COOKIE",
    "Administrator",
    "Anyone",
    "Caller",
    "Operator",
    "Viewer",
    "cookie_name",
    "note",
    "note_study",
    "session_limits",
    "stranger",
    "who",
]

COOKIE = "dicomnode"
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is asking."""

    name: str
    role: Role
    address: str
    csrf: str = ""  #: what a form must hold; empty for a script with a key
    key: int | None = None  #: number of the key of a script

    def may(self, role: str) -> bool:
        """For templates: `caller.may("operator")`."""
        return self.role.covers(Role(role))


def stranger(request: Request, name: str = "") -> Caller:
    """Who is not logged in, for the audit trail; `name` where it is one of ours."""
    return Caller(name=name, role=Role.VIEWER, address=_address(request))


def cookie_name(request: Request) -> str:
    """Under TLS a browser takes a cookie of this prefix from this very host only (RFC 6265bis)."""
    return f"__Host-{COOKIE}" if request.url.scheme == "https" else COOKIE


def session_limits(here: Site) -> dict[str, timedelta]:
    """How long a session lasts."""
    rules = here.settings().node.web
    return {
        "longest": timedelta(hours=rules.session_h),
        "idle": timedelta(minutes=rules.idle_min),
    }


def _needs(role: Role) -> Callable[..., Awaitable[Caller]]:
    async def check(request: Request, here: Here) -> Caller:
        _demand_same_site(request)
        caller = await run_in_threadpool(who, request, here)
        if caller is None:
            raise _log_in(request)
        if caller.csrf and request.method not in _SAFE:
            await _demand_token(request, caller)
        if not caller.role.covers(role):
            await run_in_threadpool(_note_refused, request, here, caller)
            raise HTTPException(403, f"this needs the role {role}; you are a {caller.role}")
        demand_known(request)
        return caller

    return check


def _demand_same_site(request: Request) -> None:
    """Browsers say whose page sends a request; scripts say nothing of it.

    Browsers tell Sec-Fetch-Site over TLS and on this machine; else Origin is held against Host.
    """
    if request.method in _SAFE:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not ours:
        raise HTTPException(403, "this was sent by a page of another site")


async def _demand_token(request: Request, caller: Caller) -> None:
    """A form or script of ours sends the session's token along; another site cannot know it."""
    given = request.headers.get("x-csrf-token", "")
    if not given and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        given = str((await request.form()).get("csrf", ""))
    if not secrets.compare_digest(given.encode(errors="replace"), caller.csrf.encode()):
        raise HTTPException(403, "the form is not of this session; load the page again")


def who(request: Request, here: Site) -> Caller | None:
    """Who sends a request; None where nobody is logged in."""
    sent = _key_of(request)
    if sent is not None:
        return _with_key(request, here, sent)
    key = request.cookies.get(cookie_name(request), "")
    if not key:
        return None
    with here.database.reading() as tx:
        found = sessions.whose(tx, key, **session_limits(here), now=here.now())
    if found is None:
        return None
    if found.stale and not _is_unasked(request):
        with here.database.transaction() as tx:
            sessions.touch(tx, key, now=here.now())
    user = found.user
    return Caller(name=user.name, role=user.role, address=_address(request), csrf=found.csrf)


def _key_of(request: Request) -> str | None:
    """The key that a script sends; None where it sends none."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _is_unasked(request: Request) -> bool:
    """A page that is left open asks for news by itself: that is no sign of a person."""
    return "text/event-stream" in request.headers.get("accept", "")


def _with_key(request: Request, here: Site, key: str) -> Caller | None:
    with here.database.reading() as tx:
        use = keys.whose(tx, key, now=here.now())
    if use is None:
        return None
    if use.stale:
        with here.database.transaction() as tx:
            keys.touch(tx, use.id, now=here.now())
    return Caller(name=use.user.name, role=use.role, address=_address(request), key=use.id)


def _address(request: Request) -> str:
    return request.client.host[:64] if request.client else ""


def _log_in(request: Request) -> HTTPException:
    """A person is shown where to log in, a script is told."""
    if "text/html" in request.headers.get("accept", "") and request.method == "GET":
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return HTTPException(303, headers={"location": f"/login?to={quote(there, safe='')}"})
    words = "log in, or send a key: Authorization: Bearer KEY"
    if _key_of(request):
        words = "this key is not known: it was revoked, has expired, or is not whole; make another"
    return HTTPException(401, words, {"www-authenticate": "Bearer"})


def _note_refused(request: Request, here: Site, caller: Caller) -> None:
    """Somebody tries more than they may. The route is noted, not the path: that may hold a UID."""
    route = getattr(request.scope.get("route"), "path", "")
    with here.database.transaction() as tx:
        note(tx, here, caller, "refused", done=False, detail=f"{request.method} {route}")


def note(
    tx: Connection,
    here: Site,
    caller: Caller,
    action: str,
    *,
    done: bool = True,
    study_uid: str = "",
    patient_id: str = "",
    detail: str = "",
) -> None:
    """Write into the audit trail what a caller did, in the transaction that does it."""
    if caller.key is not None:
        detail = f"{detail}; by key {caller.key}".removeprefix("; ")
    deed = Deed(
        at=here.now(),
        user=caller.name,
        address=caller.address,
        action=action,
        done=done,
        study_uid=study_uid,
        patient_id=patient_id,
        detail=detail,
    )
    audit.note(tx, deed)


def note_study(
    tx: Connection, here: Site, caller: Caller, action: str, study_uid: str, detail: str = ""
) -> None:
    """The same of what was done with a study, with its patient."""
    whose = dossier.patient_id(tx, study_uid)
    note(tx, here, caller, action, study_uid=study_uid, patient_id=whose, detail=detail)


def _anyone(request: Request) -> None:
    """For pages that need no login, such as the login."""
    _demand_same_site(request)


_viewer, _operator, _administrator = (_needs(role) for role in Role)
#: What routes may name.
ACCESS = (_viewer, _operator, _administrator, _anyone)

Viewer = Annotated[Caller, Depends(_viewer)]
Operator = Annotated[Caller, Depends(_operator)]
Administrator = Annotated[Caller, Depends(_administrator)]
Anyone = Annotated[None, Depends(_anyone)]

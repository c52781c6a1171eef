"""Log in by the hospital's own service."""

import hmac
import secrets
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dicomnode.errors import AccountError, NotFound
from dicomnode.people import accounts, keys
from dicomnode.people.accounts import Role, User
from dicomnode.storage.database import Connection
from dicomnode.web.access import Anyone, cookie_name, note, stranger
from dicomnode.web.login.openid import ANSWER, Flow, Identity, Provider, provider
from dicomnode.web.pages.login import inside, log_in_here, login_page, set_cookie
from dicomnode.web.site import Here, Site

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_LASTS_S = 600  #: how long somebody may take to log in there


@router.get("/login/openid")
def begin(request: Request, here: Here, _: Anyone, to: str = "/") -> Response:
    """Send the browser to the provider."""
    flow = Flow(secrets.token_urlsafe(32))
    try:
        there = _provider(here).address(flow)
    except AccountError as error:
        return login_page(request, here, to=to, problem=_said(error), status=503)
    response = RedirectResponse(there, 303)
    response.set_cookie(
        _cookie(request),
        f"{flow.secret}.{quote(inside(to), safe='')[:2000]}",
        max_age=_LASTS_S,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.get(ANSWER)
def answer(
    request: Request,
    here: Here,
    _: Anyone,
    code: str = "",
    state: str = "",
    error: str = "",
) -> Response:
    """Open a session for whom the provider knows, as what the groups say."""
    secret, _dot, to = request.cookies.get(_cookie(request), "").partition(".")
    flow, to = Flow(secret), inside(unquote(to) or "/")
    address = stranger(request).address
    problem, key = "", ""
    if not secret or not hmac.compare_digest(flow.state.encode(), state.encode(errors="replace")):
        problem = "This login was not begun in this browser, or took too long. Begin again."
    elif error or not code:
        problem = "The OpenID provider did not let you in."
    elif here.tries.begin(f"openid {address}", address) > 0:
        problem = "Too many logins failed: wait some minutes before you try again."
    else:
        try:
            identity = _provider(here).identify(flow, code, here.now())
            problem, key = _let_in(request, here, identity)
        except AccountError as told:
            problem = _said(told)
    if key:
        here.tries.right(f"openid {address}", address)
        response = set_cookie(request, RedirectResponse(to, 303), key)
    else:
        response = login_page(request, here, to=to, problem=problem, status=403)
    response.delete_cookie(_cookie(request), secure=request.url.scheme == "https", httponly=True)
    return response


def _let_in(request: Request, here: Site, identity: Identity) -> tuple[str, str]:
    """Why not, or the key of a session."""
    with here.database.transaction() as tx:
        user = accounts.logs_in_as(tx, identity.subject)
        caller = stranger(request, user.name if user else "")
        if identity.role is None:
            if user is not None:
                accounts.end_sessions(tx, user.name)
                keys.revoke_all(tx, user.name)
            note(tx, here, caller, "login", done=False, detail="OpenID: in no group of ours")
            return "You are in no group that may use this page; ask its administrator.", ""
        if user is not None and user.disabled:
            note(tx, here, caller, "login", done=False, detail="OpenID: disabled")
            return "You may not log in here any more; ask the administrator.", ""
        user = _as_groups_say(tx, request, here, identity, identity.role, user)
        return "", log_in_here(tx, request, here, user)


def _as_groups_say(
    tx: Connection,
    request: Request,
    here: Site,
    identity: Identity,
    role: Role,
    user: User | None,
) -> User:
    """The user, made or changed as the groups say."""
    if user is None:
        name = _free(tx, identity)
        accounts.add(tx, name, role, None, subject=identity.subject, now=here.now())
        detail = f"{name}: {role}, by groups"
        note(tx, here, stranger(request, name), "user.added", detail=detail)
    else:
        name = user.name
    if user is not None and user.role != role:
        accounts.set_role(tx, name, role, by_groups=True)
        detail = f"{name}: {user.role} to {role}, by groups"
        note(tx, here, stranger(request, name), "user.role", detail=detail)
    return accounts.demand(tx, name)


def _free(tx: Connection, identity: Identity) -> str:
    """Nobody is given the account of another because their names are alike."""
    for name in identity.names:
        try:
            accounts.demand_free(tx, name)
        except AccountError:
            continue
        return name
    raise AccountError(f"somebody else is called {identity.names[-1]} here already")


def _provider(here: Site) -> Provider:
    settings = here.settings().node.web.openid
    if not settings.issuer:
        raise NotFound("there is no OpenID provider; see [web.openid] in node.toml")
    return provider(settings)


def _cookie(request: Request) -> str:
    return f"{cookie_name(request)}-openid"


def _said(error: AccountError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."

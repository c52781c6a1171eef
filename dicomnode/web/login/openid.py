"""Ask the hospital's own service who somebody is: OpenID Connect, code flow with PKCE.

What comes back is believed only where it is signed by the provider, for this page, for this very
login (OpenID Connect Core 3.1.3.7). Authlib checks the claims, joserfc the signature.
"""

import hashlib
import re
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ValidationError

from dicomnode.config.openid import OpenIDSettings, is_safe
from dicomnode.errors import AccountError
from dicomnode.people.accounts import Role

__all__ = ["ANSWER", "Flow", "Identity", "Provider", "provider"]

ANSWER = "/login/openid/answer"  #: where the provider sends people back to
_SIGNED = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
_KEPT_S = 3600  #: how long what the provider says of itself is believed
_PATIENCE_S = 10
_SKEW_S = 60  #: how far two clocks may be apart


class _Metadata(BaseModel):
    """What the provider says of itself (OpenID Connect Discovery, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(BaseModel):
    id_token: str
    access_token: str = ""


@dataclass(frozen=True, slots=True)
class Flow:
    """One login: all that ties its end to its beginning follows from a secret of the browser."""

    secret: str

    @property
    def state(self) -> str:
        """What the provider sends back with the browser."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the provider signs."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What only we can show when we fetch the answer (RFC 7636)."""
        return self._derived("verifier")

    def _derived(self, what: str) -> str:
        digest = hashlib.sha256(f"{what} {self.secret}".encode(errors="replace")).digest()
        return urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is."""

    subject: str  #: issuer and subject: never given to anybody else
    names: tuple[str, ...]  #: what to be called by here, the first that is free
    role: Role | None  #: none: in no group that may do anything


@lru_cache(maxsize=4)
def provider(settings: OpenIDSettings) -> "Provider":
    """The provider of these settings; what it says of itself is kept for a while."""
    return Provider(settings)


class Provider:
    """An OpenID provider. Its methods raise AccountError where it does not answer as it should."""

    def __init__(self, settings: OpenIDSettings) -> None:
        self._settings = settings
        self._known: tuple[float, _Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def address(self, flow: Flow) -> str:
        """Where the browser is sent to log in."""
        metadata, settings = self._metadata(), self._settings
        asked = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": settings.page + ANSWER,
            "scope": " ".join(dict.fromkeys(("openid", *settings.scopes))),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": create_s256_code_challenge(flow.verifier),
            "code_challenge_method": "S256",
        }
        joined = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joined}{urlencode(asked)}"

    def identify(self, flow: Flow, code: str, now: datetime) -> Identity:
        """Who came back with this code."""
        tokens = self._exchange(flow, code)
        claims = self._checked(tokens, flow.nonce, now)
        groups = _claim(claims, self._settings.groups_claim)
        if groups is None:
            more = self._more(tokens, claims["sub"])
            groups, claims = _claim(more, self._settings.groups_claim), {**more, **claims}
        called = str(_claim(claims, self._settings.name_claim) or claims["sub"])
        return Identity(
            subject=f"{claims['iss']} {claims['sub']}",
            names=tuple(dict.fromkeys(_name(each) for each in (called.partition("@")[0], called))),
            role=self._role(groups),
        )

    def _role(self, groups: object) -> Role | None:
        """The most that one of somebody's groups may do."""
        mine = {groups} if isinstance(groups, str) else set()
        if isinstance(groups, list):
            mine = {each for each in groups if isinstance(each, str)}
        for role, named in (
            (Role.ADMINISTRATOR, self._settings.administrators),
            (Role.OPERATOR, self._settings.operators),
            (Role.VIEWER, self._settings.viewers),
        ):
            if not mine.isdisjoint(named):
                return role
        return None

    def _metadata(self) -> _Metadata:
        now = time.monotonic()
        if self._known is None or now - self._known[0] > _KEPT_S:
            there = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            try:
                metadata = _Metadata.model_validate(self._ask("GET", there))
            except ValidationError as error:
                missing = ", ".join(str(each["loc"][0]) for each in error.errors())
                raise AccountError(f"the OpenID provider does not say its {missing}") from error
            if metadata.issuer != self._settings.issuer:
                raise AccountError(
                    f"the OpenID provider calls itself {metadata.issuer}: put that into "
                    "web.openid.issuer of node.toml"
                )
            self._known = (now, metadata)
        return self._known[1]

    def _key_set(self, *, fresh: bool = False) -> KeySet:
        now = time.monotonic()
        if fresh or self._keys is None or now - self._keys[0] > _KEPT_S:
            found = self._ask("GET", self._metadata().jwks_uri)
            try:
                self._keys = (now, KeySet.import_key_set({"keys": found.get("keys", [])}))
            except (JoseError, ValueError, TypeError, KeyError) as error:
                raise AccountError("the OpenID provider's keys cannot be read") from error
        return self._keys[1]

    def _exchange(self, flow: Flow, code: str) -> _Tokens:
        metadata, settings = self._metadata(), self._settings
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": settings.page + ANSWER,
            "code_verifier": flow.verifier,
        }
        secret = _secret(settings)
        if secret and "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            user, word = quote(settings.client_id, safe=""), quote(secret, safe="")
            answer = self._ask("POST", metadata.token_endpoint, data=sent, auth=(user, word))
        else:
            sent |= {"client_id": settings.client_id} | (
                {"client_secret": secret} if secret else {}
            )
            answer = self._ask("POST", metadata.token_endpoint, data=sent)
        try:
            return _Tokens.model_validate(answer)
        except ValidationError as error:
            raise AccountError("the OpenID provider's answer holds no ID token") from error

    def _checked(self, tokens: _Tokens, nonce: str, now: datetime) -> dict[str, Any]:
        try:
            try:
                token = jwt.decode(tokens.id_token, self._key_set(), algorithms=_SIGNED)
            except InvalidKeyIdError:
                token = jwt.decode(tokens.id_token, self._key_set(fresh=True), algorithms=_SIGNED)
            ours = self._settings.client_id
            options = {
                "iss": {"essential": True, "value": self._settings.issuer},
                "aud": {"essential": True, "value": ours},
                "nonce": {"essential": True, "value": nonce},
            }
            params = {"nonce": nonce, "client_id": ours, "access_token": tokens.access_token}
            claims = CodeIDToken(token.claims, token.header, options, params)
            claims.validate(now=int(now.timestamp()), leeway=_SKEW_S)
        except (JoseError, ValueError) as error:
            words = f"the OpenID provider's token is not believed: {type(error).__name__}"
            raise AccountError(words) from error
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise AccountError("the OpenID provider does not say who this is")
        return dict(claims)

    def _more(self, tokens: _Tokens, sub: str) -> dict[str, Any]:
        """Claims that are not in the token (OpenID Connect Core 5.3)."""
        there = self._metadata().userinfo_endpoint
        if not there or not tokens.access_token:
            return {}
        found = self._ask("GET", there, headers={"authorization": f"Bearer {tokens.access_token}"})
        if found.get("sub") != sub:
            raise AccountError("the OpenID provider speaks of somebody else")
        return found

    def _ask(self, method: str, url: str, **sent: Any) -> dict[str, Any]:
        """One question; what it answers is an object of JSON."""
        if not is_safe(url):
            raise AccountError("the OpenID provider names an address without TLS")
        try:
            with httpx.Client(timeout=_PATIENCE_S, verify=_trusted(self._settings)) as client:
                answer = client.request(method, url, **sent)
            if answer.status_code != 200:
                raise AccountError(f"the OpenID provider refuses, with HTTP {answer.status_code}")
            found = answer.json()
        except (httpx.HTTPError, OSError) as error:
            words = f"the OpenID provider does not answer ({type(error).__name__}); try again later"
            raise AccountError(words) from error
        except ValueError as error:
            raise AccountError("the OpenID provider's answer is no JSON") from error
        if not isinstance(found, dict):
            raise AccountError("the OpenID provider's answer is no object")
        return found


def _trusted(settings: OpenIDSettings) -> ssl.SSLContext | bool:
    if settings.ca_file is None:
        return True
    return ssl.create_default_context(cafile=settings.ca_file)


def _secret(settings: OpenIDSettings) -> str:
    if settings.client_secret_file is None:
        return ""
    try:
        return settings.client_secret_file.read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"web.openid.client_secret_file cannot be read: {settings.client_secret_file}"
        raise AccountError(problem) from error


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """A claim by name, or by the way to it, such as realm_access.roles."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _name(text: str) -> str:
    """A name as they are here."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:64] or "somebody"

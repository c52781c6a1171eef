"""A small OpenID provider: an ASGI application with keys of its own, on a port of this machine."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import uvicorn
from fastapi import FastAPI, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.pacs import free_port

__all__ = ["CLIENT", "SECRET", "Provider", "path_of", "running"]

CLIENT, SECRET = "dicomnode", "the page's secret: 100 %"


class Provider:
    """What it says can be changed, to see what is believed."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})
        self.signs = self.key
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "1"}
        self.claims: dict[str, Any] = {}  #: of the next tokens, beside those that it makes
        self.info: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.refuses = ""
        self.down = False
        self.codes: dict[str, dict[str, list[str]]] = {}

    def token(self, asked: dict[str, list[str]]) -> str:
        """An ID token for one login."""
        now = int(time.time())
        made = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "sub": "4711"}
        made |= {"nonce": asked["nonce"][0], "preferred_username": "ada"} | self.claims
        left = {name: value for name, value in made.items() if value is not None}
        if self.header["alg"] in ("none", "HS256"):
            return self._forged(left)
        return jwt.encode(self.header, left, self.signs, algorithms=[self.header["alg"]])

    def _forged(self, claims: dict[str, Any]) -> str:
        """What anybody can make: not signed, or with the public key taken for a secret."""
        parts = [_base64(json.dumps(each).encode()) for each in (self.header, claims)]
        public = self.key.as_pem(private=False)
        signed = hmac.digest(public, ".".join(parts).encode(), "sha256")
        return ".".join([*parts, _base64(signed) if self.header["alg"] == "HS256" else ""])

    def app(self) -> FastAPI:
        """The application."""
        app = FastAPI()

        @app.middleware("http")
        async def away(request: Request, call_next: Any) -> Response:
            return Response(status_code=500) if self.down else await call_next(request)

        @app.get("/.well-known/openid-configuration")
        def metadata() -> dict[str, Any]:
            ends = ("authorization", "token", "userinfo")
            found = {f"{end}_endpoint": f"{self.issuer}/{end}" for end in ends}
            return (
                found | {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"} | self.metadata
            )

        @app.get("/jwks")
        def jwks() -> dict[str, Any]:
            return {"keys": [self.key.as_dict(private=False), {"kty": "new-in-2030"}]}

        @app.get("/authorization")
        def authorize(request: Request) -> Response:
            asked = parse_qs(request.url.query)
            assert asked["response_type"] == ["code"]
            assert asked["code_challenge_method"] == ["S256"]
            assert "openid" in asked["scope"][0].split()
            code = f"code-{len(self.codes)}"
            self.codes[code] = asked
            said = {"error": self.refuses} if self.refuses else {"code": code}
            query = urlencode(said | {"state": asked["state"][0]})
            return RedirectResponse(f"{asked['redirect_uri'][0]}?{query}", 302)

        @app.post("/token")
        def token(
            request: Request,
            code: str = Form(),
            code_verifier: str = Form(),
            redirect_uri: str = Form(),
            client_id: str = Form(""),
            client_secret: str = Form(""),
        ) -> Response:
            asked = self.codes.pop(code, None)
            known = self._is_client(request, client_id, client_secret)
            digest = hashlib.sha256(code_verifier.encode()).digest()
            if not (asked and known and asked["code_challenge"] == [_base64(digest)]):
                return JSONResponse({"error": "invalid_grant"}, 400)
            assert asked["redirect_uri"] == [redirect_uri]
            return JSONResponse({"id_token": self.token(asked), "access_token": "of-ada"})

        @app.get("/userinfo")
        def userinfo(request: Request) -> dict[str, Any]:
            assert request.headers["authorization"] == "Bearer of-ada"
            return {"sub": "4711"} | self.info

        return app

    def _is_client(self, request: Request, client_id: str, client_secret: str) -> bool:
        """Only in the way that the metadata tell."""
        ways = self.metadata.get("token_endpoint_auth_methods_supported", ())
        if "none" in ways:
            return (client_id, client_secret) == (CLIENT, "")
        if ways:
            return (client_id, client_secret) == (CLIENT, SECRET)
        sent = request.headers.get("authorization", "").removeprefix("Basic ")
        user, _, word = base64.b64decode(sent).decode().partition(":")
        return {user: [word]} == {CLIENT: [urlencode({"": SECRET}).lstrip("=").replace("+", "%20")]}


def _base64(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@contextmanager
def running() -> Iterator[Provider]:
    """A provider that answers."""
    port = free_port()
    made = Provider(f"http://127.0.0.1:{port}")
    config = uvicorn.Config(made.app(), host="127.0.0.1", port=port, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield made
    finally:
        server.should_exit = True
        thread.join()


def path_of(url: str) -> str:
    """Path and query."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"

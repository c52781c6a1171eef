"""`[web.openid]` of `node.toml`: who logs in by the hospital's own service, and as what."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo

from dicomnode.config.fields import AbsolutePath, Section

__all__ = ["OpenIDSettings", "is_safe"]


def _issuer(text: str) -> str:
    if text and not is_safe(text):
        raise ValueError("must begin with https://, or be an address of this machine")
    return text


def _needed(text: str, info: ValidationInfo) -> str:
    if not text and info.data.get("issuer"):
        raise ValueError("is missing: the provider is asked with it")
    return text


def _page(text: str, info: ValidationInfo) -> str:
    if _needed(text, info) and not is_safe(text):
        raise ValueError("must begin with https://, or be an address of this machine")
    return text.rstrip("/")


def is_safe(url: str) -> bool:
    """Keys that travel without TLS are everybody's on the way."""
    parts = urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and loopback)
    )


def _some_group(groups: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    named = (*groups, *info.data.get("operators", ()), *info.data.get("viewers", ()))
    if info.data.get("issuer") and not named:
        raise ValueError("no group is named here, nor in operators or viewers: none may log in")
    return groups


NeededByOpenID = Annotated[str, AfterValidator(_needed)]
Issuer = Annotated[str, AfterValidator(_issuer)]
PageOfOpenID = Annotated[str, AfterValidator(_page)]


class OpenIDSettings(Section):
    """Log in by the hospital's own service (OpenID Connect). Groups say who may do what."""

    issuer: Issuer = Field(
        "",
        description="The provider's address, as its tokens say it. Empty: people log in here only.",
        examples=["https://login.example.org/realms/hospital"],
    )
    client_id: NeededByOpenID = Field(
        "",
        description="The name of this page at the provider.",
        examples=["dicomnode"],
        validate_default=True,
    )
    client_secret_file: AbsolutePath | None = Field(
        None,
        description="File whose first line is the secret that the provider gave this page.",
        examples=["/etc/dicomnode/openid-secret"],
    )
    page: PageOfOpenID = Field(
        "",
        description=(
            "This page's own address, as browsers have it. The provider must let logins go back "
            "to it with /login/openid/answer at its end."
        ),
        examples=["https://dicomnode.example.org"],
        validate_default=True,
    )
    ca_file: AbsolutePath | None = Field(
        None,
        description=(
            "PEM file of the authority that signed the provider's certificate; empty: those that "
            "this machine trusts."
        ),
        examples=["/etc/dicomnode/tls/hospital.pem"],
    )
    scopes: tuple[str, ...] = Field(
        ("openid", "profile"),
        description="What the provider is asked for; some tell groups only when asked for them.",
    )
    name_claim: str = Field(
        "preferred_username", description="The claim that people are called by here."
    )
    groups_claim: str = Field("groups", description="The claim that lists somebody's groups.")
    viewers: tuple[str, ...] = Field(
        (), description="Groups whose people may look.", examples=[("radiology",)]
    )
    operators: tuple[str, ...] = Field(
        (), description="Groups whose people may also act on studies.", examples=[("pacs",)]
    )
    administrators: Annotated[tuple[str, ...], AfterValidator(_some_group)] = Field(
        (),
        description=(
            "Groups whose people may also change the configuration, and who may do what. Who is "
            "in none of all these groups is not let in."
        ),
        examples=[("pacs-admins",)],
        validate_default=True,
    )

    @property
    def host(self) -> str:
        """The provider's machine, as people are told it."""
        return urlsplit(self.issuer).netloc

"""`[web]` of `node.toml`: the page."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from dicomnode.config.fields import AbsolutePath, Network, Section
from dicomnode.config.openid import OpenIDSettings

__all__ = ["WebSettings"]


class WebSettings(Section):
    """The administrator's page, its programming interface, and the node's measures."""

    on: bool = Field(True, description="Serve the page?")
    address: str = Field(
        "127.0.0.1",
        description=(
            "Address to listen on. 127.0.0.1 answers this machine only; give a certificate, or put "
            "a proxy with TLS before it, where it is another."
        ),
    )
    port: Annotated[int, Field(ge=0, lt=65536)] = Field(
        8080, description="TCP port of the page; 0 takes any that is free."
    )
    tls_certificate: AbsolutePath | None = Field(
        None,
        description="PEM file with the page's certificate and chain. With it, only TLS is spoken.",
        examples=["/etc/dicomnode/tls/certificate.pem"],
    )
    tls_key: AbsolutePath | None = Field(
        None,
        description="PEM file with its private key; empty where the certificate's file holds it.",
        examples=["/etc/dicomnode/tls/key.pem"],
    )
    proxies: tuple[Network, ...] = Field(
        (),
        description=(
            "Addresses or networks of proxies before the page. They are believed about who calls "
            "(X-Forwarded-For) and whether by TLS (X-Forwarded-Proto); nobody else is."
        ),
        examples=[("127.0.0.1",)],
    )
    session_h: PositiveFloat = Field(
        12.0, description="After so long a person has to log in again, in hours."
    )
    idle_min: PositiveFloat = Field(
        60.0, description="So does one who did nothing for so long, in minutes."
    )
    metrics_open: bool = Field(
        False,
        description=(
            "Show /metrics to everybody who reaches the page? Else to this machine, and to who is "
            "logged in or sends a key."
        ),
    )
    try_max_bytes: PositiveInt = Field(
        1073741824,
        description=(
            "Largest upload on which a pipeline is tried, in bytes; what a zip holds counts as it "
            "is without it."
        ),
    )
    openid: OpenIDSettings = OpenIDSettings()

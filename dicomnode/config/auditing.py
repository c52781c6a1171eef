"""`[audit]` of `node.toml`: where audit messages go (PS3.15 A.5 to A.7)."""

from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, ValidationInfo

from dicomnode.config.fields import AbsolutePath, Port, Section

__all__ = ["AuditSettings", "SyslogSettings"]


def _protected(transport: str, info: ValidationInfo) -> str:
    host = info.data.get("host", "")
    if transport == "tls" or not host or info.data.get("unprotected") or _is_loopback(host):
        return transport
    raise ValueError(
        f"{transport} lets everybody on the way read who was examined: use tls, or set "
        "unprotected = true"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Transport = Annotated[Literal["tls", "tcp", "udp"], AfterValidator(_protected)]


class SyslogSettings(Section):
    """A collector of audit messages, spoken to by syslog (RFC 5424), as IHE ATNA wants it."""

    host: str = Field(
        "",
        description="Name or address of the collector. Empty: nothing is sent.",
        examples=["audit.example.org"],
    )
    port: Port = Field(6514, description="Its port.")
    unprotected: bool = Field(
        False, description="Allow tcp and udp, which anybody can read, to other machines too?"
    )
    transport: Transport = Field(
        "tls",
        description=(
            "tls (RFC 5425); or tcp or udp, to this machine. Over udp nobody learns of a message "
            "that was lost."
        ),
    )
    ca: AbsolutePath | None = Field(
        None,
        description=(
            "PEM file of the authorities that may have signed the collector's certificate; without "
            "it those that this machine trusts."
        ),
        examples=["/etc/dicomnode/tls/audit-ca.pem"],
    )
    certificate: AbsolutePath | None = Field(
        None,
        description="PEM file with the certificate that we show, where the collector wants one.",
        examples=["/etc/dicomnode/tls/certificate.pem"],
    )
    key: AbsolutePath | None = Field(
        None,
        description="PEM file with its private key; empty where the certificate's file holds it.",
        examples=["/etc/dicomnode/tls/key.pem"],
    )


class AuditSettings(Section):
    """Who did what, as messages of DICOM's audit trail. They name patients and users."""

    file: bool = Field(
        True,
        description=(
            "Write them into audit/audit.log in the storage folder, one on each line? Only the "
            "node's own user may read it."
        ),
    )
    file_bytes: PositiveInt = Field(
        50_000_000, description="Begin another file when it is so large, in bytes."
    )
    files: PositiveInt = Field(20, description="How many full ones are kept, in all.")
    site: str = Field(
        "",
        max_length=64,
        description="This site within the enterprise, as messages shall name it.",
        examples=["North Hospital"],
    )
    syslog: SyslogSettings = SyslogSettings()

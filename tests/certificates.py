"""A certificate that signs itself, for TLS on loopback."""

import subprocess
from pathlib import Path

from tests.tools import require

__all__ = ["write_certificate"]


def write_certificate(folder: Path) -> Path:
    """Write `cert.pem`, `key.pem`, and both in one file, whose path is given back."""
    require("openssl")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return both

"""Passwords: only Argon2's text of one is ever kept."""

import secrets
import threading
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dicomnode.errors import AccountError

__all__ = ["SHORTEST", "hashed", "is_old", "is_right"]

SHORTEST = 12  #: characters; what they are is nobody's business (NIST SP 800-63B section 3.1.1.2)
_LONGEST = 1024

_hasher = PasswordHasher()
_few = threading.BoundedSemaphore(4)  #: each hashing takes 64 MiB


def hashed(password: str) -> str:
    """What is kept of a password.

    Raises:
        AccountError: it is too short, or far too long.
    """
    text = _normal(password)
    if len(text) < SHORTEST:
        raise AccountError(f"a password has at least {SHORTEST} characters, of any kind")
    if len(text) > _LONGEST:
        raise AccountError(f"a password has at most {_LONGEST} characters")
    with _few:
        return _hasher.hash(text)


def is_right(kept: str | None, password: str) -> bool:
    """Is this the password of which `kept` is kept? Takes as long where nothing is kept."""
    nobodys = _nobodys()
    text = _normal(password)[: _LONGEST + 1]
    with _few:
        try:
            return _hasher.verify(kept or nobodys, text) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def is_old(kept: str) -> bool:
    """Was it made with other parameters than passwords are today?"""
    return _hasher.check_needs_rehash(kept)


@cache
def _nobodys() -> str:
    return _hasher.hash(secrets.token_urlsafe())


def _normal(password: str) -> str:
    """Keyboards write one letter in several ways (RFC 8265 section 4.2)."""
    return unicodedata.normalize("NFKC", password)

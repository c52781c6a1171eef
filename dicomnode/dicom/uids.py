"""UIDs: what is one, and how our results get theirs."""

import hashlib
import re
import uuid

__all__ = ["IMPLEMENTATION_CLASS_UID", "IMPLEMENTATION_VERSION_NAME", "is_uid", "result_uid"]

#: Of this software, in file meta and association (PS3.7 D.3.3.2); UUID-derived, PS3.5 B.2.
IMPLEMENTATION_CLASS_UID = "2.25.227486171402157373302193498151826374229"
IMPLEMENTATION_VERSION_NAME = "DICOMNODE_0_1"

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Is this a UID: digits and dots, at most 64 (PS3.5 section 9.1)?

    Leading zeros in a component are let through: they are wrong, common and harmless.
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def result_uid(*sources: str) -> str:
    """A UID that follows from its sources: running a job twice cannot make a twin in the PACS.

    UUID-derived (PS3.5 B.2), from the SHA-256 of the sources in order.
    """
    digest = hashlib.sha256("\x00".join(sources).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"

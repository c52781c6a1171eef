"""UIDs in addresses: what is none is refused before anything is asked."""

from typing import Annotated

from fastapi import Path

__all__ = ["InPath"]

#: In a route: `study_uid: InPath`.
InPath = Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$", description="A UID.")]

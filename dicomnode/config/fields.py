"""The kinds of value a setting can have, each with what would be right in words."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["AETitle", "Name", "Port", "Section"]


class Section(BaseModel):
    """One table of a TOML file: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


def _ae_title(text: str) -> str:
    """1-16 characters of the default repertoire, no backslash, not only spaces (PS3.5 6.2, AE)."""
    title = text.strip(" ")
    if not 1 <= len(title) <= 16:
        raise ValueError("an AE title has 1 to 16 characters")
    if any(not 0x20 <= ord(c) <= 0x7E or c == "\\" for c in title):
        raise ValueError(
            "an AE title has only ASCII letters, digits, signs and spaces, no backslash"
        )
    return title


AETitle = Annotated[str, AfterValidator(_ae_title)]
Port = Annotated[int, Field(gt=0, lt=65536)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]

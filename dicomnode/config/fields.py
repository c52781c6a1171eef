"""The kinds of value a setting can have; each says in words what would be right."""

import ipaddress
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydicom import uid as uids
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.uid import UID

__all__ = [
    "AETitle",
    "AbsolutePath",
    "DatabaseURL",
    "Host",
    "Keyword",
    "Name",
    "Network",
    "NotEmpty",
    "Port",
    "SOPClass",
    "Section",
    "did_you_mean",
    "section_at",
]


class Section(BaseModel):
    """One table of a TOML file: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


def section_at(model: type[Section], way: tuple[str, ...]) -> type[Section] | None:
    """The model of the table at `way` below that of `model`; None where it has none."""
    for part in way:
        field = model.model_fields.get(part)
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]
        if not inner:
            return None
        model = inner[0]
    return model


def did_you_mean(word: str, known: list[str]) -> str:
    """ "; did you mean X?" for the nearest known word, else nothing."""
    lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[near[0]]}?" if near else ""


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


def _host(text: str) -> str:
    host = text.strip(" ")
    if not re.fullmatch(r"[\w.:%-]*", host):
        raise ValueError(
            "must be a host name or an address, such as pacs.hospital.example or 10.0.0.7"
        )
    return host


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text):
        raise ValueError(
            "a name has 1 to 64 letters, digits, hyphens and underscores; the first is a letter "
            "or a digit"
        )
    return text


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path, such as /var/lib/dicomnode")
    return path


def _database_url(text: str) -> str:
    if not text:
        return text
    if not text.startswith(("postgresql://", "postgresql+psycopg://", "sqlite:////")):
        raise ValueError(
            "must begin with postgresql://, or with sqlite:/// and an absolute path, or be empty"
        )
    url = urlsplit(text)
    if url.password is not None or "password=" in url.query:
        raise ValueError("holds a password: put that into a file and name it in password_file")
    return text


def _sop_class(text: str) -> str:
    """The UID, from a UID or a keyword such as CTImageStorage."""
    uid = UID(text, validation_mode=IGNORE)
    if uid.is_valid and uid.type in ("", "SOP Class"):
        return text
    known = {
        name: value
        for name, value in vars(uids).items()
        if isinstance(value, UID) and value.type == "SOP Class"
    }
    if text in known:
        return str(known[text])
    raise ValueError(f"is neither a SOP Class UID nor its keyword{did_you_mean(text, list(known))}")


def _keyword(text: str) -> str:
    """The keyword of an attribute whose values are text or numbers."""
    if text not in keyword_dict:
        raise ValueError(
            f"{text} is no keyword of the DICOM dictionary{did_you_mean(text, list(keyword_dict))}"
        )
    if dictionary_VR(keyword_dict[text]).startswith(("SQ", "O", "UN")):
        raise ValueError(f"{text} holds no text or number that could be compared")
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError("must be an address, or a network such as 10.0.0.0/8") from error
    return text


def _not_empty(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if not items:
        raise ValueError("must not be empty")
    return items


AETitle = Annotated[str, AfterValidator(_ae_title)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Host = Annotated[str, AfterValidator(_host)]
DatabaseURL = Annotated[str, AfterValidator(_database_url)]
Keyword = Annotated[str, AfterValidator(_keyword)]
SOPClass = Annotated[str, AfterValidator(_sop_class)]
NotEmpty = AfterValidator(_not_empty)
Port = Annotated[int, Field(gt=0, lt=65536)]
Name = Annotated[str, AfterValidator(_name)]
Network = Annotated[str, AfterValidator(_network)]

"""Careful reading of a source's header: text in its character set, odd values as if absent."""

import re
import warnings
from collections.abc import Sequence
from datetime import datetime

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import PN_DELIMS

from dicomnode.dicom.uids import is_uid

__all__ = ["value"]

_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?")
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{0,16}(\\[A-Z0-9_ ]{0,16})*")
_AGE = re.compile(r"\d{3}[DWMY]")


def value(header: Dataset, keyword: str) -> str:
    """An attribute as text; empty where it is absent, or not a value of its VR."""
    tag = tag_for_keyword(keyword) or 0
    if tag not in header:
        return ""
    raw = header.get_item(tag).value
    charset = _declared(header)
    if isinstance(raw, bytes):
        text = _decoded(raw, charset)
    else:
        parts = [raw] if isinstance(raw, str) or not isinstance(raw, Sequence) else raw
        text = "\\".join("" if part is None else str(part) for part in parts)
        text = text if charset else _read_again(text)
    text = "".join(c for c in text if c >= " " and not "\x7f" <= c <= "\x9f").rstrip()
    return _cleaned(text, dictionary_VR(keyword))


def _read_again(text: str) -> str:
    """Undeclared text that pydicom has already read as Latin-1, which loses nothing."""
    try:
        return _decoded(text.encode("latin-1"), [])
    except UnicodeEncodeError:
        return text


def _declared(header: Dataset) -> list[str]:
    """The values of Specific Character Set (0008,0005), empty where there is none."""
    declared = header.get("SpecificCharacterSet") or ""
    names = [declared] if isinstance(declared, str) else [str(name or "") for name in declared]
    names = [name.strip(" \0") for name in names]
    return names if any(names) else []


def _decoded(raw: bytes, charset: list[str]) -> str:
    """Text from its declared character set; undeclared, unknown or wrong: UTF-8, else Latin-1."""
    if charset:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return decode_bytes(raw, convert_encodings(charset), PN_DELIMS)
        except (UserWarning, UnicodeError, LookupError, ValueError):
            pass
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _cleaned(text: str, vr: str) -> str:
    """A date, time, code string, age or UID only where it is one; other text as it is."""
    match vr:
        case "DA":
            digits = re.sub(r"(?<=\d)[.\-/](?=\d)", "", text.strip())
            return digits if _is_date(digits) else ""
        case "TM":
            digits = text.strip().replace(":", "")
            return digits if _TIME.fullmatch(digits) else ""
        case "CS":
            name = text.strip().upper()
            return name if _CODE_STRING.fullmatch(name) else ""
        case "AS":
            return text if _AGE.fullmatch(text) else ""
        case "UI":
            return text.strip() if is_uid(text.strip()) else ""
        case _:
            return text


def _is_date(digits: str) -> bool:
    try:
        return len(digits) == 8 and datetime.strptime(digits, "%Y%m%d").year > 0  # noqa: DTZ007
    except ValueError:
        return False

"""Careful reading of a source's header: text in its character set, odd values as if absent."""

import re
from datetime import datetime

from pydicom import Dataset
from pydicom.datadict import dictionary_VR

from dicomnode.dicom.charsets import text_of
from dicomnode.dicom.uids import is_uid

__all__ = ["value"]

_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?")
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{0,16}(\\[A-Z0-9_ ]{0,16})*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"[+-]?\d{1,10}")
_DS_CHARACTERS = 16
_AGE = re.compile(r"\d{3}[DWMY]")


def value(header: Dataset, keyword: str) -> str:
    """An attribute as text; empty where it is absent, or not a value of its VR."""
    text = text_of(header, keyword)
    text = "".join(c for c in text if c >= " " and not "\x7f" <= c <= "\x9f").rstrip()
    return _cleaned(text, dictionary_VR(keyword))


def _cleaned(text: str, vr: str) -> str:
    """A date, time, code string, number, age or UID only where it is one; other text as it is."""
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
        case "DS":
            return _each(text, _NUMBER)
        case "IS":
            return _each(text, _INTEGER)
        case "AS":
            return text if _AGE.fullmatch(text) else ""
        case "UI":
            return text.strip() if is_uid(text.strip()) else ""
        case _:
            return text


def _each(text: str, form: re.Pattern[str]) -> str:
    """Numbers, where all of them are; one with more digits than it may have is rounded."""
    parts = [part.strip() for part in text.split("\\")]
    if not all(form.fullmatch(part) for part in parts):
        return ""
    return "\\".join(p if len(p) <= _DS_CHARACTERS else f"{float(p):.9g}" for p in parts)


def _is_date(digits: str) -> bool:
    try:
        return len(digits) == 8 and datetime.strptime(digits, "%Y%m%d").year > 0  # noqa: DTZ007
    except ValueError:
        return False

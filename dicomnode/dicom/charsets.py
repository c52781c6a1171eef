"""Text in the character set that a dataset declares (PS3.3 C.12.1.1.2), or in the one it is in.

The dataset stays as it came. pydicom, once asked for a value, keeps its own reading of it, in which
bytes that are not of the declared set are lost for good.
"""

import warnings

from pydicom import Dataset, Sequence
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.valuerep import PN_DELIMS, VR

__all__ = ["text_of"]

_STRINGS = frozenset(
    {
        VR.AE, VR.AS, VR.CS, VR.DA, VR.DS, VR.DT, VR.IS, VR.LO, VR.LT, VR.PN, VR.SH, VR.ST, VR.TM,
        VR.UC, VR.UI, VR.UR, VR.UT,
    }
)  # fmt: skip
# pydicom strips every escape sequence but this one, of ISO 2022 IR 58.
_LEFT_OVER = "\x1b$)A"


def text_of(ds: Dataset, keyword: str) -> str:
    """A value as text, many joined by backslashes; empty where there is none. Never raises.

    Undeclared, unknown or wrong character sets: UTF-8 where it can be, else Latin-1.
    """
    tag = tag_for_keyword(keyword)
    element = None if tag is None else ds.get_item(tag)
    if element is None:
        return ""
    value = element.value
    if isinstance(value, bytes):
        if dictionary_VR(keyword) in _STRINGS:
            return _decoded(value, _declared(ds))
        value = _number(ds, keyword)
    if value is None or isinstance(value, bytes | Sequence):
        return ""
    parts = value if isinstance(value, MultiValue | list | tuple) else [value]
    text = "\\".join("" if part is None else str(part) for part in parts)
    return text if _declared(ds) else _read_again(text)


def _number(ds: Dataset, keyword: str) -> object:
    try:
        return ds[keyword].value
    except Exception:  # noqa: BLE001  # a broken value is an empty one
        return None


def _read_again(text: str) -> str:
    """Undeclared text that pydicom has already read as Latin-1, which loses nothing."""
    try:
        return _decoded(text.encode("latin-1"), [])
    except UnicodeEncodeError:
        return text


def _declared(ds: Dataset) -> list[str]:
    """The values of Specific Character Set (0008,0005), empty where there is none."""
    declared = ds.get("SpecificCharacterSet") or ""
    names = [declared] if isinstance(declared, str) else [str(name or "") for name in declared]
    names = [name.strip(" \0") for name in names]
    return names if any(names) else []


def _decoded(raw: bytes, charset: list[str]) -> str:
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    if charset:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                text = decode_bytes(raw, convert_encodings(charset), PN_DELIMS)
            return text.replace(_LEFT_OVER, "")
        except (UserWarning, UnicodeError, LookupError, ValueError):
            pass
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")

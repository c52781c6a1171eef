"""What a value may look like: the value representations of PS3.5 Table 6.2-1.

The identity of a patient and of a study is let through however long: it is copied, never cut.
Datasets become plain dictionaries on the way, which the other rules read many times faster.
"""

import re
from collections.abc import Collection
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from dicomnode.dicom.uids import is_uid

__all__ = ["Plain", "parts", "read", "text"]

Plain = dict[str, Any]  #: values by keyword; a sequence is a list of these

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_LINES = r"\x00-\x08\x0b\x0e-\x1f\x7f-\x9f"  # tab, line feed, form feed and return may stand
_DAY = r"(0[1-9]|[12]\d|3[01])"
_MONTH = r"(0[1-9]|1[0-2])"
_GROUP = rf"(?=[^=]{{0,64}}(?:=|$))[^\^=\\{_CONTROL}]*(?:\^[^\^=\\{_CONTROL}]*){{0,4}}"
_CLOCK = r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?"
_FORMS = {
    vr: re.compile(form)
    for vr, form in {
        "AE": r"(?! *$)[ -\[\]-~]{1,16}",
        "AS": r"\d{3}[DWMY]",
        "CS": r"[A-Z0-9_ ]{1,16}",
        "DA": rf"\d{{4}}{_MONTH}{_DAY}",
        "DS": r"(?=.{1,16}$) *[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)? *",
        "DT": rf"\d{{4}}({_MONTH}({_DAY}({_CLOCK})?)?)?([+-]\d{{4}})?",
        "IS": r"(?=.{1,12}$) *[+-]?\d+ *",
        "LO": rf"[^\\{_CONTROL}]{{1,64}}",
        "LT": rf"[^{_LINES}]{{1,10240}}",
        "PN": rf"{_GROUP}(?:={_GROUP}){{0,2}}",
        "SH": rf"[^\\{_CONTROL}]{{1,16}}",
        "ST": rf"[^{_LINES}]{{1,1024}}",
        "TM": _CLOCK,
        "UC": rf"[^\\{_CONTROL}]+",
        "UR": r"[!-\[\]-~]+",
        "UT": rf"[^{_LINES}]+",
    }.items()
}
_COPIED = {
    tag_for_keyword(keyword)
    for keyword in (
        "AccessionNumber", "IssuerOfPatientID", "OtherPatientNames", "PatientID", "PatientName",
        "ReferringPhysicianName", "StudyID",
    )
}  # fmt: skip


def read(ds: Dataset) -> tuple[Plain, list[str]]:
    """The object with all that is nested in it, and what of it is no value of its VR."""
    problems: list[str] = []
    return _read(ds, problems, _COPIED), problems


def parts(value: Any) -> list[Any]:
    """The one value or the many of an element."""
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]


def text(part: Any) -> str:
    """A part as it is written: a number keeps the digits that it was set with."""
    if part is None:
        return ""
    return str(part if isinstance(part, PersonName) else getattr(part, "original_string", part))


def _read(ds: Dataset, problems: list[str], free: Collection[int | None] = ()) -> Plain:
    plain: Plain = {}
    for element in ds:
        vr, value, keyword = str(element.VR), element.value, element.keyword or str(element.tag)
        if vr == "SQ":
            plain[keyword] = [_read(item, problems) for item in value]
            continue
        plain[keyword] = "" if value is None else value
        if element.tag not in free and not _is_value(vr, value):
            problems.append(f"{keyword} is no {vr} (PS3.5 Table 6.2-1)")
    return plain


def _is_value(vr: str, value: Any) -> bool:
    if vr == "UI":
        return all(is_uid(str(part)) for part in parts(value) if part)
    if form := _FORMS.get(vr):
        return all(form.fullmatch(word) for word in map(text, parts(value)) if word)
    return True

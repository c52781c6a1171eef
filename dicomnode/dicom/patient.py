"""Do the images of one study name one patient?

Two ways of writing one name are not two patients: upper and lower case, spaces, empty components,
full width and character sets do not count, and of a name's groups (PS3.5 section 6.2.1.2) those are
compared that both give. `disagreement` repeats no value: a reason may be logged. `differences`
does, for people who may see patients.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom import Dataset

from dicomnode.dicom.attributes import text

__all__ = ["Difference", "differences", "disagreement"]

_NAME_GROUPS = ("alphabetic", "ideographic", "phonetic")
_PLAIN = ("IssuerOfPatientID", "PatientBirthDate", "PatientSex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An attribute in which headers name different patients."""

    attribute: str  #: keyword; of a name with its group, such as "PatientName (alphabetic)"
    values: dict[str, list[int]]
    """As the first header writes each value, by number from 0 in which headers, most first."""


def disagreement(headers: Iterable[Dataset]) -> str:
    """In which attributes the headers name different patients, with counts; empty where in none.

    A PatientID that some give and others lack is a disagreement: it is what an archive files by.
    Elsewhere what is missing agrees with everything. One pass; linear in the number of headers.
    """
    found = [_told(each) for each in differences(headers)]
    return f"the images disagree about the patient: {'; '.join(found)}" if found else ""


def differences(headers: Iterable[Dataset]) -> list[Difference]:
    """The same, with the values: what stands in which headers. A missing PatientID is empty."""
    numbers: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    written: dict[tuple[str, str], str] = {}
    for number, header in enumerate(headers):
        for attribute, compared, value in _said(header):
            numbers[attribute][compared].append(number)
            written.setdefault((attribute, compared), value)
    return [
        Difference(
            attribute=attribute,
            values={written[attribute, compared]: found[compared] for compared in _by_count(found)},
        )
        for attribute, found in numbers.items()
        if len(found) > 1
    ]


def _said(header: Dataset) -> Iterator[tuple[str, str, str]]:
    """What a header gives: attribute, what is compared, and the value as it is written."""
    patient_id = text(header, "PatientID")
    yield "PatientID", patient_id, patient_id
    for keyword in _PLAIN:
        value = text(header, keyword)
        if compared := _folded(value):
            yield keyword, compared, value
    groups = text(header, "PatientName").split("=")
    for group, value in zip(_NAME_GROUPS, groups, strict=False):
        if parts := _components(value):
            yield f"PatientName ({group})", parts, value


def _components(name: str) -> str:
    """The components of one group of a name, without what may be left out at their end."""
    return "^".join(_folded(part) for part in name.split("^")).rstrip("^")


def _folded(value: str) -> str:
    """Case, width and composition of characters do not tell patients apart."""
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def _by_count(found: dict[str, list[int]]) -> list[str]:
    return sorted(found, key=lambda value: -len(found[value]))


def _told(difference: Difference) -> str:
    """Such as "PatientID, 2 values in 3 and 1 images"."""
    numbers = [str(len(images)) for images in difference.values.values()]
    counts = f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    return f"{difference.attribute}, {len(numbers)} values in {counts} images"

"""Do the images of one study name one patient?

Two ways of writing one name are not two patients: upper and lower case, spaces, empty components,
full width and character sets do not count, and of a name's groups (PS3.5 section 6.2.1.2) those are
compared that both give. Nothing here repeats a value: a reason may be logged and shown.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from pydicom import Dataset

from dicomnode.dicom.attributes import text

__all__ = ["disagreement"]

_NAME_GROUPS = ("alphabetic", "ideographic", "phonetic")
_PLAIN = ("IssuerOfPatientID", "PatientBirthDate", "PatientSex")


def disagreement(headers: Iterable[Dataset]) -> str:
    """In which attributes the headers name different patients, with counts; empty where in none.

    A PatientID that some give and others lack is a disagreement: it is what an archive files by.
    Elsewhere what is missing agrees with everything. One pass; linear in the number of headers.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for header in headers:
        counts["PatientID"][text(header, "PatientID")] += 1
        for name, value in _said(header):
            counts[name][value] += 1
    found = [_told(name, values) for name, values in counts.items() if len(values) > 1]
    return f"the images disagree about the patient: {'; '.join(found)}" if found else ""


def _said(header: Dataset) -> Iterator[tuple[str, str]]:
    """What a header gives beside the PatientID, made comparable."""
    for keyword in _PLAIN:
        if value := _folded(text(header, keyword)):
            yield keyword, value
    groups = text(header, "PatientName").split("=")
    for group, value in zip(_NAME_GROUPS, groups, strict=False):
        if parts := _components(value):
            yield f"PatientName ({group})", parts


def _components(name: str) -> str:
    """The components of one group of a name, without what may be left out at their end."""
    return "^".join(_folded(part) for part in name.split("^")).rstrip("^")


def _folded(value: str) -> str:
    """Case, width and composition of characters do not tell patients apart."""
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def _told(name: str, values: Mapping[str, int]) -> str:
    """Such as "PatientID, 2 values in 3 and 1 images"."""
    numbers = [str(count) for count in sorted(values.values(), reverse=True)]
    return f"{name}, {len(numbers)} values in {', '.join(numbers[:-1])} and {numbers[-1]} images"

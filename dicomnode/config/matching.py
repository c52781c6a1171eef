"""Does an image belong to a pipeline? Every list of `[match]` that is not empty must say yes."""

import re
from collections.abc import Sequence

from pydicom import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

from dicomnode.config.pipelines import MatchSettings, PipelineSettings

__all__ = ["matches", "misses"]

_RULES = {"SOPClassUID": "sop_class", "Modality": "modality", "BodyPartExamined": "body_part"}
#: What pydicom raises where the bytes are no value of their VR; IS 1e999 overflows.
_NO_VALUE = (
    ArithmeticError,
    BytesLengthException,
    ValueError,
    TypeError,
    LookupError,
    NotImplementedError,
)


def matches(pipeline: PipelineSettings, header: Dataset, calling_ae: str) -> bool:
    """Is this image, sent by this AE, one of the pipeline's? Never, where that is turned off.

    AE titles and UIDs are compared as they are; other values without regard to case, and `*`
    stands for any characters. Of a value with several parts, one is enough. An attribute that is
    missing, empty or unreadable does not match.
    """
    match = pipeline.match
    if not pipeline.enabled:
        return False
    if match.calling_ae and calling_ae.strip(" ") not in match.calling_ae:
        return False
    return all(
        _one_of(_values(header, keyword), patterns)
        for keyword, patterns in _wanted(match)
        if patterns
    )


def misses(match: MatchSettings, header: Dataset, calling_ae: str) -> dict[str, Sequence[str]]:
    """The rules that an image does not meet, each with what it has instead; none: it matches.

    Rules are named as in the file: calling_ae, modality, attributes.StationName.
    """
    found: dict[str, Sequence[str]] = {}
    if match.calling_ae and calling_ae.strip(" ") not in match.calling_ae:
        found["calling_ae"] = [calling_ae.strip(" ")]
    for keyword, patterns in _wanted(match):
        values = _values(header, keyword)
        if patterns and not _one_of(values, patterns):
            found[_RULES.get(keyword, f"attributes.{keyword}")] = values
    return found


def _wanted(match: MatchSettings) -> list[tuple[str, Sequence[str]]]:
    return [
        ("SOPClassUID", match.sop_class),
        ("Modality", match.modality),
        ("BodyPartExamined", match.body_part),
        *match.attributes.items(),
    ]


def _values(header: Dataset, keyword: str) -> Sequence[str]:
    try:
        value = header.get(keyword)
    except _NO_VALUE:
        return ()  # the bytes are no value of their VR
    parts = value if isinstance(value, MultiValue) else (value,)
    return [str(part).strip() for part in parts if part is not None and str(part).strip()]


def _one_of(values: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(_like(value, pattern) for value in values for pattern in patterns)


def _like(value: str, pattern: str) -> bool:
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(expression, value, re.IGNORECASE | re.DOTALL) is not None

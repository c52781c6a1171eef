"""A Structured Report as one readable web page, for people without a viewer at hand."""

from collections.abc import Iterable
from html import escape

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.uid import UID

from dicomnode.report.reading import value

__all__ = ["sr_html"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2329; background: #f4f5f7; margin: 0 }
main { max-width: 46rem; margin: 2rem auto; padding: 2rem; background: #fff; border-radius: 6px }
h1 { font-size: 1.5rem; margin: 0 0 .5rem }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d5d9de }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
dl { display: grid; grid-template-columns: 15rem 1fr; gap: .2rem 1rem; margin: 0 }
dt { color: #5b6570; grid-column: 1 } dd { margin: 0; grid-column: 2; overflow-wrap: anywhere }
.bar { display: inline-block; width: 9rem; height: .6rem; margin-right: .6rem; border-radius: 3px;
  background: #dfe3e8 }
.bar i { display: block; height: 100%; border-radius: 3px; background: #3b6ea5 }
small { color: #5b6570 }
.state { padding: .5rem .8rem; background: #fff4d6; border-left: 4px solid #d99000 }
"""

_HEAD = (
    ("Patient", "PatientName"),
    ("Patient ID", "PatientID"),
    ("Born", "PatientBirthDate"),
    ("Sex", "PatientSex"),
    ("Accession number", "AccessionNumber"),
    ("Study", "StudyDescription"),
    ("Study date", "StudyDate"),
    ("Series", "SeriesDescription"),
    ("Reported", "ContentDate"),
)

_TEXTUAL = {
    "TEXT": "TextValue",
    "PNAME": "PersonName",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
    "UIDREF": "UID",
}

# What is said comes before what was measured, and that before what was looked at.
_LATE = {"126010": 1, "111028": 2}
_LANGUAGE = "121049"  # language of the content


def sr_html(dataset: Dataset) -> str:
    """The whole page; every value is escaped, and nothing is fetched from elsewhere."""
    title = escape(_meaning(dataset, "ConceptNameCodeSequence") or "Structured Report")
    head = "".join(_row(name, escape(_plain(dataset, keyword))) for name, keyword in _HEAD)
    state = ", ".join(
        escape(value(dataset, keyword))
        for keyword in ("CompletionFlag", "PreliminaryFlag", "VerificationFlag")
        if value(dataset, keyword) not in ("", "COMPLETE")
    )
    children = list(dataset.get("ContentSequence") or [])
    about = [child for child in children if child.get("ValueType") != "CONTAINER"]
    parts = [child for child in children if child.get("ValueType") == "CONTAINER"]
    parts.sort(key=lambda part: _LATE.get(_code(part), 0))
    body = "".join(_section(part, 2) for part in parts)
    return (
        f'<!doctype html>\n<html lang="{_language(about)}"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
        f'<p class="state">{state}</p><dl>{head}</dl>{body}'
        f"<h2>About this report</h2>{_rows(about)}</main></body></html>\n"
    )


def _language(about: Iterable[Dataset]) -> str:
    """The language of its sentences (TID 1204)."""
    for item in about:
        if _code(item) == _LANGUAGE and item.get("ConceptCodeSequence"):
            return escape(value(item.ConceptCodeSequence[0], "CodeValue"))
    return "en"


def _plain(item: Dataset, keyword: str) -> str:
    """A date with dashes, a name with a comma; other values as they are."""
    text = value(item, keyword)
    match dictionary_VR(keyword):
        case "DA" if text:
            return f"{text[:4]}-{text[4:6]}-{text[6:]}"
        case "PN":
            family, _, rest = text.partition("^")
            return ", ".join(part for part in (family, rest.replace("^", " ").strip()) if part)
        case _:
            return text


def _section(part: Dataset, level: int) -> str:
    """A container: its heading, its values, then the containers in it."""
    children = list(part.get("ContentSequence") or [])
    inner = [child for child in children if child.get("ValueType") == "CONTAINER"]
    own = [child for child in children if child.get("ValueType") != "CONTAINER"]
    heading = escape(_meaning(part, "ConceptNameCodeSequence"))
    tag = f"h{min(level, 6)}"
    deeper = "".join(_section(child, level + 1) for child in inner)
    return f"<{tag}>{heading}</{tag}>{_rows(own)}{deeper}"


def _rows(items: Iterable[Dataset]) -> str:
    """Names beside values; a name that stands for several in a row is said once."""
    rows, last = "", ""
    for item in items:
        name = _meaning(item, "ConceptNameCodeSequence")
        row = _row("" if name == last else name, _said(item) + _aside(item))
        rows, last = rows + row, name if row else last
    return f"<dl>{rows}</dl>" if rows else ""


def _row(name: str, html: str) -> str:
    title = f"<dt>{escape(name)}</dt>" if name else ""
    return f"{title}<dd>{html}</dd>" if html else ""


def _aside(item: Dataset) -> str:
    """What hangs below a value, in a smaller line."""
    below = [
        f"{escape(_meaning(child, 'ConceptNameCodeSequence'))}: {_said(child)}"
        for child in item.get("ContentSequence") or []
    ]
    return f"<br><small>{'; '.join(below)}</small>" if below else ""


def _said(item: Dataset) -> str:
    """The value of one content item."""
    match item.get("ValueType"):
        case kind if kind in _TEXTUAL:
            return escape(_plain(item, _TEXTUAL[kind]))
        case "CODE":
            return escape(_meaning(item, "ConceptCodeSequence"))
        case "NUM":
            return _measured(item)
        case "SCOORD":
            points = len(item.get("GraphicData") or []) // 2
            return f"{escape(value(item, 'GraphicType').lower())}, {points} points"
        case "IMAGE" | "COMPOSITE":
            return "<br>".join(_reference(ref) for ref in item.get("ReferencedSOPSequence") or [])
        case _:
            return ""


def _measured(item: Dataset) -> str:
    said = []
    for measured in item.get("MeasuredValueSequence") or []:
        unit = _meaning(measured, "MeasurementUnitsCodeSequence")
        number = value(measured, "NumericValue")
        bar = _bar(number) if unit == "Percent" else ""
        said.append(f"{bar}{escape(number)} {'%' if bar else escape(unit)}")
    return ", ".join(said)


def _bar(number: str) -> str:
    try:
        share = min(max(float(number), 0.0), 100.0)
    except ValueError:
        return ""
    return f'<span class="bar"><i style="width: {share:g}%"></i></span>'


def _reference(ref: Dataset) -> str:
    kind = UID(value(ref, "ReferencedSOPClassUID")).name
    frames = value(ref, "ReferencedFrameNumber").replace("\\", ", ")
    where = f", frame {frames}" if frames else ""
    return escape(f"{kind}{where}: {value(ref, 'ReferencedSOPInstanceUID')}")


def _meaning(item: Dataset, sequence: str) -> str:
    items = item.get(sequence) or []
    return value(items[0], "CodeMeaning") if items else ""


def _code(item: Dataset) -> str:
    items = item.get("ConceptNameCodeSequence") or []
    return value(items[0], "CodeValue") if items else ""

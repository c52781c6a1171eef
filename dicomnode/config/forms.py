"""Which fields a form has, from the models that read the files: words, kinds, limits, choices."""

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from pydicom import uid as uids
from pydicom.uid import UID

from dicomnode.config.fields import Keyword, Section, SOPClass
from dicomnode.config.pipelines import Destination, PipelineSettings, Profile, Selection, Sender
from dicomnode.config.statements import Way
from dicomnode.records import ResultKind

__all__ = ["Field", "Group", "Input", "Known", "groups"]

_ATTRIBUTES = (
    "AcquisitionProtocolName",
    "DetectorType",
    "DeviceSerialNumber",
    "ImageLaterality",
    "ImageType",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "Laterality",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientOrientation",
    "PatientPosition",
    "PhotometricInterpretation",
    "PresentationIntentType",
    "ProtocolName",
    "RequestedProcedureDescription",
    "SeriesDescription",
    "StationName",
    "StudyDescription",
    "ViewPosition",
)
_WORDS = {
    "ae": "AE",
    "ca": "CA",
    "id": "ID",
    "pdu": "PDU",
    "sop": "SOP",
    "tls": "TLS",
    "url": "URL",
}
#: Kinds of results and profiles, as people call them.
_RESULTS: Mapping[str, str] = {
    ResultKind.SC: "Secondary Capture: the image with its heat map",
    ResultKind.SEG: "Segmentation of the regions",
    ResultKind.GSPS: "Presentation State: the regions drawn on the image itself",
    ResultKind.SR: "Structured Report (TID 1500)",
    ResultKind.SR3D: "Structured Report as Comprehensive 3D SR",
    ResultKind.TEXT: "Report in sentences (Basic Text SR)",
    ResultKind.PDF: "The report as a page (Encapsulated PDF)",
    ResultKind.KO: "Key Object Selection: which images matter",
    Profile.OHIF: "OHIF",
    Profile.WEASIS: "Weasis",
    Profile.STONE: "Stone",
    Profile.AIR: "IHE AIR",
    Profile.LEGACY: "Viewers that show pictures and text only",
}
_UNITS = {"bytes": "bytes", "days": "days", "h": "hours", "min": "minutes", "s": "seconds"}


class Input(StrEnum):
    """How a field is filled in."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"  #: one of some
    TICK = "tick"
    TICKS = "ticks"  #: any of some
    LIST = "list"  #: texts, one a line
    ROWS = "rows"  #: names, each with texts
    LITERAL = "literal"  #: a value as TOML has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is there to be named. It is offered; whether it is right is for the checks to say."""

    peers: Sequence[str] = ()
    senders: Sequence[str] = ()  #: AE titles of peers that may send
    models: Sequence[str] = ()  #: folders of models


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One value of a file."""

    way: Way
    input: Input
    help: str
    required: bool
    default: object  #: as the model has it; None where it has none
    example: object = None
    choices: tuple[str, ...] = ()  #: what can be chosen or ticked
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()  #: the same, parted under headings
    words: Mapping[str, str] | None = None  #: what choices are called
    suggested: tuple[str, ...] = ()  #: for what is typed
    least: float | None = None
    most: float | None = None
    whole: bool = False  #: is the number a whole one?

    @property
    def name(self) -> str:
        """As mistakes name it: receive.port."""
        return ".".join(self.way)

    @property
    def label(self) -> str:
        """For people: AE title; Timeout, in seconds."""
        *words, last = self.way[-1].split("_")
        unit = _UNITS.get(last) if words else None
        text = " ".join(_WORDS.get(word, word) for word in (words if unit else [*words, last]))
        return text[:1].upper() + text[1:] + (f", in {unit}" if unit else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The values of one table."""

    way: Way
    help: str
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """As its header has it: match, web.openid; empty for the beginning of the file."""
        return ".".join(self.way)


def groups(model: type[Section], known: Known) -> tuple[Group, ...]:
    """All that a file may say, table by table."""
    return tuple(_groups(model, known, ()))


def _groups(model: type[Section], known: Known, way: Way) -> Iterator[Group]:
    fields: list[Field] = []
    inner: list[tuple[type[Section], Way]] = []
    for name, info in model.model_fields.items():
        kind = _plain(info.annotation)
        if isinstance(kind, type) and issubclass(kind, Section):
            inner.append((kind, (*way, name)))
        else:
            fields.append(_field(model, (*way, name), info, known))
    if fields:
        yield Group(way=way, help=" ".join((model.__doc__ or "").split()), fields=tuple(fields))
    for section, its in inner:
        yield from _groups(section, known, its)


def _field(model: type[Section], way: Way, info: FieldInfo, known: Known) -> Field:
    kind = _plain(info.annotation)
    many = get_origin(kind) is tuple
    choices = _choices(kind, known)
    if model is PipelineSettings and way[-1] in ("model", "shadow"):
        choices = tuple(known.models)
    least, most = _limits(info, whole=kind is int)
    return Field(
        way=way,
        input=_input(kind, many=many, chosen=bool(choices) or _is(kind, Destination)),
        help=info.description or "",
        required=info.is_required(),
        default=None if info.is_required() else info.default,
        example=(info.examples or [None])[0],
        choices=choices,
        parts=_parts(kind, choices),
        words=_RESULTS if kind == _plain(Selection) else None,
        suggested=_suggested(kind, known),
        least=least,
        most=most,
        whole=kind is int,
    )


def _plain(kind: Any) -> Any:
    """A type without `| None`, and without what checks it."""
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = [each for each in get_args(kind) if each is not type(None)][:1]
    return get_args(kind)[0] if hasattr(kind, "__metadata__") else kind


def _input(kind: Any, *, many: bool, chosen: bool) -> Input:
    if many:
        return Input.TICKS if chosen else Input.LIST
    if isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Mapping):
        return Input.ROWS if _texts_of(get_args(kind)[1]) else Input.LITERAL
    if chosen:
        return Input.CHOICE
    if kind is bool:
        return Input.TICK
    if kind in (int, float):
        return Input.NUMBER
    return Input.TEXT if _is_text(kind) else Input.LITERAL


def _texts_of(kind: Any) -> bool:
    return get_origin(_plain(kind)) is tuple


def _is_text(kind: Any) -> bool:
    return isinstance(kind, type) and (kind.__module__ == "pathlib" or issubclass(kind, str))


def _is(kind: Any, element: Any) -> bool:
    """Is it a list of, or a table by, what `element` is?"""
    return bool(get_args(kind)) and get_args(kind)[0] == element


def _choices(kind: Any, known: Known) -> tuple[str, ...]:
    """What alone can be right; empty where anything can be typed."""
    for element, names in ((Destination, known.peers), (Sender, known.senders)):
        if get_origin(kind) is tuple and _is(kind, element):
            return tuple(names)
    if kind == _plain(Selection):
        return (*ResultKind, *Profile)
    one = _plain(get_args(kind)[0]) if get_origin(kind) is tuple else kind
    if get_origin(one) is Literal:
        return tuple(map(str, get_args(one)))
    if isinstance(one, type) and issubclass(one, StrEnum):
        return tuple(one)
    return ()


def _parts(kind: Any, choices: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if kind == _plain(Selection):
        profiles = "Profiles: what a viewer can show, in place of kinds or beside them"
        return (("Kinds", tuple(ResultKind)), (profiles, tuple(Profile)))
    return (("", choices),)


def _suggested(kind: Any, known: Known) -> tuple[str, ...]:
    if _is(kind, SOPClass):
        return _image_classes()
    if _is(kind, Destination):
        return tuple(known.peers)
    return _ATTRIBUTES if _is(kind, Keyword) else ()


@cache
def _image_classes() -> tuple[str, ...]:
    """Keywords of the SOP Classes of images."""
    known = vars(uids).items()
    stored = (name for name, uid in known if isinstance(uid, UID) and uid.type == "SOP Class")
    return tuple(sorted(name for name in stored if "ImageStorage" in name))


def _checks(info: FieldInfo) -> Iterator[Any]:
    """What checks a value; also where there need be none, as in `Port | None`."""
    yield from info.metadata
    for each in get_args(info.annotation):
        for check in getattr(each, "__metadata__", ()):
            yield from check.metadata if isinstance(check, FieldInfo) else (check,)


def _limits(info: FieldInfo, *, whole: bool) -> tuple[float | None, float | None]:
    """Least and most, as a browser has them: a number that must be above 0 may be 0 there."""
    least: float | None = None
    most: float | None = None
    for each in _checks(info):
        match each:
            case Ge(ge=float() | int() as number):
                least = number
            case Gt(gt=float() | int() as number):
                least = number + whole
            case Le(le=float() | int() as number):
                most = number
            case Lt(lt=float() | int() as number):
                most = number - whole
    return least, most

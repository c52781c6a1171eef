"""Patient and study copied from the source, our equipment, our times.

Copied means: the same characters, in UTF-8; what names the patient or the study is never cut. A
source may be as odd as it likes: what cannot stand in a result is left empty, and nothing here
raises but for images of more than one patient.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from dicomnode.answers import Concept, ModelRef
from dicomnode.dicom.attributes import MANUFACTURER
from dicomnode.dicom.patient import disagreement
from dicomnode.dicom.uids import IMPLEMENTATION_VERSION_NAME, is_uid
from dicomnode.errors import PatientsDiffer, ReportError
from dicomnode.report import codes
from dicomnode.report.reading import value
from dicomnode.report.request import Order

__all__ = [
    "Answer",
    "add_body_part",
    "add_compression",
    "add_equipment",
    "add_orientation",
    "add_series",
    "add_side",
    "copied",
    "local_time",
    "one_patient",
    "put",
]


# Patient and General Study module: type 2 stay, empty or not; type 3 only with a value.
_ALWAYS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
_WHERE_KNOWN = ("IssuerOfPatientID", "OtherPatientNames")
_ABOUT = (
    "PatientAge", "StudyDescription", "PatientIdentityRemoved", "DeidentificationMethod",
    "LongitudinalTemporalInformationModified", "TimezoneOffsetFromUTC",
)  # fmt: skip
_MODALITY = (
    "Manufacturer", "InstitutionName", "StationName", "ManufacturerModelName",
    "DeviceSerialNumber", "SoftwareVersions",
)  # fmt: skip
_ENUMERATED = {
    "PatientIdentityRemoved": ("YES", "NO"),
    "LongitudinalTemporalInformationModified": ("UNMODIFIED", "MODIFIED", "REMOVED"),
}
_ROOM = {"LO": 64, "SH": 16}  # characters of one value, PS3.5 Table 6.2-1

_DIRECTIONS = re.compile(r"[APRLHF]{1,3}\\[APRLHF]{1,3}")
_ZONE = re.compile(r"([+-])(\d\d)([0-5]\d)")


class Answer(Protocol):
    """What a model said, or why it said nothing, or that it is withdrawn."""

    @property
    def model(self) -> ModelRef | None: ...


def one_patient(headers: Sequence[Dataset]) -> Dataset:
    """The header that identity is copied from.

    Raises:
        PatientsDiffer: the headers name more than one patient.
        ReportError: they are not of one study, or there is none.
    """
    if not headers:
        raise ReportError("there is no image to report on")
    if problem := disagreement(headers):
        raise PatientsDiffer(problem)
    if len({value(header, "StudyInstanceUID") for header in headers}) > 1:
        raise ReportError("the images differ in StudyInstanceUID: no result may join them")
    if not is_uid(value(headers[0], "StudyInstanceUID")):
        raise ReportError("the images have no valid StudyInstanceUID")
    return headers[0]


def copied(header: Dataset) -> Dataset:
    """A new dataset with the patient and the study of the source."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    put(ds, "StudyInstanceUID", value(header, "StudyInstanceUID"))
    for keyword in _ALWAYS:
        put(ds, keyword, value(header, keyword))
    for keyword in _WHERE_KNOWN:
        if found := value(header, keyword):
            put(ds, keyword, found)
    _put_known(ds, header, _ABOUT)
    if ds.PatientSex not in ("M", "F", "O"):
        ds.PatientSex = ""
    for keyword, allowed in _ENUMERATED.items():
        if ds.get(keyword) not in allowed:
            ds.pop(keyword, None)
    if ds.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethod" not in ds:
        ds.DeidentificationMethod = "See source images"  # type 1C
    return ds


def put(ds: Dataset, keyword: str, text: str) -> None:
    """Set an attribute without judging it: an identity that is too long is still the identity."""
    vr = dictionary_VR(keyword)
    ds.add(DataElement(tag_for_keyword(keyword) or 0, vr, text, validation_mode=config.IGNORE))


def _put_known(ds: Dataset, header: Dataset, keywords: Sequence[str]) -> None:
    """What the source says of itself, where it says it, and as far as it has room."""
    for keyword in keywords:
        if found := value(header, keyword):
            parts = [part for part in found.split("\\") if part.strip()]
            if dictionary_VM(keyword) == "1":
                parts = ["/".join(parts)]
            room = _ROOM.get(dictionary_VR(keyword))
            if told := "\\".join(part[:room].rstrip() for part in parts):
                put(ds, keyword, told)


def local_time(made_at: datetime, ds: Dataset) -> datetime:
    """Our time in the zone that the dataset declares, so that it may keep declaring it.

    TimezoneOffsetFromUTC (0008,0201) speaks for every time of an object, copied or our own; a
    value that is none is taken out.
    """
    match = _ZONE.fullmatch(str(ds.get("TimezoneOffsetFromUTC", "")))
    if match is None or int(match[2]) > 14:
        ds.pop("TimezoneOffsetFromUTC", None)
        return made_at
    minutes = int(match[2]) * 60 + int(match[3])
    offset = timedelta(minutes=-minutes if match[1] == "-" else minutes)
    return made_at.astimezone(timezone(offset))


def add_series(ds: Dataset, answer: Answer, order: Order, uid: str, title: str, digit: str) -> None:
    """General Series module and our times; high numbers keep results below the images."""
    moment = local_time(order.made_at, ds)
    ds.SeriesInstanceUID = uid
    ds.SeriesNumber = f"9{order.revision:03}{digit}"
    again = f", revision {order.revision}" if order.revision > 1 else ""
    partial = ", PARTIAL STUDY" if order.partial else ""
    by = f": {answer.model.name} {answer.model.version}" if answer.model else ""
    put(ds, "SeriesDescription", f"{title}{partial}{again}{by}"[:64])
    ds.SeriesDate = ds.InstanceCreationDate = moment.strftime("%Y%m%d")
    ds.SeriesTime = ds.InstanceCreationTime = moment.strftime("%H%M%S")
    ds.InstanceNumber = 1


def add_body_part(ds: Dataset, header: Dataset) -> None:
    """Body part and side, of General Series: the side is type 2C, asked for of a paired part."""
    part, side = value(header, "BodyPartExamined"), value(header, "Laterality")
    part = "" if "\\" in part else part
    if part:
        put(ds, "BodyPartExamined", part)
    if not part or side in ("L", "R"):
        put(ds, "Laterality", side if side in ("L", "R") else "")


def add_side(ds: Dataset, header: Dataset) -> None:
    """Which of a pair an image shows (C.7.6.1), where its series does not tell."""
    side = value(header, "ImageLaterality")
    if "Laterality" not in ds and side in ("L", "R", "B"):
        put(ds, "ImageLaterality", side)


def add_compression(ds: Dataset, header: Dataset) -> None:
    """That the source was compressed with loss, where it was (PS3.3 C.7.6.1.1.5)."""
    if value(header, "LossyImageCompression") == "01":
        ds.LossyImageCompression = "01"
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if found := value(header, keyword):
                put(ds, keyword, found)


def add_orientation(ds: Dataset, header: Dataset) -> None:
    """Patient Orientation (PS3.3 C.7.6.1.1.1): empty where the source has no two directions."""
    told = value(header, "PatientOrientation")
    put(ds, "PatientOrientation", told if _DIRECTIONS.fullmatch(told) else "")


def add_equipment(ds: Dataset, header: Dataset, model: ModelRef | None, order: Order) -> None:
    """General Equipment module: this node; and who else had a hand in it.

    Without a model, which is where not even its card could be read, the node alone did.
    """
    name, version = (model.name[:64], model.version[:64]) if model else ("dicomnode", "")
    ds.Manufacturer = MANUFACTURER
    put(ds, "ManufacturerModelName", name)
    put(ds, "StationName", order.ae_title)
    ds.SoftwareVersions = [part for part in (IMPLEMENTATION_VERSION_NAME, version) if part]
    processing = _contribution(codes.PROCESSING_EQUIPMENT)
    maker = model.manufacturer if model else ""
    put(processing, "Manufacturer", (maker or MANUFACTURER)[:64])
    put(processing, "ManufacturerModelName", name)
    put(processing, "SoftwareVersions", version or IMPLEMENTATION_VERSION_NAME)
    put(processing, "StationName", order.ae_title)
    put(processing, "ContributionDateTime", _date_time(order.made_at))
    ds.ContributingEquipmentSequence = [processing]
    acquisition = _contribution(codes.ACQUISITION_EQUIPMENT)
    _put_known(acquisition, header, _MODALITY)
    if "Manufacturer" in acquisition:  # type 1 of an item
        ds.ContributingEquipmentSequence = [acquisition, processing]


def _contribution(purpose: Concept) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [codes.coded(purpose)]
    return item


def _date_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")

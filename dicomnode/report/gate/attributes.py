"""What each kind of object must hold: the modules of its IOD, as far as they have no condition,
and what our own results always say. Tables of PS3.3; a test compares them with another copy of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicomnode.report.gate.values import Plain

__all__ = ["IODS", "ITEMS", "MODULES", "Module", "problems"]


@dataclass(frozen=True, slots=True)
class Module:
    """Attributes of one module: with a value (type 1), there even if empty (type 2)."""

    filled: str = ""
    present: str = ""


#: By section of PS3.3; attributes without a condition.
MODULES: Mapping[str, Module] = {
    "C.7.1.1": Module(present="PatientName PatientID PatientBirthDate PatientSex"),
    "C.7.2.1": Module(
        "StudyInstanceUID",
        "StudyDate StudyTime AccessionNumber ReferringPhysicianName StudyID",
    ),
    "C.7.3.1": Module("Modality SeriesInstanceUID SeriesNumber SeriesDescription"),
    "C.7.5.1": Module("Manufacturer ManufacturerModelName SoftwareVersions"),
    "C.7.5.2": Module("Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions"),
    "C.7.6.1": Module("InstanceNumber ImageType"),
    "C.7.6.3": Module(
        "SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit"
        " PixelRepresentation PixelData"
    ),
    "C.7.6.17": Module("DimensionOrganizationSequence DimensionIndexSequence"),
    "C.8.6.1": Module("ConversionType"),
    "C.8.20.2": Module(
        "SegmentationType SegmentSequence LossyImageCompression ContentLabel", "ContentDescription"
    ),
    "C.7.6.16": Module(
        "ContentDate ContentTime NumberOfFrames SharedFunctionalGroupsSequence"
        " PerFrameFunctionalGroupsSequence"
    ),
    "C.10.4": Module("DisplayedAreaSelectionSequence"),
    "C.11.6": Module("PresentationLUTShape"),
    "C.11.10": Module(
        "InstanceNumber ContentLabel PresentationCreationDate PresentationCreationTime",
        "ContentDescription ContentCreatorName",
    ),
    "C.11.11": Module("ReferencedSeriesSequence"),
    "C.12.1": Module("SOPClassUID SOPInstanceUID SpecificCharacterSet"),
    "C.17.1": Module(present="ReferencedPerformedProcedureStepSequence"),
    "C.17.2": Module(
        "InstanceNumber ContentDate ContentTime CompletionFlag VerificationFlag PreliminaryFlag"
        " CurrentRequestedProcedureEvidenceSequence",
        "PerformedProcedureCodeSequence",
    ),
    "C.17.3": Module("ValueType ConceptNameCodeSequence ContinuityOfContent ContentSequence"),
    "C.17.6.1": Module(present="ReferencedPerformedProcedureStepSequence"),
    "C.17.6.2": Module(
        "InstanceNumber ContentDate ContentTime CurrentRequestedProcedureEvidenceSequence"
    ),
    "C.24.2": Module(
        "InstanceNumber BurnedInAnnotation EncapsulatedDocument MIMETypeOfEncapsulatedDocument"
        " EncapsulatedDocumentLength",
        "ContentDate ContentTime AcquisitionDateTime ConceptNameCodeSequence DocumentTitle",
    ),
}

_WHOSE = "C.12.1 C.7.1.1 C.7.2.1 C.7.3.1 C.7.5.1"
_REPORT = f"{_WHOSE} C.17.1 C.17.2 C.17.3"
#: By SOP class, the sections of its modules (PS3.3 Annex A).
IODS: Mapping[str, str] = {
    SecondaryCaptureImageStorage: f"{_WHOSE} C.7.6.1 C.7.6.3 C.8.6.1",
    BasicTextSRStorage: _REPORT,
    ComprehensiveSRStorage: _REPORT,
    Comprehensive3DSRStorage: _REPORT,
    KeyObjectSelectionDocumentStorage: f"{_WHOSE} C.17.3 C.17.6.1 C.17.6.2",
    GrayscaleSoftcopyPresentationStateStorage: f"{_WHOSE} C.10.4 C.11.6 C.11.10 C.11.11",
    SegmentationStorage: f"{_WHOSE} C.7.5.2 C.7.6.1 C.7.6.3 C.7.6.16 C.7.6.17 C.8.20.2",
    EncapsulatedPDFStorage: f"{_WHOSE} C.8.6.1 C.24.2",
}

_INSTANCE = Module("ReferencedSOPClassUID ReferencedSOPInstanceUID")
_STUDY = Module("StudyInstanceUID ReferencedSeriesSequence")
#: By the sequence that they stand in, wherever it is: what each item must hold.
ITEMS: Mapping[str, Module] = {
    "CodingSchemeIdentificationSequence": Module("CodingSchemeDesignator"),
    "ContentTemplateSequence": Module("MappingResource TemplateIdentifier"),
    "ContributingEquipmentSequence": Module("PurposeOfReferenceCodeSequence Manufacturer"),
    "CurrentRequestedProcedureEvidenceSequence": _STUDY,
    "DerivationImageSequence": Module("DerivationCodeSequence"),
    "DimensionIndexSequence": Module("DimensionIndexPointer DimensionOrganizationUID"),
    "DimensionOrganizationSequence": Module("DimensionOrganizationUID"),
    "DisplayedAreaSelectionSequence": Module(
        "DisplayedAreaTopLeftHandCorner DisplayedAreaBottomRightHandCorner PresentationSizeMode"
    ),
    "GraphicAnnotationSequence": Module("GraphicLayer"),
    "GraphicLayerSequence": Module("GraphicLayer GraphicLayerOrder"),
    "GraphicObjectSequence": Module(
        "GraphicAnnotationUnits GraphicDimensions NumberOfGraphicPoints GraphicData GraphicType"
    ),
    "MeasuredValueSequence": Module("NumericValue MeasurementUnitsCodeSequence"),
    "PredecessorDocumentsSequence": _STUDY,
    "ReferencedImageSequence": _INSTANCE,
    "ReferencedInstanceSequence": _INSTANCE,
    "ReferencedSOPSequence": _INSTANCE,
    "ReferencedSeriesSequence": Module("SeriesInstanceUID"),
    "SegmentIdentificationSequence": Module("ReferencedSegmentNumber"),
    "SegmentSequence": Module(
        "SegmentNumber SegmentLabel SegmentAlgorithmType SegmentAlgorithmName"
        " SegmentedPropertyCategoryCodeSequence SegmentedPropertyTypeCodeSequence"
    ),
    "SegmentationAlgorithmIdentificationSequence": Module(
        "AlgorithmFamilyCodeSequence AlgorithmName AlgorithmVersion"
    ),
    "SourceImageSequence": _INSTANCE,
    "TextObjectSequence": Module("UnformattedTextValue"),
}

_FLAGS = {
    "Modality": ("SR",),
    "CompletionFlag": ("COMPLETE", "PARTIAL"),
    "VerificationFlag": ("UNVERIFIED",),
    "PreliminaryFlag": ("PRELIMINARY",),
    "ValueType": ("CONTAINER",),
    "ContinuityOfContent": ("SEPARATE",),
}
_ANYWHERE = {
    "SpecificCharacterSet": ("ISO_IR 192",),
    "PatientSex": ("", "F", "M", "O"),
    "Laterality": ("", "L", "R"),
    "LossyImageCompression": ("00", "01"),
    "BurnedInAnnotation": ("NO", "YES"),
}
#: Values that an attribute may have, where it is there.
_ALLOWED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    SecondaryCaptureImageStorage: {"ConversionType": ("WSD",)},
    BasicTextSRStorage: _FLAGS,
    ComprehensiveSRStorage: _FLAGS,
    Comprehensive3DSRStorage: _FLAGS,
    KeyObjectSelectionDocumentStorage: {
        "Modality": ("KO",), "ValueType": ("CONTAINER",), "ContinuityOfContent": ("SEPARATE",),
    },
    GrayscaleSoftcopyPresentationStateStorage: {
        "Modality": ("PR",), "PresentationLUTShape": ("IDENTITY", "INVERSE"),
    },
    SegmentationStorage: {
        "Modality": ("SEG",), "SegmentationType": ("BINARY", "FRACTIONAL", "LABELMAP"),
    },
    EncapsulatedPDFStorage: {"MIMETypeOfEncapsulatedDocument": ("application/pdf",)},
}  # fmt: skip


def problems(ds: Plain) -> Iterator[str]:
    """Attributes that are missing, or empty, or say what they may not."""
    kind = str(ds.get("SOPClassUID", ""))
    if kind not in IODS:
        yield "SOPClassUID is not of a result that this node makes"
        return
    for section in IODS[kind].split():
        yield from _missing(ds, _needed(MODULES[section]), section)
    for keyword, allowed in {**_ANYWHERE, **_ALLOWED[kind]}.items():
        if keyword in ds and ds[keyword] not in allowed:
            yield f"{keyword} has a value that is not allowed in this object"
    yield from _nested(ds)


def _nested(ds: Plain) -> Iterator[str]:
    for keyword, value in ds.items():
        if not keyword.endswith("Sequence"):
            continue
        needed = _needed(ITEMS[keyword]) if keyword in ITEMS else ()
        for item in value:
            yield from _missing(item, needed, keyword)
            yield from _nested(item)


def _missing(ds: Plain, needed: Sequence[tuple[str, bool]], where: str) -> Iterator[str]:
    for keyword, filled in needed:
        if keyword not in ds:
            yield f"{keyword} is missing ({where})"
        elif filled and _is_empty(ds[keyword]):
            yield f"{keyword} is empty ({where})"


def _is_empty(value: Any) -> bool:
    return hasattr(value, "__len__") and len(value) == 0


@cache
def _needed(module: Module) -> tuple[tuple[str, bool], ...]:
    """Keywords, each with whether it must have a value."""
    filled = [(keyword, True) for keyword in module.filled.split()]
    return (*filled, *((keyword, False) for keyword in module.present.split()))

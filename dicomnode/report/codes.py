"""Coded concepts of our results, each with where it comes from, and how a concept is written.

The codes of findings are not here: they belong to the model's card.
"""

from collections.abc import Iterable

from highdicom.sr import CodedConcept
from pydicom import Dataset

from dicomnode.answers import Concept, Presence
from dicomnode.records import WithdrawalReason
from dicomnode.report.catalogue import Words

__all__ = [
    "ABNORMAL_STRUCTURE",
    "ACQUISITION_EQUIPMENT",
    "ADDENDUM",
    "ALGORITHM_NAME",
    "ALGORITHM_PARAMETERS",
    "ALGORITHM_VERSION",
    "ARTIFICIAL_INTELLIGENCE",
    "COLUMNS",
    "COMMENT",
    "DEVICE",
    "DEVICE_MANUFACTURER",
    "DEVICE_MODEL",
    "DEVICE_NAME",
    "DEVICE_UID",
    "FINDING",
    "FINDINGS",
    "FRAME_OF_REFERENCE",
    "IMAGE_LIBRARY",
    "IMAGE_LIBRARY_GROUP",
    "IMAGE_REGION",
    "IMAGING_MEASUREMENTS",
    "IMAGING_PROCEDURE",
    "IMAGING_REPORT",
    "IMPRESSION",
    "IMPRESSIONS",
    "KEY_IMAGES",
    "KEY_OBJECT_DESCRIPTION",
    "LANGUAGE",
    "MEASUREMENT_GROUP",
    "MODALITY",
    "OBSERVER_TYPE",
    "OF_INTEREST",
    "OPERATING_POINT",
    "ORIGINAL_SOURCE",
    "OTHER_FAILURE",
    "PERCENT",
    "PIXELS",
    "PRESENCE",
    "PRIVATE_SCHEME",
    "PROCEDURE",
    "PROCEDURES",
    "PROCEDURE_REPORTED",
    "PROCESSING_EQUIPMENT",
    "QUALITATIVE_EVALUATIONS",
    "RECOMMENDATION",
    "RECOMMENDATIONS",
    "REJECTION",
    "REPORT",
    "ROWS",
    "SEGMENTATION",
    "SOURCE",
    "SOURCE_OF_PROCESSING",
    "STUDY_DATE",
    "TITLE_MODIFIER",
    "TRACKING_IDENTIFIER",
    "TRACKING_UID",
    "VISUAL_EXPLANATION",
    "coded",
    "language",
    "modality",
    "private_schemes",
    "probability_of",
]

#: Our own coding scheme; designators that begin with 99 are private (PS3.16 section 8.2).
PRIVATE_SCHEME = "99DICOMNODE"

_MEANING_CHARACTERS = 64  # VR LO, PS3.5 Table 6.2-1


def _dcm(value: str, meaning: str) -> Concept:
    return Concept(value=value, scheme="DCM", meaning=meaning)


def _sct(value: str, meaning: str) -> Concept:
    return Concept(value=value, scheme="SCT", meaning=meaning)


def _loinc(value: str, meaning: str) -> Concept:
    return Concept(value=value, scheme="LN", meaning=meaning)


# Document: TID 1500, 1204, 1002, 1004
REPORT = _dcm("126000", "Imaging Measurement Report")
LANGUAGE = _dcm("121049", "Language of Content Item and Descendants")
OBSERVER_TYPE = _dcm("121005", "Observer Type")
DEVICE = _dcm("121007", "Device")
DEVICE_UID = _dcm("121012", "Device Observer UID")
DEVICE_NAME = _dcm("121013", "Device Observer Name")
DEVICE_MANUFACTURER = _dcm("121014", "Device Observer Manufacturer")
DEVICE_MODEL = _dcm("121015", "Device Observer Model Name")
PROCEDURE_REPORTED = _dcm("121058", "Procedure reported")
IMAGING_PROCEDURE = _sct("363679005", "Imaging procedure")

# Image library: TID 1600, 1602
IMAGE_LIBRARY = _dcm("111028", "Image Library")
IMAGE_LIBRARY_GROUP = _dcm("126200", "Image Library Group")
SOURCE = _sct("260753009", "Source")
MODALITY = _dcm("121139", "Modality")
STUDY_DATE = _dcm("111060", "Study Date")
FRAME_OF_REFERENCE = _dcm("112227", "Frame of Reference UID")
ROWS = _dcm("110910", "Pixel Data Rows")
COLUMNS = _dcm("110911", "Pixel Data Columns")
PIXELS = Concept(value="{pixels}", scheme="UCUM", meaning="pixels")

# Measurement groups: TID 1410, 4019
IMAGING_MEASUREMENTS = _dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP = _dcm("125007", "Measurement Group")
TRACKING_IDENTIFIER = _dcm("112039", "Tracking Identifier")
TRACKING_UID = _dcm("112040", "Tracking Unique Identifier")
FINDING = _dcm("121071", "Finding")
IMAGE_REGION = _dcm("111030", "Image Region")
ORIGINAL_SOURCE = _dcm("111040", "Original Source")
VISUAL_EXPLANATION = _dcm("130401", "Visual explanation")
ALGORITHM_NAME = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION = _dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS = _dcm("111002", "Algorithm Parameters")
OPERATING_POINT = _dcm("111081", "CAD Operating Point Description")
PERCENT = Concept(value="%", scheme="UCUM", meaning="Percent")

# What is said of each finding: TID 1500, CID 240
QUALITATIVE_EVALUATIONS = Concept(
    value="C0034375", scheme="UMLS", meaning="Qualitative Evaluations"
)
COMMENT = _dcm("121106", "Comment")
PRESENCE = {
    Presence.PRESENT: _sct("52101004", "Present"),
    Presence.ABSENT: _sct("272519000", "Absent"),
    Presence.UNDETERMINED: _sct("373068000", "Undetermined"),
}

# Reports in sentences: TID 2000; headings of CID 7001, elements of CID 7002
IMAGING_REPORT = _loinc("18748-4", "Diagnostic Imaging Report")
ADDENDUM = _loinc("55107-7", "Addendum")
IMPRESSIONS = _loinc("19005-8", "Impressions")
IMPRESSION = _dcm("121073", "Impression")
FINDINGS = _loinc("59776-5", "Findings")
PROCEDURES = _loinc("55111-9", "Current Procedure Descriptions")
PROCEDURE = _dcm("121065", "Procedure Description")
RECOMMENDATIONS = _loinc("18783-1", "Recommendations")
RECOMMENDATION = _dcm("121075", "Recommendation")
KEY_IMAGES = _loinc("55113-5", "Key Images")

# Equipment and references: CID 7005, CID 7202
ACQUISITION_EQUIPMENT = _dcm("109101", "Acquisition Equipment")
PROCESSING_EQUIPMENT = _dcm("109102", "Processing Equipment")
SOURCE_OF_PROCESSING = _dcm("121322", "Source image for image processing operation")

# Segments: CID 7150, CID 7162, CID 7203
ABNORMAL_STRUCTURE = _sct("49755003", "Morphologically Abnormal Structure")
ARTIFICIAL_INTELLIGENCE = _dcm("123110", "Artificial Intelligence")
SEGMENTATION = _dcm("113076", "Segmentation")

# Key objects: TID 2010, CID 7010, CID 7011; rejection titles as of IHE IOCM
OF_INTEREST = _dcm("113000", "Of Interest")
KEY_OBJECT_DESCRIPTION = _dcm("113012", "Key Object Description")
TITLE_MODIFIER = _dcm("113011", "Document Title Modifier")
OTHER_FAILURE = _dcm("111220", "Other failure")
REJECTION = {
    WithdrawalReason.QUALITY: _dcm("113001", "Rejected for Quality Reasons"),
    WithdrawalReason.SAFETY: _dcm("113037", "Rejected for Patient Safety Reasons"),
    WithdrawalReason.WORKLIST: _dcm("113038", "Incorrect Modality Worklist Entry"),
    WithdrawalReason.RETENTION: _dcm("113039", "Data Retention Policy Expired"),
}

# CID 29: the code is the value of Modality (0008,0060)
_MODALITIES = {
    "CR": "Computed Radiography",
    "CT": "Computed Tomography",
    "DX": "Digital Radiography",
    "IO": "Intra-oral Radiography",
    "MG": "Mammography",
    "MR": "Magnetic Resonance",
    "NM": "Nuclear Medicine",
    "PT": "Positron emission tomography",
    "PX": "Panoramic X-Ray",
    "RF": "Radiofluoroscopy",
    "RG": "Radiographic imaging",
    "US": "Ultrasound",
    "XA": "X-Ray Angiography",
}


def language(words: Words) -> Concept:
    """A language as a concept of CID 5000."""
    return Concept(value=words.language, scheme="RFC5646", meaning=words.say("language"))


def modality(value: str) -> Concept | None:
    """The modality as a concept of CID 29; None where it is none we know."""
    return _dcm(value, _MODALITIES[value]) if value in _MODALITIES else None


def probability_of(finding: Concept, *, at_least: bool = False) -> Concept:
    """The name of its number; of a grade it may be that of the grade or any higher one.

    Viewers draw the meaning as the label beside an outline and clip it at their right edge: so it
    begins with the finding.
    """
    said, begins = (" or higher probability", "H") if at_least else (" probability", "P")
    name = finding.meaning[: _MEANING_CHARACTERS - len(said)].rstrip()
    return Concept(value=f"{begins}{finding.value}", scheme=PRIVATE_SCHEME, meaning=name + said)


def coded(concept: Concept) -> Dataset:
    """The concept as an item of a code sequence.

    More than 16 characters become a Long Code Value; a meaning is cut at 64 (PS3.3 Table 8.8-1).
    """
    meaning = concept.meaning[:_MEANING_CHARACTERS].rstrip()
    item: Dataset = CodedConcept(concept.value, concept.scheme, meaning)
    return item


def private_schemes(schemes: Iterable[str]) -> list[Dataset]:
    """Items of Coding Scheme Identification Sequence: the private ones among coding schemes."""
    items = []
    for designator in sorted(set(schemes)):
        if designator.startswith("99"):
            item = Dataset()
            item.CodingSchemeDesignator = designator
            ours = designator == PRIVATE_SCHEME
            item.CodingSchemeName = "dicomnode" if ours else "Private codes of the model"
            items.append(item)
    return items

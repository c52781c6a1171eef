"""Results of every kind to show to others: by modality, outcome, character set and language."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from itertools import cycle

from pydicom import Dataset, dcmread
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    MRImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from dicomnode.answers import Refusal, Result
from dicomnode.errors import Cause
from dicomnode.records import ResultKind, WithdrawalReason
from dicomnode.report.catalogue import LANGUAGES
from dicomnode.report.notice import make_notices
from dicomnode.report.request import Order, Source
from dicomnode.report.results import make_results
from dicomnode.report.withdrawal import make_withdrawal
from tests.unit.report.forms import classes, grades
from tests.unit.report.samples import (
    MODEL,
    ORDER,
    earlier_report,
    frame_of,
    make_header,
    make_prediction,
    make_source,
    raw_header,
)

__all__ = ["matrix"]

EVERY = replace(ORDER, kinds=frozenset(ResultKind))


def _slices(sop_class_uid: str, modality: str, count: int) -> Source:
    return make_source(
        *(
            make_header(
                number,
                SOPClassUID=sop_class_uid,
                Modality=modality,
                FrameOfReferenceUID="2.25.77",
                ImagePositionPatient=[0, 0, 5 * number],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                PixelSpacing=[0.7, 0.7],
                SliceThickness=5,
                PatientOrientation=["L", "P"],
                PatientPosition="HFS",
            )
            for number in range(1, count + 1)
        )
    )


def _received(**values: bytes) -> Source:
    """A radiograph as a sender encoded it."""
    return make_source(raw_header(Modality=b"DX", BodyPartExamined=b"CHEST", **values))


_SOURCES: Mapping[str, Callable[[], Source]] = {
    "CR": lambda: make_source(
        make_header(SOPClassUID=ComputedRadiographyImageStorage, Modality="CR")
    ),
    "DX": make_source,
    "CT": lambda: _slices(CTImageStorage, "CT", 4),
    "MG": lambda: make_source(
        make_header(
            SOPClassUID=DigitalMammographyXRayImageStorageForPresentation,
            Modality="MG",
            BodyPartExamined="BREAST",
            ImageLaterality="L",
            Laterality="L",
            PatientOrientation=["A", "FR"],
            PixelSpacing=[0.1, 0.05],
        )
    ),
    "MR": lambda: _slices(MRImageStorage, "MR", 2),
    "US": lambda: make_source(
        make_header(
            SOPClassUID=UltrasoundMultiFrameImageStorage,
            Modality="US",
            NumberOfFrames=3,
            BodyPartExamined=None,
            PatientOrientation=None,
            LossyImageCompression="01",
            LossyImageCompressionRatio="10",
            LossyImageCompressionMethod="ISO_10918_1",
        )
    ),
    "poor header": lambda: make_source(raw_header()),
    "odd header": lambda: make_source(
        make_header(
            SpecificCharacterSet=None,
            PatientSex="U",
            PatientID="",
            PatientBirthDate=None,
            IssuerOfPatientID="HOSPITAL",
            StudyDescription="x" * 64,
            TimezoneOffsetFromUTC="+0100",
            PatientIdentityRemoved="YES",
            BurnedInAnnotation="YES",
        )
    ),
    "no character set": lambda: _received(PatientName="Müller^Jörg".encode("latin-1")),
    "undeclared UTF-8": lambda: _received(PatientName="Müller^Jörg".encode()),
    "ISO_IR 100": lambda: _received(
        SpecificCharacterSet=b"ISO_IR 100", PatientName="Müller^Jörg".encode("latin-1")
    ),
    "ISO 2022 IR 87": lambda: _received(
        SpecificCharacterSet=b"\\ISO 2022 IR 87",
        PatientName=b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
    ),
    "ISO 2022 IR 149": lambda: _received(
        SpecificCharacterSet=b"\\ISO 2022 IR 149",
        PatientName=b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
    ),
    "GB18030": lambda: _received(
        SpecificCharacterSet=b"GB18030", PatientName="Wang^XiaoDong=王^小东".encode("gb18030")
    ),
    "ISO_IR 192": lambda: _received(
        SpecificCharacterSet=b"ISO_IR 192", PatientName="Wang^XiaoDong=王^小東=".encode()
    ),
}


#: How many regions the finding has; with none, nothing is found.
_OUTCOMES = {"positive": 1, "negative": 0, "many regions": 3, "partial revision": 1}


def matrix() -> dict[str, tuple[Result, ...]]:
    """Objects by what they are; languages take turns."""
    found: dict[str, tuple[Result, ...]] = {}
    languages = cycle(LANGUAGES)
    for place, (name, make_source_of) in enumerate(_SOURCES.items()):
        source = make_source_of()
        wanted = list(_OUTCOMES) if name in ("CR", "CT", "US") else [list(_OUTCOMES)[place % 4]]
        for outcome in wanted:
            order = replace(EVERY, language=next(languages))
            key = f"{name}, {outcome}, {order.language}"
            found[key] = _results(source, outcome, order)
    source = make_source()
    for name, answer in {
        "a class": classes(source),
        "a normal class": classes(source, "Normal"),
        "an unclear class": classes(source, ""),
        "a grade": grades(source),
        "an unclear grade": grades(source, ("KL 2", "KL 3")),
    }.items():
        order = replace(EVERY, language=next(languages))
        found[f"{name}, {order.language}"] = make_results(source, answer, order)
    for cause, source_of, language in zip(Cause, cycle(_SOURCES.values()), languages, strict=False):
        order = replace(EVERY, language=language)
        refusal = Refusal(cause=cause, detail="as a test says", model=MODEL)
        found[f"not analysed: {cause}, {language}"] = make_notices(
            source_of().headers, refusal, order
        )
    for reason, language in zip(WithdrawalReason, languages, strict=False):
        found[f"withdrawn: {reason}, {language}"] = _withdrawal(reason, language)
    return found


def _results(source: Source, outcome: str, order: Order) -> tuple[Result, ...]:
    if outcome == "partial revision":
        earlier = (earlier_report(source),)
        order = replace(
            order, partial=True, received=307, expected=412, revision=2, predecessors=earlier
        )
    prediction = make_prediction(source, _OUTCOMES[outcome])
    if frames := source.headers[0].get("NumberOfFrames"):
        seen = tuple(frame_of(source.headers[0], number) for number in range(1, frames + 1))
        findings = tuple(replace(finding, frame=seen[1]) for finding in prediction.findings)
        prediction = replace(prediction, frames=seen, findings=findings)
    return make_results(source, prediction, order)


def _withdrawal(reason: WithdrawalReason, language: str) -> tuple[Result, ...]:
    order = replace(EVERY, language=language)
    source = make_source()
    results = _results(source, "positive", order)
    header: Dataset = dcmread(BytesIO(results[0].part10), stop_before_pixels=True)
    return make_withdrawal(header, [result.ref for result in results], reason, order)

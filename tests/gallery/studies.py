"""Studies with their results, to be looked at: drawn images, every outcome, every kind of result.

Results of radiographs are those of the demonstration model where it can be wrong only in degree;
where an outcome has to be met exactly, or a modality is not the model's, findings are made up.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, UltrasoundMultiFrameImageStorage

from dicomnode.classify.card import SHIPPED
from dicomnode.classify.torch_classifier import TorchClassifier, load_classifier
from dicomnode.dicom import pixels
from dicomnode.dicom.appearance import appearance
from dicomnode.errors import Cause
from dicomnode.learn.synthetic import synthetic_dx
from dicomnode.records import Prediction, Presence, Refusal, Result, ResultKind, WithdrawalReason
from dicomnode.report.notice import make_notices
from dicomnode.report.request import Order, Source
from dicomnode.report.results import make_results
from dicomnode.report.withdrawal import make_withdrawal
from tests.factories import make_dataset, make_part10, uid
from tests.unit.report.samples import MODEL, ORDER, frame_of, make_prediction, measured

__all__ = ["STUDIES", "Study"]

EVERY = replace(ORDER, pipeline="gallery", kinds=frozenset(ResultKind))
IN_WORDS = replace(
    EVERY, kinds=frozenset({ResultKind.SC, ResultKind.SR, ResultKind.TEXT, ResultKind.PDF})
)
_SIDE = 256  # pixels of a drawn slice


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """Images as they came, and what is made of them."""

    name: str
    images: tuple[Dataset, ...]
    results: tuple[Result, ...]

    @property
    def uid(self) -> str:
        """Its Study Instance UID."""
        return str(self.images[0].StudyInstanceUID)

    def parts(self) -> Iterator[bytes]:
        """Every object as a file: images, then results."""
        yield from (make_part10(image) for image in self.images)
        yield from (result.part10 for result in self.results)


@cache
def _model() -> TorchClassifier:
    return load_classifier(SHIPPED / "demonstration")


def _classified(image: Dataset) -> Prediction:
    with TemporaryDirectory() as folder:
        file = Path(folder, "image.dcm")
        file.write_bytes(make_part10(image))
        return _model().classify([file])


def _source(*images: Dataset) -> Source:
    by_uid = {image.SOPInstanceUID: image for image in images}

    def display(frame: Any) -> Any:
        image = by_uid[frame.image.sop_instance_uid]
        return pixels.display(next(iter(pixels.frames(image, [frame.frame or 1]))))

    def look(frame: Any) -> Dataset:
        return appearance(by_uid[frame.image.sop_instance_uid], frame.frame or 1)

    return Source(headers=[_header(image) for image in images], display=display, look=look)


def _header(image: Dataset) -> Dataset:
    return dcmread(BytesIO(make_part10(image)), stop_before_pixels=True)


# --- images ---------------------------------------------------------------------------------


def _radiograph(seed: int, *findings: str, name: str = "SYNTHETIC^ONE") -> Dataset:
    return synthetic_dx(seed, findings, rows=768, patient_name=name)


def _wide(seed: int) -> Dataset:
    """The upper half of a radiograph: an image much wider than high."""
    ds = _radiograph(seed)
    ds.Rows //= 2
    ds.PixelData = ds.PixelData[: ds.Rows * ds.Columns * 2]
    return ds


def _slice(number: int, count: int) -> Any:
    """A body across: 12 bits (rows, columns), with two lungs, a spine and some noise."""
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    level = number / count
    body = (x / 0.9) ** 2 + (y / 0.65) ** 2 < 1
    lungs = ((np.abs(x) - 0.42) / 0.3) ** 2 + ((y + 0.05) / (0.3 + 0.15 * level)) ** 2 < 1
    spine = x**2 + (y - 0.42) ** 2 < 0.012
    tissue = 40 + 1060 * body - 860 * (lungs & body) + 700 * spine
    noise = np.random.default_rng(number).normal(0, 25, tissue.shape)
    return np.clip(tissue + noise, 0, 4095).astype("<u2")


def _grey(study: str, number: int, frames: Any, **changes: Any) -> Dataset:
    own = {
        "StudyInstanceUID": uid("gallery", study),
        "SeriesInstanceUID": uid("gallery series", study),
        "SOPInstanceUID": uid("gallery image", study, number),
        "PatientName": "SYNTHETIC^ONE",
        "PatientID": f"SYNTHETIC-{study.replace(' ', '-')}",
        "SeriesNumber": 1,
        "PixelData": frames.tobytes(),
    }
    ds = make_dataset(number, rows=_SIDE, columns=_SIDE, **(own | changes))
    return dcmread(BytesIO(make_part10(ds)))  # with its transfer syntax


def _ct(study: str, count: int = 6) -> list[Dataset]:
    return [
        _grey(
            study,
            number,
            _slice(number, count),
            SOPClassUID=CTImageStorage,
            Modality="CT",
            BodyPartExamined="CHEST",
            FrameOfReferenceUID=uid("gallery frame of reference", study),
            ImagePositionPatient=[-175, -175, 5 * number],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PatientOrientation=["L", "P"],
            PixelSpacing=[1.4, 1.4],
            SliceThickness=5,
            RescaleIntercept=-1024,
            RescaleSlope=1,
            WindowCenter=40,
            WindowWidth=1400,
        )
        for number in range(1, count + 1)
    ]


def _cine(study: str, count: int = 3) -> Dataset:
    return _grey(
        study,
        1,
        np.stack([_slice(number, count) >> 3 for number in range(count)]).astype(np.uint8),
        SOPClassUID=UltrasoundMultiFrameImageStorage,
        Modality="US",
        NumberOfFrames=count,
        FrameTime=40,
        FrameIncrementPointer=0x00181063,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        RescaleIntercept=None,
        RescaleSlope=None,
        WindowCenter=None,
        WindowWidth=None,
    )


# --- studies --------------------------------------------------------------------------------


def _of_model(name: str, image: Dataset, order: Order = EVERY) -> Study:
    results = make_results(_source(image), _classified(image), order)
    return Study(name=name, images=(image,), results=results)


def _made_up(name: str, images: list[Dataset], regions: int, order: Order = EVERY) -> Study:
    source = _source(*images)
    results = make_results(source, measured(make_prediction(source, regions)), order)
    return Study(name=name, images=tuple(images), results=results)


def _undetermined(name: str) -> Study:
    image = _radiograph(303)
    source = _source(image)
    made = make_prediction(source, regions=0)
    unsure = (
        replace(finding, presence=Presence.UNDETERMINED, probability=0.45 + 0.01 * place)
        for place, finding in enumerate(made.findings)
    )
    results = make_results(source, replace(made, findings=tuple(unsure)), EVERY)
    return Study(name=name, images=(image,), results=results)


def _multi_frame(name: str) -> Study:
    image = _cine(name)
    source = _source(image)
    frames = tuple(frame_of(image, number) for number in (1, 2, 3))
    made = make_prediction(source, regions=1)
    findings = (replace(finding, frame=frames[1]) for finding in made.findings)
    prediction = replace(made, frames=frames, findings=tuple(findings))
    return Study(name=name, images=(image,), results=make_results(source, prediction, EVERY))


def _not_analysed(name: str, language: str = "en") -> Study:
    image = _radiograph(305, name="SYNTHETIC^NOTICE")
    refusal = Refusal(cause=Cause.UNFAMILIAR, detail="score 9.1, at most 3.2", model=MODEL)
    notices = make_notices([_header(image)], refusal, replace(EVERY, language=language))
    return Study(name=name, images=(image,), results=notices)


def _withdrawn(name: str) -> Study:
    stays = _of_model(name, _radiograph(306, "pleural effusion"))
    header = dcmread(BytesIO(stays.results[0].part10), stop_before_pixels=True)
    refs = [result.ref for result in stays.results]
    withdrawal = make_withdrawal(header, refs, WithdrawalReason.QUALITY, EVERY)
    return replace(stays, results=(*stays.results, *withdrawal))


def _language(language: str, person: str) -> Callable[[str], Study]:
    def study(name: str) -> Study:
        image = _radiograph(310 + len(person), "pleural effusion", "nodule", name=person)
        return _of_model(name, image, replace(IN_WORDS, language=language))

    return study


_PARTIAL = replace(EVERY, partial=True, received=6, expected=9)

#: By name: what makes it.
STUDIES: Mapping[str, Callable[[str], Study]] = {
    "positive": lambda name: _of_model(name, _radiograph(301, "pleural effusion", "nodule")),
    "negative": lambda name: _of_model(name, _radiograph(302)),
    "undetermined": _undetermined,
    "many regions": lambda name: _made_up(name, [_radiograph(304)], 3),
    "wide image": lambda name: _made_up(name, [_wide(307)], 2),
    "partial CT": lambda name: _made_up(name, _ct(name), 1, _PARTIAL),
    "multi-frame": _multi_frame,
    "not analysed": _not_analysed,
    "withdrawn": _withdrawn,
    "German": _language("de", "Müller-Lüdenscheidt^Hans-Jörg"),
    "French": _language("fr", "Lefèvre^François"),
    "Spanish": _language("es", "Núñez^José"),
    "Chinese": _language("zh", "Wang^Xiaodong=王^小东"),
    "Japanese name": _language("en", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
}

"""Studies with their results, to be looked at: drawn images, every outcome, every kind of result.

Results of radiographs are those of the demonstration model where it can be wrong only in degree;
where an outcome has to be met exactly, or a modality is not the model's, findings are made up.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import Dataset, dcmread

from dicomnode.answers import Prediction, Presence, Refusal
from dicomnode.classify.card.folder import SHIPPED
from dicomnode.classify.classifier import Classifier
from dicomnode.classify.load import load_classifier
from dicomnode.errors import Cause
from dicomnode.records import WithdrawalReason
from dicomnode.report.notice import make_notices
from dicomnode.report.request import Order
from dicomnode.report.withdrawal import make_withdrawal
from tests.factories import make_part10
from tests.gallery.images import cine, ct, radiograph, wide
from tests.gallery.kinds import KINDS
from tests.gallery.study import EVERY, IN_WORDS, Study, header_of, source_of, study_of
from tests.unit.report.samples import MODEL, frame_of, make_prediction, measured

__all__ = ["STUDIES"]


@cache
def _model() -> Classifier:
    return load_classifier(SHIPPED / "demonstration")


def _classified(image: Dataset) -> Prediction:
    with TemporaryDirectory() as folder:
        file = Path(folder, "image.dcm")
        file.write_bytes(make_part10(image))
        return _model().classify([file])


# --- studies --------------------------------------------------------------------------------


def _of_model(name: str, image: Dataset, order: Order = EVERY) -> Study:
    return study_of(name, (image,), _classified(image), order)


def _made_up(name: str, images: list[Dataset], regions: int, order: Order = EVERY) -> Study:
    source = source_of(*images)
    return study_of(name, tuple(images), measured(make_prediction(source, regions)), order)


def _undetermined(name: str) -> Study:
    image = radiograph(303)
    source = source_of(image)
    made = make_prediction(source, regions=0)
    unsure = (
        replace(finding, presence=Presence.UNDETERMINED, probability=0.45 + 0.01 * place)
        for place, finding in enumerate(made.findings)
    )
    return study_of(name, (image,), replace(made, findings=tuple(unsure)))


def _multi_frame(name: str) -> Study:
    image = cine(name)
    source = source_of(image)
    frames = tuple(frame_of(image, number) for number in (1, 2, 3))
    made = make_prediction(source, regions=1)
    findings = (replace(finding, frame=frames[1]) for finding in made.findings)
    prediction = replace(made, frames=frames, findings=tuple(findings))
    return study_of(name, (image,), prediction)


def _not_analysed(name: str, language: str = "en") -> Study:
    image = radiograph(305, name="SYNTHETIC^NOTICE")
    refusal = Refusal(cause=Cause.UNFAMILIAR, detail="score 9.1, at most 3.2", model=MODEL)
    notices = make_notices([header_of(image)], refusal, replace(EVERY, language=language))
    return Study(name=name, images=(image,), results=notices)


def _withdrawn(name: str) -> Study:
    stays = _of_model(name, radiograph(306, "pleural effusion"))
    header = dcmread(BytesIO(stays.results[0].part10), stop_before_pixels=True)
    refs = [result.ref for result in stays.results]
    withdrawal = make_withdrawal(header, refs, WithdrawalReason.QUALITY, EVERY)
    return replace(stays, results=(*stays.results, *withdrawal))


def _language(language: str, person: str) -> Callable[[str], Study]:
    def study(name: str) -> Study:
        image = radiograph(310 + len(person), "pleural effusion", "nodule", name=person)
        return _of_model(name, image, replace(IN_WORDS, language=language))

    return study


_PARTIAL = replace(EVERY, partial=True, received=6, expected=9)

#: By name: what makes it.
STUDIES: Mapping[str, Callable[[str], Study]] = {
    "positive": lambda name: _of_model(name, radiograph(301, "pleural effusion", "nodule")),
    "negative": lambda name: _of_model(name, radiograph(302)),
    "undetermined": _undetermined,
    "many regions": lambda name: _made_up(name, [radiograph(304)], 3),
    "wide image": lambda name: _made_up(name, [wide(307)], 2),
    "partial CT": lambda name: _made_up(name, ct(name), 1, _PARTIAL),
    "multi-frame": _multi_frame,
    "not analysed": _not_analysed,
    "withdrawn": _withdrawn,
    "German": _language("de", "Müller-Lüdenscheidt^Hans-Jörg"),
    "French": _language("fr", "Lefèvre^François"),
    "Spanish": _language("es", "Núñez^José"),
    "Chinese": _language("zh", "Wang^Xiaodong=王^小东"),
    "Japanese name": _language("en", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    **KINDS,
}

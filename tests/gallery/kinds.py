"""Studies answered by models of every kind: one class, a grade; views, volumes, several models.

The networks are built, not trained: they tell how much of an image is brighter than nearly white.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom import Dataset
from pydicom.uid import MRImageStorage

from dicomnode.answers import Refusal
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Code, Label, Output
from dicomnode.classify.load import load_classifier
from dicomnode.errors import NotAnalysable
from dicomnode.report.notice import make_notices
from dicomnode.report.request import Order
from tests.gallery.images import ct, knee, lateral, radiograph
from tests.gallery.study import EVERY, IN_WORDS, Study, header_of, study_of
from tests.phantom import make_bright_finder, make_volume_input
from tests.tiny_model import make_ensemble

__all__ = ["KINDS"]

_LAYER = Explanation(method="hires-cam", layer="features.denseblock1")
_FRAME = {"size_px": 128, "channels": 1, "resize": "pad", "mean": (0.78,), "std": (1.0,)}
_VIEWS = Input(kind="views", slots=("PA", "LATERAL"), fusion="mean", **_FRAME)
_CLASSES, _GRADES = Output(kind="multi-class"), Output(kind="ordinal")


def _label(name: str, value: str, *, scheme: str = "SCT", **changes: Any) -> Label:
    code = Code(value=value, scheme=scheme, meaning=changes.pop("meaning", name))
    return Label(**({"name": name, "code": code, "threshold": 0.5} | changes))


_NODULE = _label("Nodule", "27925004")
_CAUSES = (
    _label("Normal", "17621005", normal=True, names={"fr": "Normal", "zh": "正常"}),
    _label(
        "Bacterial pneumonia",
        "53084003",
        names={"fr": "Pneumonie bactérienne", "zh": "细菌性肺炎"},
    ),
    _label("Viral pneumonia", "75570004", names={"fr": "Pneumonie virale", "zh": "病毒性肺炎"}),
)
_KL = tuple(
    _label(
        f"KL {grade}",
        f"KL{grade}",
        scheme="99GALLERY",
        meaning=f"Kellgren-Lawrence {grade}",
        margin=0.05,
    )
    for grade in range(5)
)
_KNEES: dict[str, Any] = {"output": _GRADES, "labels": _KL}
_PNEUMONIA: dict[str, Any] = {"output": _CLASSES, "labels": _CAUSES}


def _card(folder: Path, gain: Any, bias: Any, **changes: Any) -> Card:
    usual: dict[str, Any] = {
        "name": "built",
        "version": "1.0",
        "manufacturer": "dicomnode",
        "intended_use": "To be looked at",
        "disclaimer": "Built by hand for the gallery. Not for clinical use.",
        "input": Input(**_FRAME),
        "explanation": _LAYER,
        "labels": (_NODULE,),
    }
    return make_bright_finder(folder, gain, bias, **(usual | changes))


def _answered(name: str, images: Sequence[Dataset], folder: Path, order: Order = EVERY) -> Study:
    """What a model's answer becomes, or the notice that there is none."""
    classifier = load_classifier(folder, device="cpu", threads=1)
    order = replace(order, received=len(images), expected=len(images))
    try:
        return study_of(name, tuple(images), classifier.classify(images), order)
    except NotAnalysable as error:
        refusal = Refusal(cause=error.cause, detail=str(error), model=classifier.model)
        notices = make_notices([header_of(image) for image in images], refusal, order)
        return Study(name=name, images=tuple(images), results=notices)


def _by_one(
    images: Callable[[str], Sequence[Dataset]],
    gain: Any,
    bias: Any,
    order: Order = EVERY,
    **card: Any,
) -> Callable[[str], Study]:
    def study(name: str) -> Study:
        with TemporaryDirectory() as folder:
            _card(Path(folder), gain, bias, **card)
            return _answered(name, images(name), Path(folder), order)

    return study


def _by_several(
    images: Callable[[str], Sequence[Dataset]], gains: Sequence[Any], bias: Any, **card: Any
) -> Callable[[str], Study]:
    def study(name: str) -> Study:
        with TemporaryDirectory() as folder:
            members = [
                _card(Path(folder, f"member-{n}"), gain, bias, name=f"member-{n}", **card)
                for n, gain in enumerate(gains, 1)
            ]
            about = {key: getattr(members[0], key) for key in ("manufacturer", "disclaimer")}
            make_ensemble(Path(folder, "several"), *members, **about)
            return _answered(name, images(name), Path(folder, "several"))

    return study


# --- images ---------------------------------------------------------------------------------


def _chest(seed: int, spot: float = 1.0, **changes: Any) -> Callable[[str], Sequence[Dataset]]:
    return lambda name: [radiograph(seed, spot=spot, **changes)]


def _two_views(seed: int) -> Callable[[str], Sequence[Dataset]]:
    def images(name: str) -> Sequence[Dataset]:
        frontal = radiograph(seed, spot=0.01)
        return [frontal, lateral(frontal, spot=1.0)]

    return images


def _knee(name: str) -> Sequence[Dataset]:
    return [knee(name)]


def _slices(nodule: int | None, **changes: Any) -> Callable[[str], Sequence[Dataset]]:
    return lambda name: ct(name, 12, nodule=nodule, **changes)


def _without_one(name: str) -> Sequence[Dataset]:
    slices = ct(name, 12, nodule=8)
    return [*slices[:5], *slices[6:]]


_MR: dict[str, Any] = {
    "SOPClassUID": MRImageStorage,
    "Modality": "MR",
    "RescaleIntercept": None,
    "RescaleSlope": None,
    "WindowCenter": 1000,
    "WindowWidth": 2000,
}
_GRID = make_volume_input(intensity=(1000.0, 2000.0), spacing_mm=(5.0, 12.0, 12.0))
_MR_GRID = make_volume_input(intensity=None, percentiles=(1.0, 99.0), spacing_mm=(5.0, 12.0, 12.0))

#: By name: what makes it.
KINDS: Mapping[str, Callable[[str], Study]] = {
    "one finding": _by_one(_chest(320), 4000, -3, output=Output(kind="binary")),
    "one class": _by_one(_chest(321), (0, 2000, 4000), (1, 0, -1), **_PNEUMONIA),
    "normal class": _by_one(_chest(322, 0.1), (0, 2000, 4000), (1, -1, -1), **_PNEUMONIA),
    "no class": _by_one(_chest(323), (0, 10, 12), (0.2, 0, 0), **_PNEUMONIA),
    "grade": _by_one(_knee, 1000, (3, 0.5, -3, -5), **_KNEES),
    "lowest grade": _by_one(_knee, 1000, (-5, -6, -7, -8), **_KNEES),
    "grade undetermined": _by_one(_knee, 1000, (3, 0.5, -1.5, -5), **_KNEES),
    "two views": _by_one(_two_views(324), 6000, -3, input=_VIEWS),
    "one view missing": _by_one(_chest(325), 2000, -3, input=_VIEWS),
    "volume": _by_one(_slices(8), 12000, -4, input=_GRID),
    "empty volume": _by_one(_slices(None, **_MR), 1, -4, input=_MR_GRID),
    "torn volume": _by_one(_without_one, 2000, -4, input=_GRID),
    "several models": _by_several(_chest(326), (3000, 4000, 6000), -3),
    "grade in German": _by_one(
        _knee, 1000, (3, 0.5, -3, -5), replace(IN_WORDS, language="de"), **_KNEES
    ),
    "class in French": _by_one(
        _chest(327), (0, 2000, 4000), (1, 0, -1), replace(IN_WORDS, language="fr"), **_PNEUMONIA
    ),
    "volume in Spanish": _by_one(
        _slices(8), 12000, -4, replace(IN_WORDS, language="es"), input=_GRID
    ),
    "no class in Chinese": _by_one(
        _chest(328), (0, 10, 12), (0.2, 0, 0), replace(IN_WORDS, language="zh"), **_PNEUMONIA
    ),
}

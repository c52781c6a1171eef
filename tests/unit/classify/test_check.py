"""Which images a model is for: by modality, view, size and grey levels, with the reason."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.answers import FrameRef
from dicomnode.classify.card.input import Input
from dicomnode.classify.samples.check import blank, misfit, refusal
from dicomnode.dicom.pixels import Frame
from dicomnode.errors import Cause, NotAnalysable
from dicomnode.records import InstanceRef
from tests.factories import make_dataset

VIEWS = ("PA", "AP")


def recipe(**changes: Any) -> Input:
    usual: dict[str, Any] = {
        "size_px": 16, "channels": 1, "resize": "pad", "mean": (0.0,), "std": (1.0,)
    }  # fmt: skip
    return Input(**(usual | changes))


def coded(value: str) -> list[Dataset]:
    code = Dataset()
    code.CodeValue = value
    return [code]


@pytest.mark.parametrize(
    ("wanted", "given", "cause", "words"),
    [
        ({"modalities": ("CR", "DX")}, {"Modality": "CT"}, Cause.MODALITY, "CR, DX.*modality CT"),
        ({"modalities": ("CR",)}, {"Modality": None}, Cause.MODALITY, "no modality"),
        ({"views": VIEWS}, {"ViewPosition": "LL"}, Cause.VIEW, "views PA, AP.*view LL"),
        ({"views": VIEWS}, {"ViewCodeSequence": coded("399173006")}, Cause.VIEW, "view LL"),
        ({"views": VIEWS}, {"PatientOrientation": ["A", "F"]}, Cause.VIEW, "view LATERAL"),
        ({"views": VIEWS}, {"PatientOrientation": ["PL", "F"]}, Cause.VIEW, "view LATERAL"),
        ({"views": VIEWS, "views_required": True}, {}, Cause.VIEW, "no view"),
        ({"min_px": 17}, {}, Cause.SIZE, "17 pixels.*16 x 16"),
        ({"min_px": 17}, {"Rows": 64}, Cause.SIZE, "16 x 64"),
        ({"min_bits": 13}, {}, Cause.SIZE, "13 bits.*has 12"),
    ],
)
def test_says_why_an_image_is_not_for_the_model(
    wanted: dict[str, Any], given: dict[str, Any], cause: Cause, words: str
) -> None:
    why = misfit(make_dataset(**given), recipe(**wanted))
    assert why is not None
    assert why.cause is cause
    with pytest.raises(NotAnalysable, match=words):
        raise why


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ({}, {"Modality": None}),
        ({"min_px": 17, "min_bits": 13}, {"BitsStored": None, "Rows": None}),
        ({"modalities": ("CT",)}, {}),
        ({"views": VIEWS}, {}),  # most units do not say
        ({"views": VIEWS}, {"ViewPosition": "PA"}),
        ({"views": VIEWS}, {"ViewCodeSequence": coded("272479007")}),
        ({"views": VIEWS, "views_required": True}, {"ViewCodeSequence": coded("R-10206")}),
        ({"views": VIEWS}, {"ViewCodeSequence": coded("something else")}),
        ({"views": VIEWS}, {"PatientOrientation": ["L", "F"]}),
        ({"views": VIEWS}, {"PatientOrientation": ["A", "F"], "ViewPosition": "AP"}),
        ({"min_px": 16, "min_bits": 12}, {}),
    ],
)
def test_an_image_that_fits_is_let_through(wanted: dict[str, Any], given: dict[str, Any]) -> None:
    assert misfit(make_dataset(**given), recipe(**wanted)) is None


@pytest.mark.parametrize("keyword", ["Modality", "ViewPosition"])
def test_what_someone_wrote_into_an_attribute_stays_there(keyword: str) -> None:
    header = make_dataset()
    setattr(header, keyword, "SECRET_PERSON")
    why = misfit(header, recipe(modalities=("CT",), views=VIEWS))
    assert why is not None
    assert "SECRET" not in str(why)


def frame(pixels: Any) -> Frame:
    image = InstanceRef(sop_class_uid="", sop_instance_uid="", series_uid="", study_uid="")
    rows, columns = pixels.shape
    ref = FrameRef(image=image, frame=None, rows=rows, columns=columns)
    return Frame(ref=ref, pixels=pixels.astype(np.float32), rgb=None, aspect=1.0)


@pytest.mark.parametrize("size", [16, 1500])
def test_a_blank_frame_is_no_picture(size: int) -> None:
    flat = np.full((size, size), 0.3)
    flat[: size // 2] = 0.7
    why = blank(frame(flat), recipe(min_levels=3))
    assert why is not None
    assert why.cause is Cause.SIZE
    assert "3 grey levels; an image shows 2" in str(why)
    assert blank(frame(flat), recipe(min_levels=2)) is None
    rising = np.tile(np.linspace(0, 1, size), (size, 1))
    assert blank(frame(rising), recipe(min_levels=16)) is None


def reasons(*pairs: tuple[str, Cause]) -> Sequence[NotAnalysable]:
    return [NotAnalysable(words, cause) for words, cause in pairs]


def test_images_refused_for_different_causes_are_none_that_fits_each_with_its_reason() -> None:
    side = ("a side view", Cause.VIEW)
    why = refusal(reasons(("a CT", Cause.MODALITY), side, side))
    assert why.cause is Cause.NONE_FITS
    assert str(why) == "2 of 3 images: a side view. 1 of 3 images: a CT"


def test_images_refused_for_one_cause_keep_it_whatever_their_reasons() -> None:
    why = refusal(reasons(("too small", Cause.SIZE), ("too flat", Cause.SIZE)))
    assert why.cause is Cause.SIZE
    assert str(why) == "1 of 2 images: too small. 1 of 2 images: too flat"


def test_one_image_is_not_counted() -> None:
    why = refusal(reasons(("a side view", Cause.VIEW)))
    assert (why.cause, str(why)) == (Cause.VIEW, "a side view")


def test_a_study_without_images_says_so() -> None:
    assert refusal([]).cause is Cause.NO_IMAGE

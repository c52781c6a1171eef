"""Several images of one study, one answer: which are taken, what is missing, where it is shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.answers import Presence
from dicomnode.classify.card.input import Input, Slot
from dicomnode.classify.classifier import Classifier
from dicomnode.classify.load import load_classifier
from dicomnode.errors import Cause, NotAnalysable
from tests.factories import make_dataset
from tests.phantom import make_bright_finder

SPOT = (slice(40, 72), slice(64, 104))  #: rows, columns
FUSIONS: dict[str, dict[str, Any]] = {
    "stack": {"method": "occlusion"},
    "mean": {"method": "hires-cam", "layer": "features.denseblock1"},
}


def recipe(**changes: Any) -> Input:
    usual: dict[str, Any] = {
        "kind": "views", "size_px": 64, "channels": 1, "resize": "pad", "mean": (0.0,),
        "std": (1.0,), "slots": ("PA", "LATERAL"),
    }  # fmt: skip
    return Input(**(usual | changes))


def radiograph(view: str, number: int = 1, *, bright: bool = False, **changes: Any) -> Dataset:
    """A dark picture of 128 x 128, with a bright spot if it has one."""
    pixels = np.zeros((128, 128), dtype="<u2")
    if bright:
        pixels[SPOT] = 4095
    own: dict[str, Any] = {
        "Modality": "DX", "ViewPosition": view or None, "Rows": 128, "Columns": 128,
        "RescaleIntercept": "0", "WindowCenter": "2048", "WindowWidth": "4096",
        "PixelData": pixels.tobytes(),
    }  # fmt: skip
    ds = make_dataset(number, **(own | changes))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    return ds


def model(folder: Path, fusion: str = "mean", **changes: Any) -> Classifier:
    make_bright_finder(
        folder, 200.0, input=recipe(fusion=fusion, **changes), explanation=FUSIONS[fusion]
    )
    return load_classifier(folder, device="cpu", threads=1)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("where", [0, 1])
def test_the_answer_is_of_all_views_and_shown_on_the_one_that_speaks_for_it(
    tmp_path: Path, fusion: str, where: int
) -> None:
    study = [radiograph("LL", 1, bright=where == 1), radiograph("PA", 2, bright=where == 0)]
    prediction = model(tmp_path, fusion).classify(study)
    frontal, side = study[1].SOPInstanceUID, study[0].SOPInstanceUID
    assert [frame.image.sop_instance_uid for frame in prediction.frames] == [frontal, side]
    (finding,) = prediction.findings
    assert finding.presence is Presence.PRESENT
    assert finding.frame.image.sop_instance_uid == (frontal, side)[where]
    column, row = np.array(finding.regions[0].outline[:-1]).mean(0)
    assert SPOT[0].start < row < SPOT[0].stop
    assert SPOT[1].start < column < SPOT[1].stop
    assert finding.heat is not None
    assert finding.heat.shape == (128, 128)
    assert prediction.left_out == 0


@pytest.mark.parametrize("fusion", FUSIONS)
def test_nothing_is_found_where_no_view_shows_anything(tmp_path: Path, fusion: str) -> None:
    (finding,) = model(tmp_path, fusion).classify([radiograph("PA"), radiograph("LL", 2)]).findings
    assert finding.presence is Presence.ABSENT


def test_a_missing_view_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAnalysable, match=r"PA, LATERAL together; .* has no LATERAL") as caught:
        model(tmp_path).classify([radiograph("PA")])
    assert caught.value.cause is Cause.INCOMPLETE


def test_a_study_of_other_views_says_which_are_wanted(tmp_path: Path) -> None:
    with pytest.raises(NotAnalysable, match="views PA, LATERAL; an image has view AP") as caught:
        model(tmp_path).classify([radiograph("AP")])
    assert caught.value.cause is Cause.VIEW


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ({"AcquisitionTime": "101500"}, {"AcquisitionTime": "101400"}, 0),
        ({"AcquisitionDateTime": "20250102101400"}, {"AcquisitionDateTime": "20250102101500"}, 1),
        ({"ContentTime": "101500"}, {"ContentTime": "101400"}, 0),
        ({}, {}, 1),
    ],
)
def test_of_two_images_of_one_view_the_later_is_taken(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], taken: int
) -> None:
    study = [radiograph("PA", 1, **first), radiograph("PA", 2, **second), radiograph("LL", 3)]
    prediction = model(tmp_path).classify(study)
    assert prediction.frames[0].image.sop_instance_uid == study[taken].SOPInstanceUID
    assert prediction.left_out == 1


def test_images_that_are_none_of_the_views_are_left_out(tmp_path: Path) -> None:
    report = make_dataset(9, PixelData=None, Rows=None, Columns=None)
    study = [radiograph("AP", 1), radiograph("", 2), report, radiograph("PA", 3)]
    study += [radiograph("LL", 4), radiograph("PA", 5, NumberOfFrames=2)]
    prediction = model(tmp_path).classify(study)
    assert (len(prediction.frames), prediction.left_out) == (2, 3)


def test_a_view_may_be_of_one_side_only(tmp_path: Path) -> None:
    study = [
        radiograph("MLO", 1, ImageLaterality="L"),
        radiograph("MLO", 2, ImageLaterality="R", bright=True),
    ]
    prediction = model(tmp_path, slots=("R MLO", "L MLO")).classify(study)
    order = [frame.image.sop_instance_uid for frame in prediction.frames]
    assert order == [study[1].SOPInstanceUID, study[0].SOPInstanceUID]
    assert prediction.findings[0].frame.image.sop_instance_uid == study[1].SOPInstanceUID


def test_a_blank_view_stops_the_study(tmp_path: Path) -> None:
    study = [radiograph("PA", bright=True), radiograph("LL", 2)]
    with pytest.raises(NotAnalysable, match="an image shows 1"):
        model(tmp_path, min_levels=2).classify(study)


def test_slots_are_written_as_names_or_whole() -> None:
    slots = recipe(slots=("LATERAL", {"name": "front", "views": ["PA", "AP"]})).slots
    assert slots[0] == Slot(name="LATERAL", views=("LATERAL", "LL", "RL"))
    assert slots[1].views == ("PA", "AP")
    assert Slot.model_validate("L CC") == Slot(name="L CC", views=("CC",), laterality="L")
    for wrong in ((), ("PA",), ("PA", "PA")):
        with pytest.raises(ValidationError, match="slots"):
            recipe(slots=wrong)


def test_views_in_one_image_are_not_explained_by_what_cannot_tell_them_apart(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValidationError, match="cannot tell them apart"):
        make_bright_finder(tmp_path, 1.0, input=recipe(fusion="stack"), explanation=FUSIONS["mean"])


def test_a_model_names_its_views(tmp_path: Path) -> None:
    assert model(tmp_path).model.views == ("PA", "LATERAL")

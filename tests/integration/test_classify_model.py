"""The shipped model, from its folder to an answer, on drawn and on real radiographs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.answers import Prediction, Presence, Region
from dicomnode.classify.card.folder import find_models, read_card
from dicomnode.classify.classifier import Classifier
from dicomnode.classify.load import load_classifier
from dicomnode.errors import Cause, NotAnalysable
from dicomnode.learn.drawing import FINDINGS, draw
from dicomnode.learn.synthetic import synthetic_dx
from tests.factories import make_dataset
from tests.tools import NIH, require

MODEL = find_models()["demonstration"]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier(MODEL, device="cpu", threads=1)


def present(classifier: Classifier, image: Dataset) -> set[str]:
    findings = classifier.classify([image]).findings
    return {finding.label for finding in findings if finding.presence is Presence.PRESENT}


@pytest.mark.parametrize("finding", FINDINGS)
def test_finds_what_was_planted(classifier: Classifier, finding: str) -> None:
    answers = [present(classifier, synthetic_dx(seed, [finding], rows=320)) for seed in range(8)]
    assert sum(finding in answer for answer in answers) >= 7


def test_finds_little_in_the_healthy(classifier: Classifier) -> None:
    answers = [present(classifier, synthetic_dx(seed, rows=320)) for seed in range(8)]
    assert sum(len(answer) for answer in answers) <= 3


def test_the_size_of_the_detector_changes_little(classifier: Classifier) -> None:
    small, large = (
        [
            f.probability
            for f in classifier.classify([synthetic_dx(4, ["nodule"], rows=rows)]).findings
        ]
        for rows in (320, 1600)
    )
    assert np.abs(np.array(small) - large).max() < 0.3


def test_a_present_finding_is_shown_on_its_frame(classifier: Classifier) -> None:
    image = synthetic_dx(2, ["cardiomegaly"], rows=320)
    finding = classifier.classify([image]).findings[0]
    assert finding.heat is not None
    assert finding.heat.shape == (image.Rows, image.Columns)
    assert 1 <= len(finding.regions) <= 5
    for region in finding.regions:
        assert region.outline[0] == region.outline[-1]
        columns, rows = np.array(region.outline).T
        assert 0 <= columns.min() < columns.max() <= image.Columns
        assert 0 <= rows.min() < rows.max() <= image.Rows


def test_the_largest_region_of_a_planted_finding_lies_on_it(classifier: Classifier) -> None:
    """Held-out drawings through the whole stage; `models evaluate` tells the figure of many."""
    hits = []
    for seed in range(5000, 5028):
        planted = FINDINGS[seed % len(FINDINGS)]
        mask = draw(seed, [planted], rows=320).masks[planted]
        findings = classifier.classify([synthetic_dx(seed, [planted], rows=320)]).findings
        finding = findings[FINDINGS.index(planted)]
        if finding.presence is Presence.PRESENT:
            column, row = middle(finding.regions[0])
            hits.append(mask[int(row), int(column)])
    assert len(hits) >= 26
    assert np.mean(hits) >= 0.9


def middle(region: Region) -> tuple[float, float]:
    """The centre of mass of what an outline goes round, (column, row)."""
    rows, columns = np.mgrid[0:320, 0:400]
    mask = Image.new("1", (400, 320))
    ImageDraw.Draw(mask).polygon([tuple(point) for point in region.outline], fill=1)
    inside = np.asarray(mask)
    return columns[inside].mean() + 0.5, rows[inside].mean() + 0.5


ANSWER = """
import json
from dicomnode.classify.card.folder import find_models
from dicomnode.classify.load import load_classifier
from dicomnode.learn.synthetic import synthetic_dx
classifier = load_classifier(find_models()["demonstration"], device="cpu", threads=1)
found = classifier.classify([synthetic_dx(9, ["nodule", "cardiomegaly"], rows=320)]).findings
print(json.dumps([[f.label, f.probability, repr(f.regions)] for f in found]))
"""


def test_gives_the_same_answer_again_and_in_a_new_process(classifier: Classifier) -> None:
    image = synthetic_dx(9, ["nodule", "cardiomegaly"], rows=320)
    first, again = (
        [[f.label, f.probability, repr(f.regions)] for f in classifier.classify([image]).findings]
        for _ in range(2)
    )
    assert first == again
    run = subprocess.run([sys.executable, "-c", ANSWER], capture_output=True, check=True)
    assert json.loads(run.stdout) == first


def test_a_series_of_slices_is_judged_as_one(classifier: Classifier) -> None:
    images = [synthetic_dx(11, rows=320), synthetic_dx(11, ["cardiomegaly"], rows=320, number=2)]
    prediction = classifier.classify(images)
    assert len(prediction.frames) == 2
    assert prediction.findings[0].frame.image.sop_instance_uid == images[1].SOPInstanceUID


def test_the_card_is_true_to_its_recipe() -> None:
    card = read_card(MODEL)
    assert (MODEL / "recipe.toml").is_file()
    assert (MODEL / card.weights.file).stat().st_size < 2_000_000
    assert card.evaluation is not None
    assert all(measures.auroc.low > 0.95 for measures in card.evaluation.measures)
    assert {shown.label for shown in card.explanation.measures} == set(FINDINGS)
    assert all(shown.centre.low >= 0.9 for shown in card.explanation.measures)
    assert sum(shown.findings for shown in card.explanation.measures) >= 200


def radiograph(path: Path) -> Dataset:
    """A real one, as an 8-bit secondary capture."""
    pixels = np.asarray(Image.open(path).convert("L"))
    rows, columns = pixels.shape
    ds = make_dataset(
        rows=rows, columns=columns, PixelData=pixels.tobytes(), BitsAllocated=8, BitsStored=8,
        HighBit=7, RescaleIntercept=None, RescaleSlope=None, WindowCenter=128, WindowWidth=256,
        Modality="DX",
    )  # fmt: skip
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    return ds


def outcome(classifier: Classifier, image: Dataset) -> Prediction | Cause:
    try:
        return classifier.classify([image])
    except NotAnalysable as refusal:
        return refusal.cause


def grey(pixels: NDArray[np.floating[Any]], **changes: Any) -> Dataset:
    """A picture of 0..1 as if a radiography unit had sent it."""
    ds = synthetic_dx(1, rows=128)
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = np.rint(np.clip(pixels, 0, 1) * 4095).astype("<u2").tobytes()
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def test_drawings_of_any_size_are_familiar(classifier: Classifier) -> None:
    for rows in (96, 128, 700):
        for seed in range(6):
            image = synthetic_dx(70_000 + seed, FINDINGS[seed % 4 : seed % 4 + 1], rows=rows)
            assert classifier.classify([image]).left_out == 0


def strange() -> dict[str, Dataset]:
    dice = np.random.default_rng(1)
    chest = draw(3, rows=320).pixels / 4095
    down, right = np.mgrid[-1:1:256j, -1:1:256j]
    section = np.where(right**2 / 0.7 + down**2 / 0.4 < 1, 0.5, 0)
    section[(np.abs(right) - 0.4) ** 2 + down**2 < 0.06] = 0.05
    return {
        "noise": grey(dice.random((256, 256))),
        "fine noise": grey(dice.random((700, 700))),
        "normal noise of a large detector": grey(dice.normal(0.5, 0.1, (1500, 1500)).clip(0, 1)),
        "a slope": grey((right + 1) / 2),
        "a slice": grey(section + dice.normal(0, 0.01, section.shape)),
        "inverted": grey(1 - chest),
        "on its side": grey(np.rot90(chest)),
    }


@pytest.mark.parametrize("name", strange())
def test_what_is_no_radiograph_of_a_chest_is_unfamiliar(classifier: Classifier, name: str) -> None:
    assert outcome(classifier, strange()[name]) is Cause.UNFAMILIAR


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"Modality": "CT"}, Cause.MODALITY),
        ({"ViewPosition": "LL"}, Cause.VIEW),
        ({"BitsStored": 4}, Cause.SIZE),
    ],
)
def test_the_card_says_what_is_for_the_model(
    classifier: Classifier, changes: dict[str, Any], cause: Cause
) -> None:
    assert outcome(classifier, grey(draw(3, rows=128).pixels / 4095, **changes)) is cause


@pytest.mark.parametrize("pixels", [np.full((128, 128), 0.4), np.ones((40, 200))])
def test_a_blank_or_a_tiny_image_is_not_for_the_model(
    classifier: Classifier, pixels: NDArray[np.float64]
) -> None:
    assert outcome(classifier, grey(pixels)) is Cause.SIZE


def test_most_real_radiographs_are_familiar_and_get_an_answer_for_every_label(
    classifier: Classifier,
) -> None:
    require("nih")
    outcomes = [
        outcome(classifier, radiograph(path))
        for path in sorted((NIH / "images").glob("*.png"))[::10]
    ]
    answered = [each for each in outcomes if isinstance(each, Prediction)]
    assert len(answered) >= 0.9 * len(outcomes)
    assert {each for each in outcomes if not isinstance(each, Prediction)} <= {Cause.UNFAMILIAR}
    for prediction in answered:
        assert [finding.label for finding in prediction.findings] == list(FINDINGS)
        for finding in prediction.findings:
            assert 0 <= finding.probability <= 1
            assert (finding.heat is not None) == (finding.presence is Presence.PRESENT)

"""The study's answer from its frames, worked by hand on a network that measures brightness."""

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydicom import Dataset, FileMetaDataset
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.answers import Interval, Prediction, Presence
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.fitted import Calibration, Novelty
from dicomnode.classify.card.folder import write_card
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.measured import Evaluation, Measures
from dicomnode.classify.card.tables import Estimate, Weights
from dicomnode.classify.explaining.explain import Explainer
from dicomnode.classify.load import load_classifier
from dicomnode.classify.model_classifier import ModelClassifier
from dicomnode.classify.network import Answering
from dicomnode.classify.novelty import Usual
from dicomnode.classify.runtimes.batched import Batched
from dicomnode.classify.runtimes.eager import Eager
from dicomnode.classify.weights import save_weights
from dicomnode.errors import Cause, ModelError, NotAnalysable
from tests.factories import make_dataset, write_part10
from tests.tiny_model import Brightness, make_card, make_label, make_model


def grey(*levels: float, number: int = 1, **changes: Any) -> Dataset:
    """An image with a frame of each level, 0 black to 1 white."""
    stored = [np.full((16, 16), round(level * 4095), dtype="<u2").tobytes() for level in levels]
    ds = make_dataset(
        number,
        RescaleIntercept="0",
        WindowCenter="2048",
        WindowWidth="4096",
        PixelData=b"".join(stored),
        NumberOfFrames=len(levels) if len(levels) > 1 else None,
        **changes,
    )
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    return ds


def classify(images: Sequence[Dataset | Path], **changes: Any) -> Prediction:
    card = make_card(**changes)
    return joined(card, Brightness(len(card.labels))).classify(images)


def joined(card: Card, network: torch.nn.Module, usual: Usual | None = None) -> ModelClassifier:
    runtime = Batched(Eager(Answering(network, card), torch.device("cpu")))
    return ModelClassifier(card, runtime, Explainer(network, card.explanation), usual)


def expected(level: float) -> float:
    return round(1 / (1 + math.exp(5 - 10 * level)), 4)


def shown(prediction: Prediction, images: list[Dataset]) -> list[tuple[int, int | None]]:
    """Which frames were analysed: position of the image, number of the frame."""
    uids = [image.SOPInstanceUID for image in images]
    return [(uids.index(ref.image.sop_instance_uid), ref.frame) for ref in prediction.frames]


def recipe(**changes: Any) -> Input:
    usual: dict[str, Any] = {
        "size_px": 16, "channels": 1, "resize": "pad", "mean": (0.0,), "std": (1.0,)
    }  # fmt: skip
    return Input(**(usual | changes))


def test_says_how_probable_each_label_is() -> None:
    labels = (make_label("one"), make_label("two"))
    prediction = classify([grey(0.6)], labels=labels)
    assert [finding.label for finding in prediction.findings] == ["one", "two"]
    assert [finding.probability for finding in prediction.findings] == [expected(0.6)] * 2
    assert prediction.model == make_card().model


@pytest.mark.parametrize(
    ("modality", "words"), [("CT", "for CR, DX; an image has modality CT"), ("", "no modality")]
)
def test_speaks_of_no_modality_that_it_is_not_for(modality: str, words: str) -> None:
    image = grey(0.6)
    image.Modality = modality
    with pytest.raises(NotAnalysable, match=words) as caught:
        classify([image], input=recipe(modalities=("CR", "DX")))
    assert caught.value.cause is Cause.MODALITY

    image.Modality = "DX"
    assert classify([image], input=recipe(modalities=("CR", "DX"))).frames


def test_images_that_do_not_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    frontal, side, slices = grey(0.2), grey(0.9, number=2), grey(0.9, 0.9, number=3)
    frontal.ViewPosition, side.ViewPosition, slices.ViewPosition = "PA", "LL", "RL"
    report = make_dataset(9, PixelData=None, Rows=None, Columns=None)
    images: list[Dataset | Path] = [
        write_part10(side, tmp_path / "side.dcm"),
        report,
        slices,
        frontal,
    ]
    prediction = classify(images, input=recipe(views=("PA",), images="first"))
    assert prediction.findings[0].probability == expected(0.2)
    assert [ref.image.sop_instance_uid for ref in prediction.frames] == [frontal.SOPInstanceUID]
    assert prediction.left_out == 2


def test_an_image_is_left_out_if_none_of_its_frames_fits() -> None:
    def shades(*levels: float, number: int, blank: bool) -> Dataset:
        ds = grey(*levels, number=number)
        shade = np.frombuffer(ds.PixelData, "<u2").reshape(-1, 16, 16).copy()
        shade[0, :8] += 0 if blank else 400
        ds.PixelData = shade.tobytes()
        return ds

    mixed, empty = shades(0.2, 0.9, number=1, blank=False), shades(0.9, 0.9, number=2, blank=True)
    prediction = classify([mixed, empty], input=recipe(min_levels=2))
    assert shown(prediction, [mixed, empty]) == [(0, 1)]
    assert prediction.left_out == 1
    with pytest.raises(NotAnalysable, match="shows 1"):
        classify([empty], input=recipe(min_levels=2))


def test_an_unfamiliar_image_is_left_out_in_the_pass_that_answers() -> None:
    network, passes = Brightness(), []
    network.register_forward_hook(lambda *_: passes.append(1))
    novelty = Novelty(
        layer="look", grid=1, threshold=1.0, dataset="grey", images=2, accepted=1.0,
        numbers=Weights(file="usual.safetensors", sha256="0" * 64),
    )  # fmt: skip
    numbers = {"mean": torch.tensor([2.0]), "spread": torch.tensor([1.0])}
    card = make_card(novelty=novelty)
    classifier = joined(card, network, Usual(novelty, numbers))

    prediction = classifier.classify([grey(0.2), grey(0.9, number=2)])

    assert prediction.findings[0].probability == expected(0.2)
    assert (len(prediction.frames), prediction.left_out, len(passes)) == (1, 1, 1)
    with pytest.raises(NotAnalysable) as caught:
        classifier.classify([grey(0.9)])
    assert caught.value.cause is Cause.UNFAMILIAR


def test_loads_what_is_usual_only_from_the_file_that_the_card_names(tmp_path: Path) -> None:
    card = make_model(tmp_path)
    numbers = {"mean": torch.full((4,), 1e6), "spread": torch.ones(4)}
    novelty = Novelty(
        layer="features.conv0", grid=1, threshold=1.0, dataset="none", images=1, accepted=0.0,
        numbers=save_weights(numbers, tmp_path / "usual.safetensors"),
    )  # fmt: skip
    write_card(card.model_copy(update={"novelty": novelty}), tmp_path)
    with pytest.raises(NotAnalysable, match="unlike those"):
        load_classifier(tmp_path, device="cpu").classify([grey(0.5)])

    (tmp_path / "usual.safetensors").write_bytes(b"others")
    with pytest.raises(ModelError, match=r"usual\.safetensors"):
        load_classifier(tmp_path, device="cpu")


def test_probabilities_are_calibrated_before_the_threshold_decides() -> None:
    calibration = Calibration(
        method="platt", temperatures=(2.0,), offsets=(-1.0,), dataset="grey", images=2
    )
    plain, bent = (
        classify([grey(0.6)], labels=(make_label(threshold=0.5),), **changes)
        for changes in ({}, {"calibration": calibration})
    )
    assert plain.findings[0].presence is Presence.PRESENT
    assert bent.findings[0].probability == pytest.approx(1 / (1 + math.exp(0.5)), abs=2e-3)
    assert bent.findings[0].presence is Presence.ABSENT
    assert (plain.model.calibration, bent.model.calibration) == ("", "platt")


def test_no_answer_is_certain_whatever_the_network_says() -> None:
    sure = Calibration(
        method="platt", temperatures=(1e-3,), offsets=(0.0,), dataset="grey", images=2
    )
    for level, said in ((0.0, 0.0001), (1.0, 0.9999)):
        assert classify([grey(level)], calibration=sure).findings[0].probability == said


def test_a_finding_carries_its_operating_point_and_its_names() -> None:
    label = make_label().model_copy(update={"names": {"de": "hell"}})
    share = Estimate(value=0.8, low=0.7, high=0.9)
    measures = Measures(
        label="bright", positives=3, negatives=4, auroc=share, sensitivity=share, specificity=share
    )
    evaluation = Evaluation(
        dataset="seven drawings",
        images=7,
        seed=1,
        measures=(measures,),
        translations={"de": "sieben Zeichnungen"},
    )
    first, second = classify(
        [grey(0.6)], labels=(label, make_label("other")), evaluation=evaluation
    ).findings
    assert first.names == {"de": "hell"}
    assert first.operating is not None
    assert (first.operating.positives, first.operating.negatives) == (3, 4)
    assert first.operating.sensitivity == Interval(value=0.8, low=0.7, high=0.9)
    assert first.operating.data == "seven drawings"
    assert first.operating.translations == {"de": "sieben Zeichnungen"}
    assert second.operating is None


def test_the_most_suspicious_frame_speaks_for_the_study() -> None:
    images = [grey(0.2, number=1), grey(0.4, 0.8, 0.3, number=2), grey(0.1, number=3)]
    prediction = classify(images)
    (finding,) = prediction.findings
    assert finding.probability == expected(0.8)
    assert finding.frame.image.sop_instance_uid == images[1].SOPInstanceUID
    assert finding.frame.frame == 2
    assert shown(prediction, images) == [(0, None), (1, 1), (1, 2), (1, 3), (2, None)]


def test_the_first_of_equal_frames_speaks() -> None:
    images = [grey(0.7, number=1), grey(0.7, number=2)]
    assert classify(images).findings[0].frame.image.sop_instance_uid == images[0].SOPInstanceUID


@pytest.mark.parametrize(
    ("threshold", "margin", "presence"),
    [
        (0.5, 0.0, Presence.PRESENT),  # the threshold itself is present
        (0.5001, 0.0, Presence.ABSENT),
        (0.52, 0.05, Presence.UNDETERMINED),
        (0.48, 0.05, Presence.UNDETERMINED),
        (0.6, 0.05, Presence.ABSENT),
        (0.4, 0.05, Presence.PRESENT),
    ],
)
def test_threshold_and_margin_decide(threshold: float, margin: float, presence: Presence) -> None:
    label = make_label(threshold=threshold, margin=margin)
    half = grey(0.5)
    half.WindowCenter, half.WindowWidth = str(round(0.5 * 4095) + 0.5), "2"  # exactly one half
    (finding,) = classify([half], labels=(label,)).findings
    assert finding.probability == 0.5
    assert finding.presence is presence


def test_only_present_findings_are_explained() -> None:
    labels = (make_label("low", 0.1), make_label("high", 0.99))
    low, high = classify([grey(0.7)], labels=labels).findings
    assert low.heat is not None
    assert low.heat.shape == (16, 16)
    assert low.regions
    assert high.heat is None
    assert high.regions == ()


@pytest.mark.parametrize(
    ("changes", "frames"),
    [
        ({"images": "first"}, [(0, None)]),
        ({"images": "middle"}, [(1, 2)]),
        ({"images": "all"}, [(0, None), (1, 1), (1, 2), (1, 3), (2, None)]),
        ({"images": "all", "max_images": 2}, [(1, 1), (1, 3)]),
        ({"images": "all", "max_images": 1}, [(1, 2)]),
    ],
)
def test_the_card_says_which_frames_are_looked_at(
    changes: dict[str, Any], frames: list[tuple[int, int | None]]
) -> None:
    images = [grey(0.2, number=1), grey(0.4, 0.8, 0.3, number=2), grey(0.1, number=3)]
    assert shown(classify(images, input=recipe(**changes)), images) == frames


def test_passes_over_objects_that_are_no_images() -> None:
    report = make_dataset(9, PixelData=None, Rows=None, Columns=None)
    images = [report, grey(0.3)]
    assert shown(classify(images), images) == [(1, None)]


def test_there_has_to_be_an_image() -> None:
    report = make_dataset(9, PixelData=None, Rows=None, Columns=None)
    for images in ([], [report]):
        with pytest.raises(NotAnalysable, match="none of the objects is an image"):
            classify(images)


def test_one_broken_image_among_others_stops_the_study() -> None:
    broken = grey(0.5, number=2)
    broken.PixelData = broken.PixelData[:10]
    with pytest.raises(NotAnalysable, match=f"image {broken.SOPInstanceUID}: .*ends early"):
        classify([grey(0.5), broken])


def test_a_file_gives_the_answer_of_its_dataset(tmp_path: Path) -> None:
    path = write_part10(grey(0.25, 0.75), tmp_path / "image.dcm")
    from_file, from_memory = classify([path]), classify([grey(0.25, 0.75)])
    assert from_file.findings[0].probability == from_memory.findings[0].probability
    assert from_file.frames == from_memory.frames


def test_a_file_that_is_no_dicom_is_not_analysable(tmp_path: Path) -> None:
    (tmp_path / "image.dcm").write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(NotAnalysable, match="cannot be read"):
        classify([tmp_path / "image.dcm"])
    with pytest.raises(NotAnalysable, match="cannot be read"):
        classify([tmp_path / "missing.dcm"])


@pytest.mark.parametrize("keyword", ["SpecificCharacterSet", "SOPInstanceUID"])
def test_a_file_with_a_value_representation_that_nobody_knows_is_not_analysable(
    tmp_path: Path, keyword: str
) -> None:
    """It is found out where the attribute is looked at: at once, or when an error is to name it."""
    ds = grey(0.5)
    ds.PixelData = ds.PixelData[:10]
    data = write_part10(ds, tmp_path / "image.dcm").read_bytes()
    tag = Tag(keyword)
    head = struct.pack("<HH", tag.group, tag.elem)
    at = data.index(head + dictionary_VR(tag).encode())
    (tmp_path / "image.dcm").write_bytes(data[: at + 4] + b"QQ" + data[at + 6 :])
    with pytest.raises(NotAnalysable):
        classify([tmp_path / "image.dcm"])


def test_a_number_of_frames_that_is_no_number_is_not_analysable() -> None:
    ds = grey(0.5)
    ds.add_new("NumberOfFrames", "LO", "many")
    with pytest.raises(NotAnalysable, match="number of frames"):
        classify([ds])


def test_a_network_that_answers_with_no_number_is_a_broken_model() -> None:
    network = Brightness()
    torch.nn.init.constant_(network.look.weight, float("nan"))
    classifier = joined(make_card(), network)
    with pytest.raises(ModelError, match="not a number"):
        classifier.classify([grey(0.5)])


def test_an_answer_alone_is_the_same_and_shows_nothing() -> None:
    classifier = joined(make_card(labels=(make_label(threshold=0.1),)), Brightness())
    (shown,) = classifier.classify([grey(0.6)]).findings
    (alone,) = classifier.classify([grey(0.6)], explained=False).findings
    assert shown.heat is not None
    assert alone.heat is None
    assert alone.regions == ()
    assert (alone.probability, alone.presence) == (shown.probability, shown.presence)


def test_looking_at_an_explanation_changes_no_later_answer() -> None:
    classifier = joined(make_card(labels=(make_label(threshold=0.1),)), Brightness())
    first, *later = [classifier.classify([grey(0.6)]).findings[0] for _ in range(3)]
    assert first.heat is not None
    for answer in later:
        assert answer.probability == first.probability
        assert answer.heat is not None
        assert np.array_equal(answer.heat, first.heat)


def test_loads_a_model_folder_on_the_processor(tmp_path: Path) -> None:
    card = make_model(tmp_path)
    classifier = load_classifier(tmp_path, device="cpu")
    assert classifier.model == card.model
    assert len(classifier.classify([grey(0.5)]).findings) == 1


@pytest.mark.parametrize("device", ["cuda:99", "xpu", "gpu", ""])
def test_says_that_a_device_is_not_here(tmp_path: Path, device: str) -> None:
    make_model(tmp_path)
    with pytest.raises(ModelError, match="is not here"):
        load_classifier(tmp_path, device=device)

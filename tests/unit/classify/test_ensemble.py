"""Several models that answer as one: found, checked, joined, shown by the mean of their maps."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom import Dataset

from dicomnode.answers import Presence
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.ensemble import Ensemble, EnsembleCard, Member
from dicomnode.classify.card.folder import find_models, read_card, read_model, write_card
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Output
from dicomnode.classify.ensemble import EnsembleClassifier
from dicomnode.classify.load import load_classifier
from dicomnode.errors import Cause, ModelError, NotAnalysable
from tests.factories import write_part10
from tests.phantom import (
    Ball,
    Geometry,
    make_ball_finder,
    make_bright_finder,
    make_volume_input,
    slices,
)
from tests.tiny_model import make_ensemble, make_label
from tests.unit.classify.test_findings import image

LAYER = {"method": "hires-cam", "layer": "features.denseblock1"}


def member(folder: Path, name: str, gain: float = 300.0, size_px: int = 64, **changes: Any) -> Card:
    recipe = Input(size_px=size_px, channels=1, resize="pad", mean=(0.0,), std=(1.0,))
    usual: dict[str, Any] = {"input": recipe, "explanation": LAYER, "name": name}
    return make_bright_finder(folder / name, gain, **(usual | changes))


def ensemble(folder: Path, *members: Card, **changes: Any) -> Path:
    """A folder with a card that names these models."""
    make_ensemble(folder / "both", *members, **changes)
    return folder / "both"


def load(folder: Path) -> EnsembleClassifier:
    classifier = load_classifier(folder, device="cpu", threads=1)
    assert isinstance(classifier, EnsembleClassifier)
    return classifier


def alone(folder: Path, images: list[Dataset]) -> list[float]:
    prediction = load_classifier(folder, device="cpu", threads=1).classify(images)
    return [finding.probability for finding in prediction.findings]


def test_the_answer_is_the_mean_of_the_members(tmp_path: Path) -> None:
    one, other = member(tmp_path, "one"), member(tmp_path, "other", 50.0, size_px=96)
    folder = ensemble(tmp_path, one, other)
    prediction = load(folder).classify([image(0.8)])
    (a,), (b,) = alone(tmp_path / "one", [image(0.8)]), alone(tmp_path / "other", [image(0.8)])
    assert abs(a - b) > 0.1
    (finding,) = prediction.findings
    assert finding.probability == pytest.approx((a + b) / 2, abs=1e-4)
    assert prediction.model == read_model(folder).model
    assert prediction.model.members == ("one@0.1", "other@0.1")


def test_the_answer_may_be_the_mean_of_their_log_odds(tmp_path: Path) -> None:
    one, other = member(tmp_path, "one"), member(tmp_path, "other", 100.0)
    named = tuple(Member(model=card.tag, sha256=card.weights.sha256) for card in (one, other))
    folder = ensemble(tmp_path, one, other, ensemble=Ensemble(members=named, mean="logits"))
    (finding,) = load(folder).classify([image(0.8)]).findings
    told = [alone(tmp_path / name, [image(0.8)])[0] for name in ("one", "other")]
    odds = np.mean([math.log(p / (1 - p)) for p in told])
    assert finding.probability == pytest.approx(1 / (1 + math.exp(-odds)), abs=1e-4)


def test_it_has_thresholds_of_its_own_and_shows_the_mean_of_the_maps(tmp_path: Path) -> None:
    one, other = member(tmp_path, "one"), member(tmp_path, "other", 1.0)
    (high,), (low,) = (alone(tmp_path / name, [image(1.0)]) for name in ("one", "other"))
    assert high > 0.9 > 0.1 > low  # alone, the other calls it absent
    folder = ensemble(tmp_path, one, other, labels=(make_label(threshold=0.4),))
    (finding,) = load(folder).classify([image(1.0)]).findings
    assert finding.presence is Presence.PRESENT
    assert finding.threshold == 0.4
    assert finding.heat is not None
    assert (finding.heat.shape, float(finding.heat.max())) == ((128, 128), 1.0)
    column, row = np.array(finding.regions[0].outline[:-1]).mean(0)
    assert 48 < row < 80
    assert 48 < column < 80


def test_classes_are_joined_and_sum_to_one(tmp_path: Path) -> None:
    labels = (make_label("dark"), make_label("bright"))
    output = Output(kind="multi-class")
    cards = [
        make_bright_finder(
            tmp_path / name, (0, gain), (0, -4), name=name, labels=labels, output=output,
            input=Input(size_px=64, channels=1, resize="pad", mean=(0.0,), std=(1.0,)),
            explanation=LAYER,
        )
        for name, gain in (("one", 300.0), ("other", 80.0))
    ]  # fmt: skip
    for mean in ("probabilities", "logits"):
        named = tuple(Member(model=card.tag, sha256=card.weights.sha256) for card in cards)
        folder = ensemble(tmp_path, *cards, ensemble=Ensemble(members=named, mean=mean))
        found = load(folder).classify([image(1.0)]).findings
        assert sum(finding.probability for finding in found) == pytest.approx(1, abs=2e-4)
        assert found[1].presence is Presence.PRESENT


def test_a_frame_that_one_member_is_not_for_is_left_out_for_all(tmp_path: Path) -> None:
    one = member(tmp_path, "one")
    choosy = one.input.model_copy(update={"views": ("PA",)})
    other = member(tmp_path, "other", input=choosy)
    frontal, side = image(0.2), image(0.9)
    frontal.ViewPosition, side.ViewPosition = "PA", "LL"
    side.SOPInstanceUID = "2.25.1"
    classifier = load(ensemble(tmp_path, one, other))
    prediction = classifier.classify([frontal, side])
    assert [f.image.sop_instance_uid for f in prediction.frames] == [frontal.SOPInstanceUID]
    assert prediction.left_out == 1
    with pytest.raises(NotAnalysable, match="an image has view LL") as caught:
        classifier.classify([side])
    assert caught.value.cause is Cause.VIEW


def test_what_no_two_members_saw_is_not_answered(tmp_path: Path) -> None:
    one = member(tmp_path, "one")
    recipes = [one.input.model_copy(update={"views": (view,)}) for view in ("PA", "LL")]
    cards = [member(tmp_path, n, input=r) for n, r in zip(("one", "other"), recipes, strict=True)]
    frontal, side = image(0.2), image(0.9)
    frontal.ViewPosition, side.ViewPosition = "PA", "LL"
    side.SOPInstanceUID = "2.25.1"
    with pytest.raises(NotAnalysable, match="every member") as caught:
        load(ensemble(tmp_path, *cards)).classify([frontal, side])
    assert caught.value.cause is Cause.NONE_FITS


def test_members_answer_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ensemble(tmp_path, member(tmp_path, "one"), member(tmp_path, "other", 100.0))
    classifier = load(folder)
    path = write_part10(image(0.8), tmp_path / "image.dcm")
    expected = classifier.classify([path]).findings[0].probability
    classifier.ahead(path)
    monkeypatch.setattr("dicomnode.classify.each_image.decode", None)
    assert classifier.classify([path]).findings[0].probability == expected


def test_members_may_look_at_volumes_on_grids_of_their_own(tmp_path: Path) -> None:
    one = make_ball_finder(tmp_path / "one", name="one")
    coarse = make_volume_input(size_vox=(40, 24, 24), spacing_mm=(3.0, 5.0, 5.0))
    other = make_ball_finder(tmp_path / "other", name="other", input=coarse)
    geometry = Geometry()
    images = slices(geometry, Ball())
    (finding,) = load(ensemble(tmp_path, one, other)).classify(images).findings
    assert finding.presence is Presence.PRESENT
    number = [i.SOPInstanceUID for i in images].index(finding.frame.image.sop_instance_uid)
    assert abs(number - geometry.index_of(Ball().at)[0]) <= 1.5


def test_members_have_to_look_at_studies_alike(tmp_path: Path) -> None:
    one, other = member(tmp_path, "one"), make_ball_finder(tmp_path / "other", name="other")
    with pytest.raises(ModelError, match="nothing in common: some are shown image and others vol"):
        load_classifier(ensemble(tmp_path, one, other), device="cpu", threads=1)


# --- the folder -----------------------------------------------------------------------------


def test_a_member_that_is_not_here_is_named(tmp_path: Path) -> None:
    one, other = member(tmp_path, "one"), member(tmp_path, "other", 100.0)
    folder = ensemble(tmp_path, one, other)
    write_card(other.model_copy(update={"version": "0.2"}), tmp_path / "other")
    with pytest.raises(ModelError, match=r"both: its member other@0\.1 is not here; here are: "):
        load_classifier(folder, device="cpu")


def test_a_member_with_other_weights_is_refused(tmp_path: Path) -> None:
    one, other = member(tmp_path, "one"), member(tmp_path, "other", 100.0)
    folder = ensemble(tmp_path, one, other)
    member(tmp_path, "other", 101.0)
    with pytest.raises(ModelError, match=r"its member other@0\.1 has weights of "):
        load_classifier(folder, device="cpu")


def test_a_member_that_tells_other_labels_is_refused(tmp_path: Path) -> None:
    one = member(tmp_path, "one")
    other = member(tmp_path, "other", 100.0, labels=(make_label("dark"),))
    with pytest.raises(ModelError, match=r"other@0\.1 tells other labels"):
        load_classifier(ensemble(tmp_path, one, other), device="cpu")


def test_a_member_of_another_kind_is_refused(tmp_path: Path) -> None:
    labels = (make_label("a"), make_label("b"))
    one = member(tmp_path, "one", labels=labels)
    other = member(tmp_path, "other", 100.0, labels=labels, output=Output(kind="multi-class"))
    with pytest.raises(ModelError, match=r"other@0\.1 is multi-class"):
        load_classifier(ensemble(tmp_path, one, other), device="cpu")


def test_a_member_that_is_an_ensemble_is_refused(tmp_path: Path) -> None:
    one, other = member(tmp_path, "one"), member(tmp_path, "other", 100.0)
    folder = ensemble(tmp_path, one, other)
    card = read_model(folder)
    named = Ensemble(
        members=(
            Member(model="both@1", sha256="0" * 64),
            Member(model=one.tag, sha256=one.weights.sha256),
        )
    )
    (tmp_path / "nested").mkdir()
    changes = {"name": "nested", "ensemble": named}
    write_card(card.model_copy(update=changes), tmp_path / "nested")
    with pytest.raises(ModelError, match="both@1 is several models itself"):
        load_classifier(tmp_path / "nested", device="cpu")


def test_members_may_be_in_other_folders(tmp_path: Path) -> None:
    one, other = member(tmp_path / "here", "one"), member(tmp_path / "there", "other", 100.0)
    (tmp_path / "own").mkdir()
    folder = ensemble(tmp_path / "own", one, other)
    folders = find_models([tmp_path / "here", tmp_path / "there", tmp_path / "own"])
    classifier = load_classifier(folder, device="cpu", threads=1, others=folders.values())
    assert len(classifier.classify([image(0.5)]).findings) == 1


def test_a_card_of_several_models_is_none_of_one(tmp_path: Path) -> None:
    folder = ensemble(tmp_path, member(tmp_path, "one"), member(tmp_path, "other", 100.0))
    with pytest.raises(ModelError, match=r"several models together: one@0\.1, other@0\.1"):
        read_card(folder)


def test_the_digest_follows_from_the_members_and_from_how_they_are_joined(tmp_path: Path) -> None:
    cards = [member(tmp_path, "one"), member(tmp_path, "other", 100.0)]
    named = tuple(Member(model=card.tag, sha256=card.weights.sha256) for card in cards)
    changed = (named[0], named[1].model_copy(update={"sha256": "0" * 64}))
    digests = set()
    for members, mean in ((named, "probabilities"), (changed, "probabilities"), (named, "logits")):
        folder = ensemble(tmp_path, *cards, ensemble=Ensemble(members=members, mean=mean))
        digests.add(read_model(folder).model.digest)
    assert len(digests) == 3


def test_an_ensemble_needs_two_members_that_differ() -> None:
    one = Member(model="one@1", sha256="0" * 64)
    with pytest.raises(ValidationError, match="at least 2"):
        Ensemble(members=(one,))
    with pytest.raises(ValidationError, match="String should match"):
        Member(model="one", sha256="0" * 64)
    with pytest.raises(ValidationError, match="named twice"):
        EnsembleCard(
            name="both", version="1", manufacturer="tests", intended_use="Tests only",
            disclaimer="None", labels=(make_label(),), ensemble=Ensemble(members=(one, one)),
        )  # fmt: skip

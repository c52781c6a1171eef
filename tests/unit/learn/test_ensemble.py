"""Models that are here become one model folder, or nothing is left behind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.ensemble import Member
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Output
from dicomnode.classify.load import load_classifier
from dicomnode.errors import ModelError
from dicomnode.learn.ensemble import Joined, Joint, join_models
from tests.phantom import make_bright_finder
from tests.tiny_model import make_label
from tests.unit.classify.test_findings import image

INPUT = Input(size_px=64, channels=1, resize="pad", mean=(0.0,), std=(1.0,))
LAYER = {"method": "hires-cam", "layer": "features.denseblock1"}


def member(folder: Path, name: str, gain: float | Sequence[float] = 300.0, **changes: Any) -> Card:
    usual: dict[str, Any] = {"input": INPUT, "explanation": LAYER, "name": name}
    return make_bright_finder(folder / name, gain, **(usual | changes))


def pair(folder: Path, **changes: Any) -> list[Card]:
    """Two members, the second with changes."""
    return [member(folder, "one"), member(folder, "other", 100.0, **changes)]


def joined(here: Path, **changes: Any) -> Joined:
    usual: dict[str, Any] = {
        "members": [here / "one", here / "other"],
        "near": [],
        "into": here,
        "folder": "both",
        "name": "both",
        "version": "1",
    }
    return join_models(Joint(**(usual | changes)))


def test_the_new_folder_names_its_members_by_their_hashes_and_answers(tmp_path: Path) -> None:
    cards = pair(tmp_path)
    made = joined(tmp_path, mean="logits")
    assert made.folder == tmp_path / "both"
    assert made.card.ensemble.mean == "logits"
    assert made.card.ensemble.members == tuple(
        Member(model=card.tag, sha256=card.weights.sha256) for card in cards
    )
    prediction = load_classifier(made.folder, device="cpu", threads=1).classify([image(0.8)])
    assert prediction.model.members == ("one@0.1", "other@0.1")


def test_thresholds_are_the_members_mean_and_margins_the_widest(tmp_path: Path) -> None:
    member(tmp_path, "one", labels=(make_label(threshold=0.2, margin=0.1),))
    member(tmp_path, "other", 100.0, labels=(make_label(threshold=0.5, margin=0.03),))
    made = joined(tmp_path)
    (label,) = made.card.labels
    assert (label.threshold, label.margin) == (0.35, 0.1)
    assert "thresholds: the members' mean, which nobody measured: bright" in made.notes


def test_what_a_person_says_of_labels_counts(tmp_path: Path) -> None:
    pair(tmp_path)
    made = joined(tmp_path, labels=[{"name": "bright", "threshold": 0.3}])
    assert made.card.labels[0].threshold == 0.3
    assert "thresholds as given: bright" in made.notes
    with pytest.raises(ModelError, match="no label 'dark'"):
        joined(tmp_path, folder="again", labels=[{"name": "dark", "threshold": 0.3}])


def test_another_code_than_the_members_is_refused(tmp_path: Path) -> None:
    pair(tmp_path)
    code = {"value": "1", "scheme": "99TEST", "meaning": "Another"}
    with pytest.raises(ModelError, match="tells other labels"):
        joined(tmp_path, labels=[{"name": "bright", "code": code}])


def test_words_are_the_members_where_they_agree_and_else_careful(tmp_path: Path) -> None:
    pair(tmp_path, disclaimer="Another")
    made = joined(tmp_path, words={"manufacturer": "a hospital"})
    assert made.card.manufacturer == "a hospital"
    assert made.card.intended_use == "Tests only"
    assert made.card.disclaimer == "Not cleared for clinical use"
    assert "disclaimer: Not cleared for clinical use" in made.notes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": (make_label("dark"),)}, "tell different labels"),
        ({"labels": (make_label().model_copy(update={"normal": True}),)}, "different labels"),
        ({"output": Output(kind="binary")}, ""),  # one finding is one finding
        ({"input": INPUT.model_copy(update={"combine": "mean"})}, "give --combine max"),
    ],
)
def test_members_have_to_tell_the_same(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    pair(tmp_path, **changes)
    if not words:
        assert joined(tmp_path).card.output.kind == "multi-label"
        return
    with pytest.raises(ModelError, match=words):
        joined(tmp_path)


def test_grades_and_findings_have_no_mean(tmp_path: Path) -> None:
    labels = (make_label("none"), make_label("some"))
    member(tmp_path, "one", (300.0, 300.0), labels=labels)
    member(tmp_path, "other", 300.0, labels=labels, output=Output(kind="ordinal"))
    with pytest.raises(ModelError, match=r"other@0\.1 is ordinal, and one@0\.1 is multi-label"):
        joined(tmp_path)


def test_how_several_images_are_joined_may_be_said(tmp_path: Path) -> None:
    pair(tmp_path, input=INPUT.model_copy(update={"combine": "mean"}))
    assert joined(tmp_path, combine="mean").card.ensemble.combine == "mean"


def test_one_model_or_the_same_twice_is_no_ensemble(tmp_path: Path) -> None:
    pair(tmp_path)
    with pytest.raises(ModelError, match="two members or more"):
        joined(tmp_path, members=[tmp_path / "one"])
    with pytest.raises(ModelError, match="named twice"):
        joined(tmp_path, members=[tmp_path / "one"] * 2)


def test_a_member_that_was_altered_or_that_no_node_would_find_is_refused(tmp_path: Path) -> None:
    pair(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(ModelError, match=r"member one@0\.1 is not here"):
        joined(tmp_path, into=tmp_path / "models")
    weights = tmp_path / "other" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(ModelError, match="weights"):
        joined(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "one", "other"]
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    pair(tmp_path)
    joined(tmp_path)
    with pytest.raises(ModelError, match="is there already"):
        joined(tmp_path)
    with pytest.raises(ModelError, match="is several models together"):
        joined(tmp_path, folder="more", members=[tmp_path / "both", tmp_path / "one"])

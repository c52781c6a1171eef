"""Every form of a model becomes a folder that answers as its source does."""

import hashlib
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dicomnode.classify.card.folder import find_models, read_card
from dicomnode.classify.network import load_network
from dicomnode.classify.vectors import read_vectors
from dicomnode.errors import ModelError
from dicomnode.learn.importing.importer import Imported, import_model
from tests.importing import INPUT, TINY, Plain, densenet, torchvision_names, wish

IMAGES = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(5))


def same(made: Imported, source: torch.nn.Module) -> bool:
    """Does the folder answer as the source does?"""
    with torch.inference_mode():
        here = load_network(made.folder, read_card(made.folder))(IMAGES)
        return torch.allclose(here, source(IMAGES), atol=1e-6)


def quietly(save: Any, *args: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out
        save(*args)


def exported(source: torch.nn.Module, path: Path, *, alone: bool = False) -> Path:
    sizes = None if alone else ({0: torch.export.Dim.AUTO},)
    images = IMAGES[:1] if alone else IMAGES
    torch.export.save(torch.export.export(source, (images,), dynamic_shapes=sizes), path)
    return path


def scripted(source: torch.nn.Module, path: Path) -> Path:
    quietly(lambda: torch.jit.save(torch.jit.script(source), path))
    return path


# --- state dicts ----------------------------------------------------------------------------


def test_safetensors_with_torchvisions_names(tmp_path: Path) -> None:
    source = densenet()
    save_file(torchvision_names(source), tmp_path / "source")
    made = import_model(wish(tmp_path / "source", tmp_path / "models"))
    assert same(made, source)
    assert made.folder == tmp_path / "models" / "chest"
    assert made.card.architecture.params == TINY | {"bn_size": 4}
    assert made.card.explanation.method == "hires-cam"


def test_safetensors_of_a_named_monai_network(tmp_path: Path) -> None:
    source = densenet()
    save_file(source.state_dict(), tmp_path / "source")
    asked = wish(tmp_path / "source", tmp_path / "models", architecture="densenet", params=TINY)
    assert same(import_model(asked), source)


def test_a_checkpoint_with_wrapped_old_names(tmp_path: Path) -> None:
    """As CheXNet's is: DataParallel, a model of its own around it, a Sequential at its end."""
    source = densenet()
    named = {
        "module.densenet121."
        + name.replace("norm1", "norm.1").replace("norm2", "norm.2").replace("conv1", "conv.1")
        .replace("conv2", "conv.2").replace("classifier", "classifier.0"): tensor
        for name, tensor in torchvision_names(source).items()
        if "num_batches_tracked" not in name
    }  # fmt: skip
    torch.save(
        {"epoch": 3, "state_dict": named, "best": np.float64(0.5)}, tmp_path / "model.pth.tar"
    )
    made = import_model(wish(tmp_path / "model.pth.tar", tmp_path / "models", convert_pickle=True))
    assert same(made, source)
    assert "taken off the names of tensors: module.densenet121." in made.notes


def test_features_alone_with_a_head_beside_them(tmp_path: Path) -> None:
    source = densenet()
    tensors = {n.removeprefix("features."): t for n, t in torchvision_names(source).items()}
    save_file(tensors, tmp_path / "source")
    assert same(import_model(wish(tmp_path / "source", tmp_path / "models")), source)


@pytest.mark.parametrize("name", ["normal", "No_Finding"])
def test_a_label_that_may_say_that_nothing_is_there_is_asked_about(
    name: str, tmp_path: Path
) -> None:
    save_file(torchvision_names(densenet()), tmp_path / "source")
    labels = ({"name": "Nodule"}, {"name": name})
    made = import_model(wish(tmp_path / "source", tmp_path / "models", labels=labels))
    (note,) = [note for note in made.notes if "`normal = true`" in note]
    assert note.startswith(f"taken for findings like any other: {made.card.labels[1].name};")
    assert not made.card.labels[1].normal  # that is not guessed


@pytest.mark.parametrize("normal", [True, False])
def test_a_label_that_is_said_to_be_normal_or_not_is_not_asked_about(
    normal: bool, tmp_path: Path
) -> None:
    save_file(torchvision_names(densenet()), tmp_path / "source")
    labels = ({"name": "Nodule"}, {"name": "normal", "normal": normal})
    made = import_model(wish(tmp_path / "source", tmp_path / "models", labels=labels))
    assert made.card.labels[1].normal is normal
    assert not any("normal = true" in note for note in made.notes)


def test_operating_points_become_thresholds_and_untrained_outputs_are_dropped(
    tmp_path: Path,
) -> None:
    """As in TorchXRayVision's files, where NaN stands for a finding of other data sets."""
    source = densenet(3)
    points = torch.tensor([0.25, math.nan, 0.5])
    save_file({**torchvision_names(source), "op_threshs": points}, tmp_path / "source")
    labels = tuple({"name": name} for name in ("Nodule", "Hernia", "Mass"))
    made = import_model(wish(tmp_path / "source", tmp_path / "models", labels=labels))
    assert [(label.name, label.threshold) for label in made.card.labels] == [
        ("nodule", 0.25),
        ("mass", 0.5),
    ]
    assert any("dropped: Hernia" in note for note in made.notes)
    with torch.inference_mode():
        here = load_network(made.folder, made.card)(IMAGES)
        assert torch.allclose(here, source(IMAGES)[:, [0, 2]], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("features.norm0.bias"), r"1 missing: features\.norm0\.bias"),
        (lambda t: t.update({"extra.weight": torch.ones(2)}), r"1 left over: extra\.weight"),
        (
            lambda t: t.update({"features.norm0.bias": torch.ones(3)}),
            r"features\.norm0\.bias is 3, not 8",
        ),
        (
            lambda t: t.update({"module.classifier.bias": torch.ones(2)}),
            r"two networks: classifier\.bias",
        ),
    ],
)
def test_names_what_is_missing_or_left_over(tmp_path: Path, change: Any, words: str) -> None:
    tensors = torchvision_names(densenet())
    change(tensors)
    save_file(tensors, tmp_path / "source")
    with pytest.raises(ModelError, match=words):
        import_model(wish(tmp_path / "source", tmp_path / "models"))
    assert not list((tmp_path / "models").iterdir())


def test_says_that_a_network_is_not_known(tmp_path: Path) -> None:
    save_file(Plain().state_dict(), tmp_path / "source")
    with pytest.raises(ModelError, match="no network that is known by its names"):
        import_model(wish(tmp_path / "source", tmp_path / "models"))


# --- programs -------------------------------------------------------------------------------


def test_torchscript(tmp_path: Path) -> None:
    source = Plain().eval()
    made = import_model(wish(scripted(source, tmp_path / "source"), tmp_path / "models"))
    assert same(made, source)
    assert made.card.explanation.method == "integrated-gradients"


@pytest.mark.parametrize("alone", [False, True])
def test_an_archive_of_torch_export(tmp_path: Path, alone: bool) -> None:
    source = densenet()
    path = exported(source, tmp_path / "source.pt2", alone=alone)
    assert same(import_model(wish(path, tmp_path / "models")), source)


def test_a_transformer_that_was_exported(tmp_path: Path) -> None:
    """Shapes, splits and attention: what a graph of convolutions has not."""
    torch.manual_seed(1)
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    source = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 8, 8),
        torch.nn.Flatten(2),
        torch.nn.Unflatten(1, (16,)),
    )

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.layer, self.say = source, layer, torch.nn.Linear(16, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen = self.layer(self.patches(images).transpose(1, 2))
            first, _ = seen.split([1, 15], 1)
            said: torch.Tensor = self.say(first.reshape(len(images), 16))
            return said

    whole = Whole().eval()
    path = exported(whole, tmp_path / "source.pt2", alone=True)
    assert same(import_model(wish(path, tmp_path / "models")), whole)


@pytest.mark.parametrize("outside", [False, True])
def test_onnx(tmp_path: Path, outside: bool) -> None:
    source = Plain().eval()
    quietly(onnx_of, source, tmp_path / "source.onnx", outside)
    made = import_model(wish(tmp_path / "source.onnx", tmp_path / "models"))
    assert same(made, source)
    assert made.card.explanation.method == "occlusion"
    assert any("taken in" in note for note in made.notes) == outside


def onnx_of(source: torch.nn.Module, path: Path, outside: bool) -> None:
    import onnx

    torch.onnx.export(
        source,
        (IMAGES,),
        str(path),
        dynamo=False,
        input_names=["image"],
        dynamic_axes={"image": {0: "n"}},
    )
    if outside:
        onnx.save_model(
            onnx.load(path), path, save_as_external_data=True, location="numbers", size_threshold=0
        )


def test_probabilities_of_a_program_are_never_guessed(tmp_path: Path) -> None:
    source = Plain(squash=True).eval()
    path = scripted(source, tmp_path / "source")
    with pytest.raises(ModelError, match="--answers"):
        import_model(wish(path, tmp_path / "models"))
    made = import_model(wish(path, tmp_path / "models", answers="probabilities"))
    with torch.inference_mode():
        here = load_network(made.folder, made.card)(IMAGES).sigmoid()
        assert torch.allclose(here, source(IMAGES), atol=1e-6)


# --- the folder and its card ----------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    save_file(torchvision_names(densenet()), tmp_path / "source")
    return tmp_path / "source"


def test_the_card_says_where_the_model_is_from_and_is_careful_with_the_rest(
    tmp_path: Path, source: Path
) -> None:
    made = import_model(wish(source, tmp_path / "models"))
    card = read_card(find_models([tmp_path / "models"])["chest"])
    assert card == made.card
    assert card.source is not None
    assert card.source.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert card.disclaimer == "Not cleared for clinical use"
    assert (card.labels[0].code.value, card.labels[0].code.scheme) == ("46621007", "SCT")
    assert card.labels[0].names["de"] == "Atelektase"
    assert card.labels[1].code.scheme == "99DICOMNODE"
    assert any("0.5 each, which nobody measured" in note for note in made.notes)


def test_a_recipe_fills_the_tables_of_the_card(tmp_path: Path, source: Path) -> None:
    recipe = {
        "input": INPUT | {"modalities": ["DX"]},
        "training": {"data": "ten drawings", "images": 10, "licence": "CC0-1.0"},
        "explanation": {"method": "occlusion"},
        "labels": [{"name": "One", "threshold": 0.3}, {"name": "Two"}],
    }
    made = import_model(wish(source, tmp_path / "models", recipe=recipe, labels=()))
    assert made.card.training is not None
    assert made.card.training.licence == "CC0-1.0"
    assert made.card.explanation.method == "occlusion"
    assert [label.threshold for label in made.card.labels] == [0.3, 0.5]


def test_a_recipe_changes_the_input_of_a_preset_key_by_key(tmp_path: Path, source: Path) -> None:
    changed = {"preset": "torchxrayvision", "recipe": {"input": {"size_px": 40}}}
    shown = import_model(wish(source, tmp_path / "models", **changed)).card.input
    assert (shown.size_px, shown.resize) == (40, "crop")


def test_test_vectors_are_what_the_network_said(tmp_path: Path, source: Path) -> None:
    made = import_model(wish(source, tmp_path / "models"))
    known = read_vectors(made.folder, made.card)
    with torch.inference_mode():
        said = load_network(made.folder, made.card)(known.images)
    assert known.images.shape == (3, 1, 32, 32)
    assert 0.1 < known.images.std() < 5
    assert abs(said.double().numpy() - known.logits).max() < 1e-5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": {}}, "say how images are prepared: --preset"),
        ({"labels": ()}, "say what the outputs are: --labels"),
        ({"labels": ({"name": "one"},)}, r"class_layers\.out\.weight is 2x"),
        ({"labels": ({"name": "a"}, {"name": "-"}, {"name": "b"})}, "has 2 outputs; there are 3"),
        ({"labels": ({"name": "a", "threshold": 2.0}, {"name": "b"})}, "label 'a' is wrong"),
        ({"preset": "chexnet", "recipe": {}}, r"takes 1 channel\(s\), the input has 3"),
        ({"preset": "nothing"}, "there is no preset nothing; there are: imagenet"),
        ({"recipe": {"input": INPUT, "weights": {}}}, "a recipe has no weights"),
        ({"recipe": {"input": INPUT | {"size_px": 4}}}, r"input\.size_px"),
        ({"folder": "../chest"}, "is no name for a model folder"),
        ({"name": "a\\b"}, "the card would be wrong: name"),
        ({"architecture": "densenet999"}, "there is no architecture 'densenet999'"),
        ({"params": {"depth": 3}}, "have to be|has to be named"),
    ],
)
def test_says_what_is_not_told_or_does_not_fit(
    tmp_path: Path, source: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        import_model(wish(source, tmp_path / "models", **changes))
    assert not list((tmp_path / "models").iterdir())


def test_never_writes_over_a_model_that_is_there(tmp_path: Path, source: Path) -> None:
    first = import_model(wish(source, tmp_path / "models"))
    was = (first.folder / "model.toml").read_bytes()
    with pytest.raises(ModelError, match="is there already"):
        import_model(wish(source, tmp_path / "models", version="2.0"))
    assert (first.folder / "model.toml").read_bytes() == was
    second = import_model(wish(source, tmp_path / "models", version="2.0", folder="chest-2"))
    assert second.card.tag == "chest@2.0"

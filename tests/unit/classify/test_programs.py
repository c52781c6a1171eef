"""Programs in a model folder: looked through at every load, whoever vouches for them."""

import hashlib
from pathlib import Path

import pytest
import torch

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.tables import Weights
from dicomnode.classify.network import build_network, load_network
from dicomnode.errors import ModelError
from tests.importing import Plain
from tests.tiny_model import make_card, make_label
from tests.unit.learn.test_importing import IMAGES, exported, scripted
from tests.unit.learn.test_importing_attacks import Saves


def card_of(path: Path, kind: str) -> Card:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return make_card(
        architecture=Architecture.model_validate({"kind": kind}),
        weights=Weights(file=path.name, sha256=digest),
        input=Input(size_px=32, channels=1, resize="pad", mean=(0.0,), std=(1.0,)),
        explanation=Explanation(method="occlusion"),
        labels=(make_label("one"), make_label("two")),
    )


def test_a_card_that_vouches_for_a_program_that_writes_is_not_believed(tmp_path: Path) -> None:
    path = scripted(Saves(), tmp_path / "weights.pt")
    with pytest.raises(ModelError, match="calls save, which does more than compute"):
        load_network(tmp_path, card_of(path, "torchscript"))


@pytest.mark.parametrize("kind", ["torchscript", "export", "onnx"])
def test_a_file_of_another_kind_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"weights{Architecture.model_validate({'kind': kind}).suffix}"
    torch.save({"a": torch.ones(2)}, path)
    with pytest.raises(ModelError, match=r"weights\.\w+: "):
        load_network(tmp_path, card_of(path, kind))


def test_an_exported_program_has_gradients_and_runs_on_any_number_of_images(
    tmp_path: Path,
) -> None:
    source = Plain().eval()
    path = exported(source, tmp_path / "weights.pt2")
    network = load_network(tmp_path, card_of(path, "export"))
    for count in (1, 2, 5):
        images = torch.rand(count, 1, 32, 32)
        assert torch.allclose(network(images), source(images), atol=1e-6)
    given = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(given).sum(), given)
    assert gradient.abs().sum() > 0


def test_a_program_cannot_be_built_without_its_file(tmp_path: Path) -> None:
    path = exported(Plain().eval(), tmp_path / "weights.pt2")
    with pytest.raises(ModelError, match="cannot be built without its file"):
        build_network(card_of(path, "export"))

"""Each kind of network that can be imported answers for a study, and shows where."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets import EfficientNetBN, ResNet, SEResNet50, ViT
from pydicom import dcmread
from safetensors.torch import save_file

from dicomnode.classify.load import load_classifier
from dicomnode.classify.networks import vgg
from dicomnode.classify.networks.efficientnet import EfficientNet
from dicomnode.classify.networks.inception3 import Inception3
from dicomnode.learn.importing.importer import import_model
from tests.factories import make_dataset, make_part10
from tests.importing import INPUT, Plain, densenet, torchvision_names, wish
from tests.unit.learn.test_importing import exported, onnx_of, quietly, scripted

SMALL = {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [8, 8, 8, 8]}
VIT = {"patch_size": 16, "hidden_size": 24, "mlp_dim": 48, "num_layers": 1, "num_heads": 2}
NETWORKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "resnet": (
        lambda: ResNet(**SMALL, spatial_dims=2, n_input_channels=1, num_classes=2),
        SMALL,
    ),
    "seresnet50": (
        lambda: SEResNet50(
            layers=[1, 1, 1, 1], spatial_dims=2, in_channels=1, num_classes=2, pretrained=False
        ),
        {"layers": [1, 1, 1, 1]},
    ),
    "efficientnet-b0": (
        lambda: EfficientNetBN("efficientnet-b0", False, in_channels=1, num_classes=2),
        {},
    ),
    "efficientnet_b0": (lambda: EfficientNet(1, 2), {}),
    "inception_v3": (lambda: Inception3(1, 2), {}),
    "vgg11_bn": (lambda: vgg.VGG(1, 2, 11, batch_norm=True), {}),
    "vit": (
        lambda: ViT(
            1, 96, classification=True, num_classes=2, spatial_dims=2, post_activation="", **VIT
        ),
        VIT,
    ),
}


def shows(folder: Path) -> None:
    """Each label is called present, and has a map over the image."""
    dataset = dcmread(BytesIO(make_part10(make_dataset(rows=96, columns=96))))
    prediction = load_classifier(folder, "cpu").classify([dataset])
    for finding in prediction.findings:
        assert finding.heat is not None
        assert finding.heat.shape == (96, 96)


def told(**changes: Any) -> dict[str, Any]:
    labels = tuple({"name": name, "threshold": 0.0001} for name in ("one", "two"))
    return {"labels": labels, "recipe": {"input": INPUT | {"size_px": 96} | changes}}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_by_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg, "_HIDDEN", 16)
    make, params = NETWORKS[name]
    torch.manual_seed(1)
    save_file(make().state_dict(), tmp_path / "source")
    asked = wish(
        tmp_path / "source", tmp_path / "models", architecture=name, params=params, **told()
    )
    shows(import_model(asked).folder)


def test_a_network_by_its_tensors(tmp_path: Path) -> None:
    save_file(torchvision_names(densenet()), tmp_path / "source")
    shows(import_model(wish(tmp_path / "source", tmp_path / "models", **told())).folder)


@pytest.mark.parametrize("kind", ["torchscript", "export", "onnx"])
def test_programs(tmp_path: Path, kind: str) -> None:
    path, source = tmp_path / "source.pt2", Plain().eval()
    if kind == "onnx":
        quietly(onnx_of, source, path, False)
    elif kind == "export":
        exported(source, path)
    else:
        scripted(source, path)
    size = {"size_px": 32}
    shows(import_model(wish(path, tmp_path / "models", **told(**size))).folder)

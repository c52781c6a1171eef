"""Sources of models for tests, made outside of the product, and small."""

import json
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import DenseNet
from safetensors.torch import save_file

from dicomnode.learn.importing.wish import Wish

__all__ = ["INPUT", "TINY", "Plain", "bundle", "densenet", "torchvision_names", "wish", "zipped"]

TINY = {"init_features": 8, "growth_rate": 4, "block_config": [2, 1]}
INPUT = {"size_px": 32, "channels": 1, "resize": "pad", "mean": [0.5], "std": [0.25]}


class Plain(torch.nn.Module):
    """A network of two layers, that answers with two numbers an image; or with probabilities."""

    def __init__(self, *, squash: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.look = torch.nn.Conv2d(1, 4, 5, stride=2)
            self.norm = torch.nn.BatchNorm2d(4)
            self.say = torch.nn.Linear(4, 2)
        self.squash = squash
        with torch.no_grad():
            self.say.weight *= 4

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Two numbers for each of (images, 1, rows, columns)."""
        seen = torch.relu(self.norm(self.look(images)))
        said: torch.Tensor = self.say(seen.mean((2, 3)))
        return torch.sigmoid(said) if self.squash else said


def densenet(outputs: int = 2, channels: int = 1) -> torch.nn.Module:
    """A tiny DenseNet of MONAI, with statistics of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network: torch.nn.Module = DenseNet(2, channels, outputs, **TINY)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for buffer, low, high in (
                    (module.running_mean, -0.3, 0.3),
                    (module.running_var, 0.5, 1.5),
                ):
                    assert buffer is not None
                    torch.nn.init.uniform_(buffer, low, high)
    return network.eval()


def torchvision_names(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Its tensors as torchvision names those of its DenseNets."""
    return {
        name.replace(".layers.", ".").replace("class_layers.out", "classifier"): tensor
        for name, tensor in network.state_dict().items()
    }


def wish(source: Path, into: Path, **changes: Any) -> Wish:
    """An import of a model with two outputs."""
    if not into.exists():
        into.mkdir()
    usual: dict[str, Any] = {
        "source": source,
        "into": into,
        "folder": "chest",
        "name": "chest",
        "version": "1.0",
        "recipe": {"input": INPUT},
        "labels": ({"name": "Atelectasis"}, {"name": "Rare thing"}),
    }
    return Wish(**(usual | changes))


def bundle(folder: Path, weights: str = "model.safetensors", **changes: Any) -> Path:
    """A MONAI bundle around `densenet`, its configuration changed at the top."""
    config: dict[str, Any] = {
        "imports": ["$import glob"],
        "out_channels": 2,
        "network_def": {
            "_target_": "DenseNet",
            "spatial_dims": 2,
            "in_channels": 1,
            "out_channels": "@out_channels",
            **TINY,
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": 0,
                    "a_max": 255,
                    "b_min": 0,
                    "b_max": 1,
                },
                {"_target_": "Resized", "keys": "image", "spatial_size": [32, 32]},
                {
                    "_target_": "NormalizeIntensityd",
                    "keys": "image",
                    "subtrahend": 0.5,
                    "divisor": 0.25,
                },
            ],
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}],
        },
    }
    metadata = {
        "version": "0.1.0",
        "authors": "A university",
        "intended_use": "Tests of bundles",
        "data_source": "Nothing real",
        "network_data_format": {
            "inputs": {"image": {"modality": "CR", "num_channels": 1, "spatial_shape": [32, 32]}},
            "outputs": {"pred": {"channel_def": {"0": "Nodule", "1": "Mass"}}},
        },
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(config | changes))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    tensors = OrderedDict(densenet().state_dict())
    if weights.endswith(".safetensors"):
        save_file(tensors, folder / "models" / weights)
    elif weights.endswith(".pt"):
        torch.save(tensors, folder / "models" / weights)
    return folder


def zipped(folder: Path) -> Path:
    """The folder as a zip file with it at the top."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{folder.name}/{file.relative_to(folder)}")
    return path

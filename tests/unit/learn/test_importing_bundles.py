"""MONAI bundles: what is known is taken over, what would have to be run is refused."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.networks.nets import DenseNet

from dicomnode.classify.network import load_network
from dicomnode.errors import ModelError
from dicomnode.learn.importing.importer import import_model
from tests.importing import TINY, Plain, bundle, densenet, wish, zipped
from tests.unit.learn.test_importing import scripted

IMAGES = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(5))
UNTOLD: dict[str, Any] = {"recipe": {}, "labels": ()}


@pytest.mark.parametrize("packed", [False, True])
def test_a_bundle_tells_all_there_is_to_know(tmp_path: Path, packed: bool) -> None:
    source = bundle(tmp_path / "bundle")
    path = zipped(source) if packed else source
    made = import_model(wish(path, tmp_path / "models", **UNTOLD))
    assert [label.name for label in made.card.labels] == ["nodule", "mass"]
    recipe = made.card.input
    assert (recipe.size_px, recipe.resize, recipe.mean, recipe.std) == (
        32,
        "stretch",
        (0.5,),
        (0.25,),
    )
    assert recipe.modalities == ("CR", "DX")
    assert made.card.output.kind == "multi-label"
    assert (made.card.manufacturer, made.card.intended_use) == ("A university", "Tests of bundles")
    with torch.inference_mode():
        said = load_network(made.folder, made.card)(IMAGES)
        assert torch.allclose(said, densenet()(IMAGES), atol=1e-6)


def test_a_configuration_in_yaml(tmp_path: Path) -> None:
    source = bundle(tmp_path / "bundle")
    written = source / "configs" / "inference.json"
    (source / "configs" / "inference.yaml").write_text(
        yaml.safe_dump(json.loads(written.read_text()))
    )
    written.unlink()
    assert import_model(wish(source, tmp_path / "models", **UNTOLD)).card.labels[0].name == "nodule"


def test_pickled_weights_only_on_request(tmp_path: Path) -> None:
    source = bundle(tmp_path / "bundle", weights="model.pt")
    with pytest.raises(ModelError, match="--convert-pickle"):
        import_model(wish(source, tmp_path / "models", **UNTOLD))
    assert import_model(wish(source, tmp_path / "models", convert_pickle=True, **UNTOLD))


def test_a_program_in_a_bundle_where_there_is_nothing_else_that_may_be_opened(
    tmp_path: Path,
) -> None:
    source = bundle(tmp_path / "bundle", weights="model.pt")
    program = Plain().eval()
    scripted(program, source / "models" / "model.ts")
    made = import_model(wish(source, tmp_path / "models", **UNTOLD))
    assert made.card.architecture.kind == "torchscript"
    assert made.card.input.size_px == 32
    with torch.inference_mode():
        said = load_network(made.folder, made.card)(IMAGES)
        assert torch.allclose(said, program(IMAGES), atol=1e-6)


def test_a_bundle_for_volumes(tmp_path: Path) -> None:
    network = {"_target_": "monai.networks.nets.DenseNet", "spatial_dims": 3, "in_channels": 1,
               "out_channels": 2, **TINY}  # fmt: skip
    steps = [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": "image", "pixdim": [2, 2, 3]},
        {
            "_target_": "ScaleIntensityRanged",
            "a_min": -1000,
            "a_max": 400,
            "b_min": 0,
            "b_max": 1,
            "clip": True,
        },
        {"_target_": "ResizeWithPadOrCropd", "spatial_size": [32, 32, 16]},
    ]
    source = bundle(
        tmp_path / "bundle",
        network_def=network,
        preprocessing={"_target_": "Compose", "transforms": steps},
    )
    torch.manual_seed(1)
    deep = DenseNet(3, 1, 2, **TINY).eval()
    (source / "models" / "model.safetensors").unlink()
    torch.save(deep.state_dict(), source / "models" / "model.pt")
    made = import_model(wish(source, tmp_path / "models", convert_pickle=True, **UNTOLD))
    volume = made.card.input.volume
    assert volume is not None
    assert (volume.size_vox, volume.axes) == ((32, 32, 16), ("R", "A", "S"))
    assert (volume.spacing_mm, volume.intensity) == ((2, 2, 3), (-1000, 400))
    images = torch.rand(1, 1, 32, 32, 16)
    with torch.inference_mode():
        said = load_network(made.folder, made.card)(images)
        assert torch.allclose(said, deep(images), atol=1e-6)


def changed(**changes: Any) -> dict[str, Any]:
    network = {"_target_": "DenseNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 2}
    return {"network_def": network | TINY | changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network_def": {"_target_": "os.system", "command": "x"}}, r"_target_ is 'os\.system'"),
        (changed(_target_="torch.hub.load"), r"_target_ is 'torch\.hub\.load'"),
        (changed(out_channels="$__import__('os').system('x')"), "out_channels is .* are not run"),
        (changed(act={"_target_": "os.system", "command": "x"}), r"act would make 'os\.system'"),
        (changed(act=["$import os"]), r"network_def\.act\.0 is .* are not run"),
        (changed(act="@evil") | {"evil": "$exec('x')"}, r"act is \"?'?\$exec"),
        (changed(act="@nowhere"), "which is not in the configuration"),
        (changed(act="@loop") | {"loop": "@loop"}, "refers to itself"),
        (changed(_requires_="$import os"), r"network_def\._requires_ is"),
        (changed(in_channels=True), "no number that a size can be"),
        (changed(in_channels=10**9), "no number that a size can be"),
        (changed(_target_="UNet"), "only networks are made here"),
        ({"network_def": "$make()"}, "describes no network"),
    ],
)
def test_nothing_of_a_configuration_is_run(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    source = bundle(tmp_path / "bundle", **changes)
    with pytest.raises(ModelError, match=words):
        import_model(wish(source, tmp_path / "models", **UNTOLD))
    assert not list((tmp_path / "models").iterdir())


def test_what_names_os_system_elsewhere_is_never_run(tmp_path: Path) -> None:
    proof = tmp_path / "run"
    evil = {"_target_": "os.system", "command": f"touch {proof}"}
    source = bundle(tmp_path / "bundle", imports=["$import os"], initialize=[evil], run=[evil])
    made = import_model(wish(source, tmp_path / "models", **UNTOLD))
    assert any("never run" in note and "initialize" in note for note in made.notes)
    assert not proof.exists()


@pytest.mark.parametrize(
    "step",
    [
        {"_target_": "ScaleIntensityd", "keys": "image"},
        {"_target_": "Lambdad", "func": "$lambda x: x"},
        {"_target_": "Resized", "spatial_size": [32, 64]},
        {"_target_": "NormalizeIntensityd", "keys": "image"},
        {"_target_": "os.system", "command": "x"},
    ],
)
def test_other_preprocessing_has_to_be_told(tmp_path: Path, step: dict[str, Any]) -> None:
    steps = {"_target_": "Compose", "transforms": [step]}
    source = bundle(tmp_path / "bundle", preprocessing=steps)
    with pytest.raises(ModelError, match="say with --recipe"):
        import_model(wish(source, tmp_path / "models", **UNTOLD))
    told = import_model(wish(source, tmp_path / "models", labels=()))
    assert told.card.input.size_px == 32


def test_a_link_may_not_lead_out_of_a_bundle(tmp_path: Path) -> None:
    source = bundle(tmp_path / "bundle")
    weights = source / "models" / "model.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="leads out of the bundle"):
        import_model(wish(source, tmp_path / "models", **UNTOLD))


def test_a_bundle_without_metadata_is_none(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with pytest.raises(ModelError, match=r"no configs/metadata\.json"):
        import_model(wish(tmp_path / "bundle", tmp_path / "models", **UNTOLD))


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    source = bundle(tmp_path / "bundle", weights="none")
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((source / "configs").iterdir()):
            archive.write(file, f"configs/{file.name}")
        archive.writestr("models/model.pt", bytes(1 << 26))
    with pytest.raises(ModelError, match="unpacks to 67108864 bytes"):
        import_model(wish(path, tmp_path / "models", convert_pickle=True, **UNTOLD))
    assert not list((tmp_path / "models").iterdir())


def test_names_in_an_archive_lead_nowhere_else(tmp_path: Path) -> None:
    """Only files that are asked for are unpacked, and under names of ours."""
    source = zipped(bundle(tmp_path / "bundle"))
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("../../escaped", b"x")
    assert import_model(wish(source, tmp_path / "models", **UNTOLD)).card.name == "chest"
    assert not (tmp_path.parent / "escaped").exists()

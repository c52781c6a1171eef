"""Files that would do more than be read: a clear error, nothing run, nothing left behind."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from dicomnode.errors import ModelError
from dicomnode.learn.importing.importer import import_model
from tests.importing import Plain, bundle, densenet, torchvision_names, wish
from tests.unit.learn.test_importing import exported, scripted


class Evil:
    """What a pickle can be: a command."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.proof}",)


def refused(source: Path, proof: Path, words: str, *, convert: bool = True) -> None:
    """The import fails with these words, ran nothing and left nothing."""
    into = source.parent / "models"
    with pytest.raises(ModelError, match=words):
        import_model(wish(source, into, convert_pickle=convert, answers="logits"))
    assert not proof.exists()
    assert not list(into.iterdir())


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    return tmp_path / "was-run"


# --- pickles --------------------------------------------------------------------------------


def of_torch(evil: Evil, path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}, "more": evil}, path)


def of_python(evil: Evil, path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": evil}))


@pytest.mark.parametrize("save", [of_torch, of_python])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors", "model.onnx", "model.pt2"])
def test_a_poisoned_pickle_by_any_name(
    tmp_path: Path, proof: Path, save: Callable[[Evil, Path], None], name: str
) -> None:
    source = tmp_path / name
    save(Evil(proof), source)
    refused(source, proof, "is a pickle.* it is refused", convert=False)


@pytest.mark.parametrize("save", [of_torch, of_python])
def test_a_poisoned_pickle_that_is_to_be_converted(
    tmp_path: Path, proof: Path, save: Callable[[Evil, Path], None]
) -> None:
    source = tmp_path / "model.pt"
    save(Evil(proof), source)
    refused(source, proof, "which is not opened: only tensors are")


def test_a_poisoned_pickle_as_a_bundles_weights(tmp_path: Path, proof: Path) -> None:
    source = bundle(tmp_path / "bundle", weights="none")
    of_torch(Evil(proof), source / "models" / "model.pt")
    refused(source, proof, "names posix.system, which is not opened")


def test_a_poisoned_pickle_inside_a_number_of_numpy(tmp_path: Path, proof: Path) -> None:
    class Number:
        def __reduce__(self) -> tuple[object, tuple[object, object]]:
            return np.float64(0).__reduce__()[0], (np.dtype("O"), Evil(proof))

    torch.save({"a": torch.ones(1), "best": Number()}, tmp_path / "model.pt")
    refused(tmp_path / "model.pt", proof, "which is not opened: only tensors are")


def test_a_pickle_whose_tensor_says_it_is_huge(tmp_path: Path, proof: Path) -> None:
    torch.save({"a": torch.ones(1).expand(10**12)}, tmp_path / "model.pt")
    refused(tmp_path / "model.pt", proof, "say they are larger than it is")


def test_a_whole_model_as_a_pickle(tmp_path: Path, proof: Path) -> None:
    torch.save(Plain(), tmp_path / "model.pt")
    refused(tmp_path / "model.pt", proof, r"names .*Plain, which is not opened")


# --- TorchScript ----------------------------------------------------------------------------


class Saves(torch.nn.Module):
    """Writes a file when it is asked."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        torch.save(images, "was-run")
        return images.mean((2, 3))


class Maps(torch.nn.Module):
    """Reads a file when it is asked."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) + torch.from_file("/etc/hostname", size=1)


@pytest.mark.parametrize(("program", "word"), [(Saves(), "save"), (Maps(), "from_file")])
def test_torchscript_that_touches_the_disk(
    tmp_path: Path, proof: Path, program: torch.nn.Module, word: str
) -> None:
    source = scripted(program, tmp_path / "model.ts")
    refused(source, proof, f"calls {word}, which does more than compute")


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A zip file with each record changed, or left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if (data := change(name, old.read(name))) is not None:
                new.writestr(name, data)
    return target


def test_torchscript_with_a_poisoned_pickle_inside(tmp_path: Path, proof: Path) -> None:
    good = scripted(Plain().eval(), tmp_path / "good.ts")
    poison = pickle.dumps(Evil(proof))
    bad = rewritten(
        good, tmp_path / "bad.ts", lambda name, data: poison if "data.pkl" in name else data
    )
    refused(bad, proof, "cannot be opened as TorchScript")


def test_an_archive_that_only_looks_like_torchscript(tmp_path: Path, proof: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.ts", "w") as archive:
        archive.writestr("m/code/__torch__.py", "import os\nos.system('touch was-run')\n")
        archive.writestr("m/constants.pkl", pickle.dumps(Evil(proof)))
        archive.writestr("m/data.pkl", pickle.dumps(Evil(proof)))
        archive.writestr("m/version", "3\n")
    refused(tmp_path / "model.ts", proof, "cannot be opened as TorchScript|calls")


# --- torch.export ---------------------------------------------------------------------------


def edited(tmp_path: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """An archive of torch.export whose graph was changed."""
    good = exported(Plain().eval(), tmp_path / "good.pt2")

    def edit(name: str, data: bytes) -> bytes:
        if "/models/" not in name:
            return data
        document = json.loads(data)
        change(document["graph_module"])
        return json.dumps(document).encode()

    return rewritten(good, tmp_path / "bad.pt2", edit)


@pytest.mark.parametrize(
    "target", ["torch.os.system", "torch.ops.aten.from_file.default", "_operator.attrgetter", "#x"]
)
def test_an_exported_graph_that_calls_more_than_aten(
    tmp_path: Path, proof: Path, target: str
) -> None:
    def change(module: dict[str, object]) -> None:
        module["graph"]["nodes"][0]["target"] = target  # type: ignore[index]

    refused(edited(tmp_path, change), proof, f"calls {target}, which is not run")


def test_an_exported_graph_whose_names_are_code_computes_all_the_same(tmp_path: Path) -> None:
    """torch would write them into a function that it runs; here they are keys of a table."""
    proof = tmp_path / "was-run"
    code = f"x=__import__('os').system('touch {proof}')"

    def change(module: dict[str, object]) -> None:
        text = json.dumps(module["graph"]).replace('"name": "images"', f'"name": "{code}"')
        text = text.replace('"images": {', f'"{code}": {{')
        module["graph"] = json.loads(text)
        text = json.dumps(module["signature"]).replace('"name": "images"', f'"name": "{code}"')
        module["signature"] = json.loads(text)

    assert import_model(wish(edited(tmp_path, change), tmp_path / "models")).card.name == "chest"
    assert not proof.exists()


def test_symbolic_sizes_are_never_evaluated(tmp_path: Path) -> None:
    proof = tmp_path / "was-run"

    def change(module: dict[str, object]) -> None:
        text = json.dumps(module["graph"])
        module["graph"] = json.loads(
            text.replace(
                '"expr_str": "', f"\"expr_str\": \"__import__('os').system('touch {proof}') or "
            )
        )

    import_model(wish(edited(tmp_path, change), tmp_path / "models"))
    assert not proof.exists()


def test_an_exported_archive_with_pickled_weights_or_compiled_code(
    tmp_path: Path, proof: Path
) -> None:
    good = exported(Plain().eval(), tmp_path / "good.pt2")
    pickled = rewritten(
        good,
        tmp_path / "pickled.pt2",
        lambda name, data: data.replace(b'"use_pickle": false', b'"use_pickle": true'),
    )
    refused(pickled, proof, "is a pickle, which is never opened")
    compiled = rewritten(good, tmp_path / "compiled.pt2", lambda name, data: data)
    with zipfile.ZipFile(compiled, "a") as archive:
        archive.writestr("good/data/aotinductor/model/evil.so", b"\x7fELF")
    refused(compiled, proof, "holds compiled code, which is not run")


def test_weights_that_say_they_are_larger_than_they_are(tmp_path: Path, proof: Path) -> None:
    good = exported(Plain().eval(), tmp_path / "good.pt2")
    huge = rewritten(
        good,
        tmp_path / "huge.pt2",
        lambda name, data: data.replace(b'{"as_int": 25}', b'{"as_int": 0}').replace(
            b'"sizes": [{"as_int": 4}', b'"sizes": [{"as_int": 400000000000}'
        ),
    )
    refused(huge, proof, "is larger than what is stored of it")


# --- ONNX -----------------------------------------------------------------------------------


def onnx_file(path: Path, *nodes: onnx.NodeProto, outside: str = "") -> Path:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 32, 32])
    said = helper.make_tensor_value_info("said", TensorProto.FLOAT, ["n", 2])
    held = helper.make_tensor("w", TensorProto.FLOAT, [1, 2], [1.0, 2.0])
    if outside:
        held.ClearField("float_data")
        held.data_location = TensorProto.EXTERNAL
        held.external_data.add(key="location", value=outside)
    graph = helper.make_graph(list(nodes), "g", [image], [said], [held])
    domains = [helper.make_opsetid(d, v) for d, v in (("", 18), ("evil", 1))]
    path.write_bytes(helper.make_model(graph, opset_imports=domains).SerializeToString())
    return path


def test_onnx_with_operators_of_others(tmp_path: Path, proof: Path) -> None:
    node = helper.make_node("Run", ["image"], ["said"], domain="evil")
    refused(onnx_file(tmp_path / "m.onnx", node), proof, r"calls evil\.Run, which ONNX has not")


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "link", "missing"])
def test_onnx_whose_numbers_lie_elsewhere(tmp_path: Path, proof: Path, place: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(8))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    node = helper.make_node("MatMul", ["image", "w"], ["said"])
    source = onnx_file(tmp_path / "in" / "m.onnx", node, outside=place)
    refused(source, proof, "which is no file beside it")


# --- what is broken -------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_files_that_end_early(tmp_path: Path, proof: Path, share: float) -> None:
    save_file(torchvision_names(densenet()), tmp_path / "whole.safetensors")
    scripted(Plain().eval(), tmp_path / "whole.ts")
    exported(Plain().eval(), tmp_path / "whole.pt2")
    torch.save(torchvision_names(densenet()), tmp_path / "whole.pth")
    for whole in sorted(tmp_path.glob("whole.*")):
        data = whole.read_bytes()
        cut = tmp_path / f"cut{whole.suffix}"
        cut.write_bytes(data[: int(len(data) * share)])
        refused(cut, proof, "ends early|broken|no safetensors|nothing that can be imported")


def test_files_of_nothing(tmp_path: Path, proof: Path) -> None:
    for name, data in {"empty": b"", "text": b"hello", "zip": b"PK\x03\x04"}.items():
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, proof, "nothing that can be imported|broken archive")


def test_nothing_is_left_where_the_disk_is_full(
    tmp_path: Path, proof: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(torchvision_names(densenet()), tmp_path / "source")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dicomnode.learn.importing.importer.write_card", full)
    refused(tmp_path / "source", proof, "No space left")
    shutil.rmtree(tmp_path / "models")
    (tmp_path / "models").write_text("no folder")
    with pytest.raises(ModelError, match="is no folder"):
        import_model(wish(tmp_path / "source", tmp_path / "models"))

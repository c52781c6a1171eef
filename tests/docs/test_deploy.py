"""What is shipped for deployment is right: unit, image, compose file, and their configuration."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dicomnode.config.load import load
from dicomnode.deliver.sender import send
from tests.factories import make_dataset, write_part10
from tests.orthanc import Orthanc
from tests.pacs import pacs
from tests.running import until
from tests.tools import require

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "dicomnode.service"
README = (DEPLOY / "README.md").read_text("utf-8")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists on this machine; nothing else is changed."""
    text, replaced = re.subn(
        r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", UNIT.read_text(), flags=re.MULTILINE
    )
    assert replaced == 1
    path = tmp_path / UNIT.name
    path.write_text(text)
    return path


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    require("systemd")

    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_the_unit_hardened(unit: Path) -> None:
    """Exposure of 0 to 10, here in tenths; above 2.0 something was opened."""
    require("systemd")

    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_unit_starts_the_command_that_exists() -> None:
    assert "ExecStart=/opt/dicomnode/bin/dicomnode serve --config /etc/dicomnode\n" in (
        UNIT.read_text()
    )


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return loaded


def services(compose: dict[str, Any]) -> list[dict[str, Any]]:
    return list(compose["services"].values())


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    for service in services(compose):
        name, _, tag = service["image"].partition(":")
        assert re.fullmatch(r"\d+(\.\d+)+(-[a-z]+)?", tag), name


def test_every_port_is_published_on_this_machine_only(compose: dict[str, Any]) -> None:
    for service in services(compose):
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_every_container_is_read_only_and_gains_no_rights(compose: dict[str, Any]) -> None:
    for service in services(compose):
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_every_secret_and_volume_is_declared_and_a_file(compose: dict[str, Any]) -> None:
    for service in services(compose):
        for secret in service.get("secrets", []):
            name = secret if isinstance(secret, str) else secret["source"]
            assert compose["secrets"][name]["file"].startswith("./secrets/")
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            inside = source.removeprefix("./")
            assert (
                source in compose["volumes"] or source == "./models" or (DEPLOY / inside).exists()
            )


def test_no_password_stands_in_a_file_or_an_environment(compose: dict[str, Any]) -> None:
    for service in services(compose):
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value.startswith("/run/secrets/")
    assert "RegisteredUsers" not in (DEPLOY / "orthanc.json").read_text("utf-8")
    assert not (DEPLOY / "secrets").exists() or "secrets/" in (
        (DEPLOY / ".gitignore").read_text("utf-8").splitlines()
    )


def test_the_compose_configuration_loads_and_fits_the_compose_file(
    compose: dict[str, Any],
) -> None:
    settings = load(DEPLOY / "config")
    node, peer = settings.node, settings.peers["pacs"]
    orthanc = json.loads((DEPLOY / "orthanc.json").read_text("utf-8"))

    assert (
        f"127.0.0.1:{node.receive.port}:{node.receive.port}"
        in (compose["services"]["node"]["ports"])
    )
    assert "@database/" in node.worklist.url
    assert "database" in compose["services"]
    assert str(node.worklist.password_file) == "/run/secrets/database-password"
    assert f"node-data:{node.storage.folder}" in compose["services"]["node"]["volumes"]
    assert (peer.host, peer.ae_title, peer.port) == (
        "pacs", orthanc["DicomAet"], orthanc["DicomPort"],
    )  # fmt: skip
    modality = orthanc["DicomModalities"]["dicomnode"]
    assert (modality["AET"], modality["Port"]) == (node.receive.ae_title, node.receive.port)
    assert modality["AllowStorageCommitment"]


@pytest.fixture(scope="module")
def dockerfile() -> list[list[str]]:
    """Instructions, each as its words."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_is_built_on_a_version_and_runs_without_root(
    dockerfile: list[list[str]],
) -> None:
    bases = [words[1] for words in dockerfile if words[0] == "FROM"]
    users = [words[1] for words in dockerfile if words[0] == "USER"]

    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", base) for base in bases)
    assert users == ["10001:10001"]
    assert dockerfile.index(["USER", "10001:10001"]) > [w[0] for w in dockerfile].index("COPY")


def test_the_image_copies_only_what_the_wheel_is_made_of(dockerfile: list[list[str]]) -> None:
    copied = {
        word
        for words in dockerfile
        if words[0] == "COPY" and "--from=build" not in words
        for word in words[1:-1]
    }
    ignored = (DEPLOY.parent / ".dockerignore").read_text().splitlines()

    assert copied == {"pyproject.toml", "README.md", "LICENSE", "dicomnode"}
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def test_orthanc_sends_images_on_and_keeps_results_to_itself(tmp_path: Path) -> None:
    require("orthanc")
    settings = json.loads((DEPLOY / "orthanc.json").read_text("utf-8"))
    settings["LuaScripts"] = [str(DEPLOY / "route.lua")]
    image, result = (write_part10(make_dataset(n), tmp_path / f"{n}.dcm") for n in (1, 2))

    with pacs(ae_title="DICOMNODE", calling="ORTHANC") as node:
        settings["DicomModalities"]["dicomnode"] |= {"Host": "127.0.0.1", "Port": node.peer.port}
        with Orthanc(tmp_path, settings) as orthanc:
            send([result], orthanc.peer, "DICOMNODE")
            send([image], orthanc.peer, "XRAY")
            until(lambda: bool(node.stored))

    assert list(node.stored) == [make_dataset(1).SOPInstanceUID]


def test_the_readme_names_every_file_and_every_command() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file() and not path.name.startswith((".", "README")):
            assert path.name in README, path
    for command in ("init", "check", "serve", "echo", "send", "worklist list", "worklist retry"):
        assert f"dicomnode {command}" in README

"""What would keep the node from its work is found before it starts."""

import os
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from dicomnode.classify.card.folder import SHIPPED
from dicomnode.config.load import Settings, load
from dicomnode.node.readiness import broken_pipelines, problems
from dicomnode.node.stopped import log_stopped, models_in_use
from dicomnode.records import WithdrawalReason
from dicomnode.worklist import recall
from tests.certificates import write_certificate
from tests.cli import configure
from tests.node import worklist_of
from tests.pacs import free_port, pacs
from tests.receiver import running
from tests.tiny_model import make_ensemble, make_model
from tests.worklist import NOW


def settings(folder: Path, *, node: str = "", pipeline: str = "") -> Settings:
    return load(configure(folder, node=node, pipeline=pipeline))


def only(settings: Settings) -> str:
    (problem,) = problems(settings)
    return problem


def tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_node_that_can_start_has_no_problems_and_nothing_was_made(tmp_path: Path) -> None:
    node = f'[worklist]\nurl = "sqlite:///{tmp_path}/w.db"\n[receive]\nport = {free_port()}\n'
    ready = settings(tmp_path, node=node)
    before = tree(tmp_path)

    assert problems(ready) == []

    assert tree(tmp_path) == before


def test_all_problems_are_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "node").touch()
    url = f"postgresql://127.0.0.1:{free_port()}/x"
    node = f'[worklist]\nurl = "{url}"\n[receive]\naddress = "192.0.2.1"\n'

    found = problems(settings(tmp_path, node=node, pipeline='model = "brain"\n'))

    assert [problem.partition(": ")[0] for problem in found] == [
        "pipelines/all.toml", "node.toml", "node.toml", "node.toml",
    ]  # fmt: skip
    for problem, word in zip(
        found, ("brain", "storage.folder", "worklist.url", "receive.address"), strict=True
    ):
        assert word in problem


# --- models ---------------------------------------------------------------------------------


def own_model(folder: Path, card: str, weights: bytes | None = b"") -> Settings:
    """Settings whose pipeline names the model `own`, of this card and these weights."""
    model = folder / "models" / "own"
    model.mkdir(parents=True)
    (model / "model.toml").write_text(card, "utf-8")
    if weights is not None:
        (model / "weights.safetensors").write_bytes(weights)
    models = f'[classify]\nmodels = ["{folder / "models"}"]\n'
    return settings(folder, node=models, pipeline='model = "own"\n')


SHIPPED_MODEL = SHIPPED / "demonstration"
CARD = (SHIPPED_MODEL / "model.toml").read_text("utf-8")


def whole_model(folder: Path) -> Settings:
    ready = own_model(folder, CARD, None)
    for file in SHIPPED_MODEL.glob("*.safetensors"):
        shutil.copy(file, folder / "models" / "own")
    return ready


def test_a_model_that_is_whole_is_not_broken(tmp_path: Path) -> None:
    assert broken_pipelines(whole_model(tmp_path)) == {}


@pytest.mark.parametrize("file", sorted(SHIPPED_MODEL.glob("*.safetensors")), ids=lambda f: f.stem)
def test_every_file_of_numbers_is_the_one_that_the_card_names(tmp_path: Path, file: Path) -> None:
    altered = whole_model(tmp_path)
    (tmp_path / "models" / "own" / file.name).write_bytes(b"other numbers")

    (why,) = broken_pipelines(altered).values()

    assert why == f"{tmp_path}/models/own/{file.name}: is not the file that the card names"


@pytest.mark.parametrize(
    ("card", "weights", "word"),
    [
        ("name = 1", b"", "model.toml"),
        (CARD, None, "cannot be read"),
        (CARD, b"half", "is not the file that the card names"),
    ],
    ids=["card", "no weights", "other weights"],
)
def test_a_broken_model_is_named_with_its_folder(
    tmp_path: Path, card: str, weights: bytes | None, word: str
) -> None:
    broken = own_model(tmp_path, card, weights)

    (why,) = broken_pipelines(broken).values()

    assert word in why
    assert why.startswith(str(tmp_path / "models" / "own"))
    assert only(broken) == f"pipelines/all.toml: {why}"


def test_a_pipeline_that_is_turned_off_may_name_any_model(tmp_path: Path) -> None:
    off = settings(tmp_path, pipeline='model = "brain"\nenabled = false\n')

    assert broken_pipelines(off) == {}
    assert problems(off) == []


def test_a_folder_of_models_that_is_not_there_breaks_every_pipeline(tmp_path: Path) -> None:
    gone = settings(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "gone"}"]\n')

    assert str(tmp_path / "gone") in broken_pipelines(gone)["all"]
    assert only(gone).startswith("node.toml: classify.models: ")


def test_a_pipeline_of_a_recalled_model_is_named_and_what_takes_it_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ready = settings(tmp_path)
    model = models_in_use(ready)["all"][0]
    with worklist_of(ready) as database:
        with database.transaction() as tx:
            recall.stop(tx, "other@1", WithdrawalReason.SAFETY, now=NOW)
        assert problems(ready) == []
        with database.transaction() as tx:
            recall.stop(tx, model, WithdrawalReason.SAFETY, now=NOW)
            recall.stop(tx, model, WithdrawalReason.QUALITY, now=NOW)

        log_stopped(ready, database)

    problem = only(ready)
    assert problem.startswith(f"pipelines/all.toml: {model} was recalled (safety)")
    assert f"results reinstate --model {model}" in problem
    (line,) = caplog.records
    assert (line.message, vars(line)["pipeline"]) == ("pipeline.recalled", "all")
    off = settings(tmp_path / "off", pipeline="enabled = false\n")
    assert models_in_use(off) == {}


# --- storage --------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["node", "node/in/it"])
def test_the_storage_folder_is_no_file_and_not_in_one(tmp_path: Path, file: str) -> None:
    config = configure(tmp_path)
    text = (config / "node.toml").read_text().replace(f"{tmp_path}/node", f"{tmp_path}/{file}")
    (config / "node.toml").write_text(text)
    (tmp_path / "node").touch()

    assert only(load(config)) == f"node.toml: storage.folder: {tmp_path / 'node'} is no folder"


def test_the_user_must_be_allowed_to_write_where_the_folder_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and Path(path).exists())

    problem = only(settings(tmp_path))

    assert problem.startswith("node.toml: storage.folder: ")
    assert problem.endswith(f"may not write into {tmp_path}")


def test_a_disk_that_can_only_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))

    assert only(settings(tmp_path)) == (
        f"node.toml: storage.folder: {tmp_path} is on a disk that can only be read"
    )


def test_too_little_room_is_said_with_folder_free_and_wanted(tmp_path: Path) -> None:
    config = configure(tmp_path)
    text = (config / "node.toml").read_text()
    (config / "node.toml").write_text(
        text.replace("[storage]\n", f"[storage]\nmin_free_bytes = {10**18}\n")
    )

    problem = only(load(config))

    assert f"{tmp_path / 'node'} has " in problem
    assert " GB free" in problem
    assert "2000000000.00 GB must stay free" in problem  # the low-water mark


# --- address and port -----------------------------------------------------------------------


def test_an_address_of_another_machine_cannot_be_listened_on(tmp_path: Path) -> None:
    elsewhere = settings(tmp_path, node='[receive]\naddress = "192.0.2.1"\n')

    assert only(elsewhere) == "node.toml: receive.address: 192.0.2.1 is no address of this machine"


def on_port(folder: Path, port: int, *, address: str = "127.0.0.1", sender: str) -> Settings:
    """Settings for this port, with a peer that may send."""
    config = configure(folder, node=f'[receive]\nport = {port}\naddress = "{address}"\n')
    file = config / "peers" / "pacs.toml"
    file.write_text(file.read_text().replace("PACS", sender) + "may_send = true\n")
    return load(config)


def test_our_own_node_on_the_port_is_no_problem(tmp_path: Path) -> None:
    with running(tmp_path / "running") as node:
        assert problems(on_port(tmp_path, node.server.port, sender="MODALITY")) == []


def test_our_own_node_on_every_address_is_no_problem(tmp_path: Path) -> None:
    with running(tmp_path / "running", address="0.0.0.0") as node:  # noqa: S104
        port = node.server.port
        assert problems(on_port(tmp_path, port, address="0.0.0.0", sender="MODALITY")) == []  # noqa: S104


def test_something_else_on_the_port_is_a_problem(tmp_path: Path) -> None:
    with pacs() as archive:
        problem = only(on_port(tmp_path, archive.peer.port, sender="MODALITY"))

    assert problem.startswith("node.toml: receive.port: cannot listen on 127.0.0.1:")
    assert problem.endswith("does not answer as DICOMNODE")


# --- TLS ------------------------------------------------------------------------------------


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    problem = only(settings(tmp_path, node=f'[receive]\ntls_certificate = "{wrong}"\nport = 0\n'))
    assert "receive.tls_certificate" in problem


def test_our_own_node_that_speaks_tls_is_no_problem(tmp_path: Path) -> None:
    pem = write_certificate(tmp_path)
    with running(tmp_path / "other", tls_certificate=pem) as node:
        text = f'[receive]\ntls_certificate = "{pem}"\nport = {node.server.port}\n'
        assert problems(settings(tmp_path, node=text)) == []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = text.replace(f"port = {node.server.port}", f"port = {silent.getsockname()[1]}")
        other = settings(tmp_path, node=text)
        assert "receive.port" in only(other)


# --- the page -------------------------------------------------------------------------------


def with_page(folder: Path, port: int, more: str = "") -> Settings:
    return settings(folder, node=f"[web]\nport = {port}\n{more}")


def test_a_port_that_the_page_cannot_have_is_a_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert only(with_page(tmp_path, port)) == (
            f"node.toml: web.port: cannot listen on 127.0.0.1:{port}: something is there already"
        )
        assert problems(with_page(tmp_path, port, "on = false\n")) == []
    assert problems(with_page(tmp_path, port)) == []


def test_a_certificate_and_an_address_that_the_page_cannot_use_are_problems(
    tmp_path: Path,
) -> None:
    (tmp_path / "page.pem").write_text("no certificate")
    broken = with_page(tmp_path, free_port(), f'tls_certificate = "{tmp_path}/page.pem"\n')
    assert "node.toml: web.tls_certificate: " in only(broken)

    elsewhere = with_page(tmp_path, free_port(), 'address = "192.0.2.1"\n')
    assert only(elsewhere) == ("node.toml: web.address: 192.0.2.1 is no address of this machine")


def test_the_page_of_our_own_node_is_no_problem(tmp_path: Path) -> None:
    with running(tmp_path / "store") as node, socket.create_server(("127.0.0.1", 0)) as page:
        web = f"[web]\nport = {page.getsockname()[1]}\n"
        config = configure(tmp_path, node=f"[receive]\nport = {node.server.port}\n{web}")
        peer = config / "peers" / "modality.toml"
        peer.write_text('ae_title = "MODALITY"\nhost = "x"\nport = 104\nmay_send = true\n')

        assert problems(load(config)) == []


def test_a_candidate_that_is_not_here_is_named(tmp_path: Path) -> None:
    shadowed = settings(tmp_path, pipeline='shadow = ["chest-2"]\n')

    assert only(shadowed).startswith("pipelines/all.toml: there is no model chest-2; here are")


def test_a_pipeline_of_several_models_needs_all_of_them_whole_and_none_recalled(
    tmp_path: Path,
) -> None:
    cards = [make_model(tmp_path / "models" / name, name=name) for name in ("one", "other")]
    make_ensemble(tmp_path / "models" / "both", *cards)
    node = f'[classify]\nmodels = ["{tmp_path / "models"}"]\n'
    ready = settings(tmp_path, node=node, pipeline='model = "both"\n')
    assert broken_pipelines(ready) == {}
    assert models_in_use(ready)["all"] == ("both@1", "one@0.1", "other@0.1")
    with worklist_of(ready) as database, database.transaction() as tx:
        recall.stop(tx, "other@0.1", WithdrawalReason.SAFETY, now=NOW)
    assert any("other@0.1 was recalled (safety)" in problem for problem in problems(ready))

    weights = tmp_path / "models" / "other" / cards[1].weights.file
    weights.write_bytes(weights.read_bytes() + b"\0")
    assert "is not the file that the card names" in broken_pipelines(ready)["all"]
    shutil.rmtree(weights.parent)
    assert "its member other@0.1 is not here" in broken_pipelines(ready)["all"]

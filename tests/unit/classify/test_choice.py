"""The fastest runtime that says the same is chosen once, and remembered."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.input import Input, Volume
from dicomnode.classify.network import Answering, build_network
from dicomnode.classify.runtimes import choice, kept
from dicomnode.classify.runtimes.candidates import Candidate, Loading, Wanted
from dicomnode.classify.runtimes.choice import choose, largest_batch
from dicomnode.classify.runtimes.runtime import Runtime, Said
from dicomnode.classify.vectors import add_vectors
from dicomnode.errors import ModelError
from tests.tiny_model import Brightness, make_card, make_model


@dataclass
class Way:
    """A runtime that takes its time, and may be off."""

    name: str
    seconds: float = 0.0
    off: float = 0.0
    written: list[Path] = field(default_factory=list)
    fails: bool = False

    def run(self, images: torch.Tensor) -> Said:
        time.sleep(self.seconds)
        return Said(images.flatten(1).mean(1, keepdim=True).double().numpy() + self.off)

    def write(self, folder: Path) -> None:
        if self.fails:
            raise LookupError("an operator nobody knows")
        self.written.append(folder)
        (folder / "network.bin").write_bytes(b"numbers")

    def start(self, folder: Path) -> Runtime:
        if self.name != "torch" and not (folder / "network.bin").is_file():
            raise ModelError("the file is gone")
        return self


class Choosing:
    """Chooses among fakes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Path | None) -> None:
        self.monkeypatch = monkeypatch
        self.cache = cache
        self.tried: list[str] = []

    def __call__(self, *ways: Way, card: Card | None = None, wanted: Wanted = "auto") -> str:
        def listed(_: Loading, __: Wanted) -> Sequence[Candidate]:
            return [
                Candidate(
                    name=way.name, start=way.start, write=None if way.name == "torch" else way.write
                )
                for way in ways
            ]

        self.monkeypatch.setattr(choice, "candidates", listed)
        card = card or make_card()
        loading = Loading(
            folder=Path("/nowhere"),
            card=card,
            network=Answering(Brightness(), card),
            device=torch.device("cpu"),
            threads=1,
        )
        return choose(loading, wanted, self.cache, trying=self.tried.append).name


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Choosing:
    return Choosing(monkeypatch, tmp_path / "runtimes")


SLOW = 0.02


def test_the_fastest_is_chosen(chosen: Choosing) -> None:
    assert chosen(Way("torch", SLOW), Way("quick"), Way("quicker not", SLOW / 2)) == "quick"


def test_torch_is_chosen_where_nothing_is_faster(chosen: Choosing) -> None:
    assert chosen(Way("torch"), Way("other", SLOW)) == "torch"


def test_what_says_something_else_is_set_aside(
    chosen: Choosing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert chosen(Way("torch", SLOW), Way("wrong", off=0.1)) == "torch"
    (line,) = [record for record in caplog.records if record.msg == "runtime.disagrees"]
    assert line.runtime == "wrong"  # type: ignore[attr-defined]


def test_what_fails_is_set_aside(chosen: Choosing, caplog: pytest.LogCaptureFixture) -> None:
    assert chosen(Way("torch", SLOW), Way("broken", fails=True)) == "torch"
    assert [record.msg for record in caplog.records] == ["runtime.failed"]


def test_what_is_asked_for_by_name_is_taken_though_it_is_slower(chosen: Choosing) -> None:
    assert chosen(Way("torch"), Way("openvino", SLOW), wanted="openvino") == "openvino"
    assert (
        chosen(Way("torch"), Way("openvino", SLOW, off=1.0), wanted="openvino", card=OTHER)
        == "torch"
    )


OTHER = make_card(version="0.2")


def test_a_choice_is_remembered_with_its_files(chosen: Choosing) -> None:
    first, again = Way("quick"), Way("quick", SLOW)
    assert chosen(Way("torch", SLOW), first) == "quick"
    assert chosen(Way("torch"), again) == "quick"
    assert (len(first.written), len(again.written)) == (1, 0)


def test_what_is_measured_is_told_and_what_is_remembered_is_not(chosen: Choosing) -> None:
    chosen(Way("torch", SLOW), Way("quick"), Way("broken", fails=True))
    assert chosen.tried == ["torch", "quick", "broken"]
    chosen(Way("torch", SLOW), Way("quick"))
    assert chosen.tried == ["torch", "quick", "broken"]


def test_another_card_is_measured_for_itself(chosen: Choosing) -> None:
    way = Way("quick")
    chosen(Way("torch", SLOW), way)
    chosen(Way("torch", SLOW), way, card=OTHER)
    assert len(way.written) == 2


@pytest.mark.parametrize("damage", ["choice", "file", "gone", "nonsense", "renamed"])
def test_what_is_broken_on_the_disk_is_measured_again(chosen: Choosing, damage: str) -> None:
    assert chosen.cache is not None
    chosen(Way("torch", SLOW), Way("quick"))
    (folder,) = chosen.cache.iterdir()
    told = json.loads((folder / "choice.json").read_text())
    match damage:
        case "choice":
            (folder / "choice.json").write_text("{")
        case "file":
            (folder / "network.bin").write_bytes(b"others")
        case "gone":
            (folder / "network.bin").unlink()
        case "nonsense":
            (folder / "choice.json").write_text('["quick"]')
        case "renamed":
            (folder / "choice.json").write_text(json.dumps(told | {"runtime": "unheard of"}))
    way = Way("quick")
    assert chosen(Way("torch", SLOW), way) == "quick"
    assert len(way.written) == 1
    assert chosen(Way("torch", SLOW), way) == "quick"
    assert len(way.written) == 1


def test_where_nothing_can_be_kept_it_is_measured_each_time(
    chosen: Choosing, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("no folder")
    for cache in (None, tmp_path / "a file"):
        chosen.cache = cache
        way = Way("quick")
        for _ in range(2):
            assert chosen(Way("torch", SLOW), way) == "quick"
        assert len(way.written) == 2
        assert not any(folder.exists() for folder in way.written)


def test_nothing_is_left_behind(chosen: Choosing) -> None:
    assert chosen.cache is not None
    chosen(Way("torch", SLOW), Way("quick"))
    (folder,) = chosen.cache.iterdir()
    assert {path.name for path in folder.iterdir()} == {"choice.json", "network.bin"}
    assert folder.stat().st_mode & 0o077 == 0 or chosen.cache.stat().st_mode & 0o077 == 0


def test_of_many_choices_the_oldest_are_forgotten(
    chosen: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen.cache is not None
    monkeypatch.setattr(kept, "_MOST", 2)
    for version in ("1", "2", "3"):
        chosen(Way("torch", SLOW), Way("quick"), card=make_card(version=version))
    assert len(list(chosen.cache.iterdir())) == 2
    way = Way("quick")
    chosen(Way("torch", SLOW), way, card=make_card(version="3"))
    assert not way.written


def test_a_network_that_never_says_the_same_is_no_model(chosen: Choosing) -> None:
    class Fickle(Way):
        def run(self, images: torch.Tensor) -> Said:
            self.off += 1.0
            return super().run(images)

    with pytest.raises(ModelError, match="same answer twice"):
        chosen(Fickle("torch"), Way("quick"))


def test_large_inputs_are_measured_in_small_batches(
    chosen: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: set[int] = set()

    class Counting(Way):
        def run(self, images: torch.Tensor) -> Said:
            sizes.add(len(images))
            return super().run(images)

    monkeypatch.setattr(choice, "_NUMBERS", 3 * 16 * 16)
    chosen(Counting("torch"), Way("quick"))
    assert sizes == {1, 3}
    assert np.all(np.array(list(sizes)) <= 3)


def test_a_batch_holds_fewer_of_what_is_larger() -> None:
    volume = Input(
        kind="volume", channels=1, mean=(0.5,), std=(0.5,),
        volume=Volume(size_vox=(128, 128, 128), intensity=(0, 1)),
    )  # fmt: skip
    assert largest_batch(make_card()) == 16
    assert largest_batch(make_card(input=volume)) == 8
    assert largest_batch(make_card(input=volume), 1) == 1


def test_the_vectors_of_the_card_are_asked_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    card = make_model(tmp_path)
    loading = Loading(
        folder=tmp_path,
        card=card,
        network=Answering(build_network(card).eval(), card),
        device=torch.device("cpu"),
        threads=1,
    )
    with_vectors = add_vectors(tmp_path, card, build_network(card).eval())
    asked: list[int] = []

    class Counting(Way):
        def run(self, images: torch.Tensor) -> Said:
            asked.append(len(images))
            return super().run(images)

    way = Counting("torch")
    listed = [Candidate(name="torch", start=way.start)]
    for one in (loading, replace(loading, card=with_vectors)):
        asked.clear()
        workshop = tmp_path / ("with" if one.card.vectors else "without")
        workshop.mkdir()
        choice.measure(one, listed, None, workshop)
        assert asked[0] == 16 + (0 if one is loading else with_vectors.vectors.inputs)  # type: ignore[union-attr]

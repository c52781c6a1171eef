"""Model folder to a classifier that is ready to answer."""

import os
from collections.abc import Iterable
from pathlib import Path

import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.folder import find_members, read_card, read_model
from dicomnode.classify.ensemble import EnsembleClassifier
from dicomnode.classify.explaining.explainer import explainer
from dicomnode.classify.explaining.twin import twin
from dicomnode.classify.model_classifier import ModelClassifier
from dicomnode.classify.network import Answering, load_network
from dicomnode.classify.novelty import Usual
from dicomnode.classify.runtimes.batched import Batched
from dicomnode.classify.runtimes.candidates import Loading, Wanted
from dicomnode.classify.runtimes.choice import choose, largest_batch
from dicomnode.classify.samples.preprocess import HOST
from dicomnode.classify.weights import load_weights
from dicomnode.errors import ModelError

__all__ = ["load_classifier"]


def load_classifier(
    folder: Path,
    device: str = "auto",
    threads: int = 0,
    *,
    runtime: Wanted = "torch",
    cache: Path | None = None,
    workers: int = 1,
    others: Iterable[Path] = (),
) -> ModelClassifier | EnsembleClassifier:
    """The model in `folder`, on a device torch knows by that name.

    `runtime` says what carries the network out; other than with "torch", what agrees and is the
    fastest here is measured once, in half a minute or more, and remembered in the folder `cache`.

    A model that is several others has its members among `others`, model folders, or in folders
    beside its own.

    With 0 `threads` the `workers` of this machine share its cores. torch leaves one free: its
    threads spin while they wait for each other, and a core that the receiver takes from them slows
    a network down tenfold. Those of other runtimes sleep, and leave none.

    Raises:
        ModelError: the folder is incomplete, was altered, or cannot be run here.
    """
    cores = os.cpu_count() or 1
    torch.set_num_threads(threads or max(1, (cores - 1) // workers))
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else all memory would be written twice.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False  # float32 is what others are measured by
    card, there = read_model(folder), _device(device)
    share = threads or max(1, cores // workers)

    def one(of: Path, card: Card) -> ModelClassifier:
        return _one(of, card, there, share, runtime, cache)

    if isinstance(card, Card):
        return one(folder, card)
    near = [*others, *sorted(path for path in folder.parent.iterdir() if path != folder)]
    members = [one(member, read_card(member)) for member in find_members(card, near)]
    return EnsembleClassifier(card, members)


def _one(
    folder: Path, card: Card, there: torch.device, threads: int, runtime: Wanted, cache: Path | None
) -> ModelClassifier:
    """A model of one network."""
    network, usual = load_network(folder, card), None
    if card.novelty is not None:
        usual = Usual(card.novelty, load_weights(folder, card.novelty.numbers))
    explained = twin(network.to(there))  # by hooks, while others run the network
    loading = Loading(
        folder=folder,
        card=card,
        network=Answering(network, card).eval(),
        device=there,
        threads=threads,
    )
    chosen = Batched(choose(loading, runtime, cache, usual), largest_batch(card))
    prepared_on = there if there.type == "cuda" else HOST
    return ModelClassifier(card, chosen, explainer(explained, card), usual, prepared_on)


def _device(name: str) -> torch.device:
    """A device by name; "auto": an accelerator where there is one."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, there in present.items() if there), "cpu")
    if not present.get(name.split(":")[0], name == "cpu"):
        raise ModelError(f"device {name!r} is not here; auto and cpu always are")
    return torch.device(name)

"""Is a model still the one that was imported or trained? Its test vectors tell."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dicomnode.classify.calibration import probabilities
from dicomnode.classify.card.card import Card
from dicomnode.classify.network import Answering, load_network
from dicomnode.classify.runtimes.candidates import Loading, Wanted
from dicomnode.classify.runtimes.choice import choose
from dicomnode.classify.runtimes.eager import Eager
from dicomnode.classify.runtimes.runtime import Runtime
from dicomnode.classify.vectors import Known, read_vectors
from dicomnode.classify.weights import read_checked

__all__ = ["Verified", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How far a runtime is from what the network said when its folder was made."""

    runtime: str  #: its name
    inputs: int
    difference: float  #: the largest, in probability
    tolerance: float  #: that the card allows

    @property
    def holds(self) -> bool:
        """Is the difference within the tolerance? One that is not a number is not."""
        return self.difference <= self.tolerance


def verify(
    folder: Path,
    card: Card,
    runtime: Wanted,
    cache: Path | None = None,
    threads: int = 0,
    trying: Callable[[str], None] = lambda name: None,
) -> list[Verified]:
    """Every file by its hash, then the vectors: by torch, and by the runtime the node would use.

    Of a card without vectors only the files are checked, and there is nothing to tell. Where that
    runtime is still to be chosen, `trying` is told each that is measured, before it is.

    Raises:
        ModelError: a file is not the one of the card, or the network cannot be carried out.
    """
    for file in card.files:
        read_checked(folder, file)
    if card.vectors is None:
        return []
    known, device = read_vectors(folder, card), torch.device("cpu")
    network = Answering(load_network(folder, card), card).eval()
    loading = Loading(
        folder=folder,
        card=card,
        network=network,
        device=device,
        threads=threads or os.cpu_count() or 1,
    )
    eager, used = Eager(network, device), choose(loading, runtime, cache, trying=trying)
    both = [eager] if used.name == eager.name else [eager, used]
    return [_verified(card, known, each) for each in both]


def _verified(card: Card, known: Known, runtime: Runtime) -> Verified:
    said = runtime.run(known.images).logits
    was, now = (probabilities(each, card.calibration, card.output) for each in (known.logits, said))
    difference = float(np.abs(was - now).max()) if now.shape == was.shape else float("inf")
    return Verified(
        runtime=runtime.name,
        inputs=len(known.images),
        difference=difference,
        tolerance=card.running.tolerance,
    )

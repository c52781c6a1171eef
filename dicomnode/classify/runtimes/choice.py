"""The fastest way to run a network here that says the same: measured once, and remembered.

"The same": no probability differs by more than the card's `running.tolerance`, with a margin of
two. "The fastest": by the time for an image alone and in a batch, in equal shares. What fails, or
says something else, is set aside with a line in the log; torch is always left.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.novelty import Usual
from dicomnode.classify.runtimes.agreement import Check, clouds
from dicomnode.classify.runtimes.candidates import Candidate, Loading, Wanted, candidates
from dicomnode.classify.runtimes.kept import Shelf, place
from dicomnode.classify.runtimes.runtime import Runtime
from dicomnode.classify.vectors import read_vectors
from dicomnode.errors import ModelError

__all__ = ["Measured", "choose", "largest_batch", "measure"]

log = logging.getLogger(__name__)

_MOST = 16  #: images that are asked, and of the larger batch that is measured
_NUMBERS = 1 << 22  #: in a batch at most: volumes are measured in smaller ones
_SEED = 2  #: of the made-up images that are asked
_ROUNDS = 3  #: of measuring
_BEATEN = 2.0  #: times the cost of the best, and a way is out of the race
_LONGEST = 200  #: characters of a foreign error that are logged


@dataclass(slots=True, kw_only=True, eq=False)
class Measured:
    """One way of running a network, as it was found to do; times get better by the round."""

    runtime: Runtime
    strain: float  #: of what the card tolerates: up to 1 it agrees
    folder: Path  #: with its files
    one_s: float = float("inf")  #: for an image alone
    each_s: float = float("inf")  #: for an image of a batch

    @property
    def cost_s(self) -> float:
        """What decides: alone and in a batch count alike."""
        return self.one_s + self.each_s


def choose(
    loading: Loading,
    wanted: Wanted,
    cache: Path | None,
    usual: Usual | None = None,
    trying: Callable[[str], None] = lambda name: None,
) -> Runtime:
    """The runtime for a model: that asked for, or the fastest; as remembered in `cache`, if it is.

    A runtime that is asked for by name gives way to torch all the same if it says something else.
    `trying` is told the name of each before it is written and measured, which takes its time.
    """
    ways = list(candidates(loading, wanted))
    if len(ways) == 1:
        return ways[0].start(loading.folder)
    name = place(loading.card, wanted=wanted, threads=loading.threads, device=_named(loading))
    shelf = Shelf(cache, name)
    if (runtime := _remembered(ways, shelf)) is not None:
        return runtime
    began = time.monotonic()
    with shelf.workshop() as workshop:
        found = measure(loading, ways, usual, workshop, trying)
        asked_for = [each for each in found if each.runtime.name.startswith(wanted)]
        best = min(asked_for or found, key=lambda each: each.cost_s)
        shelf.keep(best.runtime.name, best.folder)
    _say("runtime.chosen", loading, best.runtime.name, time.monotonic() - began)
    return best.runtime


def measure(
    loading: Loading,
    ways: Sequence[Candidate],
    usual: Usual | None,
    workshop: Path,
    trying: Callable[[str], None] = lambda name: None,
) -> list[Measured]:
    """Every way that works and agrees with the first, in order.

    Raises:
        ModelError: not even the first works.
    """
    most = largest_batch(loading.card, _NUMBERS)
    images = clouds(loading.card, max(2, most), _SEED)
    asked = torch.cat([images, _vectors(loading)])
    said = ways[0].start(workshop).run(asked)
    check = Check(card=loading.card, usual=usual, images=asked, said=said)
    found = []
    for way in ways:
        trying(way.name)
        if (measured := _tried(way, workshop / way.name, check, loading)) is not None:
            found.append(measured)
    if not found:
        raise ModelError(f"{loading.card.name}: the network does not give the same answer twice")
    race = found
    for _ in range(_ROUNDS):  # in turn, as others may be using the machine
        for measured in race:
            measured.one_s = min(measured.one_s, _seconds(measured.runtime, images[:1]))
            all_s = _seconds(measured.runtime, images[:most])
            measured.each_s = min(measured.each_s, all_s / most)
        best_s = min(measured.cost_s for measured in race)
        race = [measured for measured in race if measured.cost_s < _BEATEN * best_s]
    for measured in found:
        _say("runtime.measured", loading, measured.runtime.name, measured.one_s)
    return found


def largest_batch(card: Card, numbers: int = 1 << 24) -> int:
    """Images of a batch that has no more than so many numbers: 16, but of volumes fewer."""
    return max(1, min(_MOST, numbers // torch.Size(card.input.shape).numel()))


def _vectors(loading: Loading) -> torch.Tensor:
    """The images of the card's test vectors; none where it has none."""
    if loading.card.vectors is None:
        return torch.empty(0, *loading.card.input.shape)
    return read_vectors(loading.folder, loading.card).images


def _tried(way: Candidate, folder: Path, check: Check, loading: Loading) -> Measured | None:
    """One way, ready; None where it fails or says something else."""
    folder.mkdir()
    try:
        if way.write is not None:
            way.write(folder)
        runtime = way.start(folder)
        strain = check.strain(runtime)
    except Exception as error:  # noqa: BLE001  a foreign compiler raises what it likes; torch is there
        extra = {"model": loading.card.model.tag, "runtime": way.name, "problem": _line(error)}
        log.warning("runtime.failed", extra=extra)
        return None
    if strain > 1:
        log.info(
            "runtime.disagrees",
            extra={
                "model": loading.card.model.tag,
                "runtime": way.name,
                "problem": f"{strain:.1f} times as far from torch as the card allows",
            },
        )
        return None
    return Measured(runtime=runtime, strain=strain, folder=folder)


def _line(error: Exception) -> str:
    """What went wrong, in one line: some compilers tell it with the whole network."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:_LONGEST]}"


def _seconds(runtime: Runtime, images: torch.Tensor) -> float:
    began = time.perf_counter()
    runtime.run(images)
    return time.perf_counter() - began


def _remembered(ways: Sequence[Candidate], shelf: Shelf) -> Runtime | None:
    """What was chosen before, if it still starts."""
    if (kept := shelf.find()) is None:
        return None
    name, folder = kept
    try:
        return next((way.start(folder) for way in ways if way.name == name), None)
    except ModelError:
        return None


def _named(loading: Loading) -> str:
    if loading.device.type == "cuda":
        return torch.cuda.get_device_name(loading.device)
    return loading.device.type


def _say(event: str, loading: Loading, runtime: str, seconds: float) -> None:
    extra = {"model": loading.card.model.tag, "runtime": runtime, "seconds": round(seconds, 4)}
    log.info(event, extra=extra)

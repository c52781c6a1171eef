"""One network for several threads: their calls go through it together, one batch at a time.

Whoever finds the network free carries out his own images and those of all that wait; so batches
form by themselves while it is busy. What a batch of several callers breaks on is tried again for
each alone, so that an error reaches those whose images it is about. Out of memory halves the batch
and goes on.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from dicomnode.classify.runtimes.runtime import Runtime, Said
from dicomnode.errors import ModelError

__all__ = ["Batched"]

_WAIT_S = 0.004  #: for callers that said they are coming; a fraction of what a batch takes


class _Call:
    """What one thread asks, and what comes of it."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images
        self.said: Said | None = None
        self.alone = False  #: it was in a batch that broke


class Batched:
    """A runtime that several threads may call at once; one at a time calls the one inside."""

    def __init__(self, runtime: Runtime, largest: int = 16, wait_s: float = _WAIT_S) -> None:
        self._runtime = runtime
        self._largest = largest
        self._wait_s = wait_s
        self._waiting: deque[_Call] = deque()
        self._changed = threading.Condition()  # guards what waits and who is coming
        self._coming: set[object] = set()  # a mark for each
        self._turn = threading.Lock()  # whoever holds it may call the runtime

    @property
    def name(self) -> str:
        """What carries the network out."""
        return self._runtime.name

    @property
    def largest(self) -> int:
        """Most images in one batch; becomes less where memory did not do."""
        return self._largest

    @contextmanager
    def coming(self) -> Iterator[Callable[[torch.Tensor], Said]]:
        """While a thread prepares images: a batch waits a little for them.

        What it gives is `run`, to be called inside: the wait for a thread ends when its images wait
        with those of the others, or when it leaves without any.
        """
        mark = object()
        with self._changed:
            self._coming.add(mark)
        try:
            yield partial(self._run, mark=mark)
        finally:
            with self._changed:
                self._coming.discard(mark)
                self._changed.notify_all()

    def run(self, images: torch.Tensor) -> Said:
        """Answers for float32 (images, ...), as if nobody else had asked.

        Raises:
            ModelError: the network cannot be carried out on these images, or not even one of them
                fits into memory.
        """
        return self._run(images)

    def _run(self, images: torch.Tensor, mark: object = None) -> Said:
        call = _Call(images)
        with self._changed:
            self._waiting.append(call)
            self._coming.discard(mark)
            self._changed.notify_all()
        with self._turn:
            if call.said is None and not call.alone:
                self._carry_out(self._gathered(call))
            return call.said or self._carried_out(images)

    def _carry_out(self, batch: list[_Call]) -> None:
        """Answer the calls of a batch; where it breaks, each is to be tried alone."""
        said = None
        try:
            said = self._carried_out(torch.cat([call.images for call in batch]))
        except ModelError:
            if len(batch) == 1:
                raise
        finally:
            if said is None:  # also where the runtime has a mistake: the others must not wait
                for call in batch:
                    call.alone = True
        if said is not None:
            _hand_out(said, batch)

    def _gathered(self, first: _Call) -> list[_Call]:
        """A call and those that wait, as far as they are of its shape and fit into one batch."""
        until = time.monotonic() + self._wait_s
        with self._changed:
            while (
                self._coming
                and sum(len(call.images) for call in self._waiting) < self._largest
                and (left := until - time.monotonic()) > 0
            ):
                self._changed.wait(left)
            self._waiting.remove(first)
            batch = [first]
            while self._waiting and _fits(self._waiting[0], batch, self._largest):
                batch.append(self._waiting.popleft())
            return batch

    def _carried_out(self, images: torch.Tensor) -> Said:
        parts: list[Said] = []
        left = images
        while len(left):
            part = left[: self._largest]
            if (said := self._fitting(part)) is not None:
                parts.append(said)
                left = left[len(part) :]
        return _joined(parts)

    def _fitting(self, part: torch.Tensor) -> Said | None:
        """The answers; None where memory was too small, and the next batch shall be half as large.

        The retry is the caller's: while an error is handled its frames hold the memory.
        """
        try:
            return self._runtime.run(part)
        except (torch.OutOfMemoryError, MemoryError) as error:
            if len(part) == 1:
                raise ModelError("there is not memory enough for a single image") from error
        self._largest = max(1, len(part) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None


def _fits(call: _Call, batch: list[_Call], largest: int) -> bool:
    together = sum(len(other.images) for other in batch) + len(call.images)
    return together <= largest and call.images.shape[1:] == batch[0].images.shape[1:]


def _joined(parts: list[Said]) -> Said:
    if len(parts) == 1:
        return parts[0]
    features = [part.features for part in parts if part.features is not None]
    return Said(
        np.concatenate([part.logits for part in parts]),
        np.concatenate(features) if features else None,
    )


def _hand_out(said: Said, batch: list[_Call]) -> None:
    start = 0
    for call in batch:
        end = start + len(call.images)
        features = None if said.features is None else said.features[start:end]
        call.said = Said(said.logits[start:end], features)
        start = end

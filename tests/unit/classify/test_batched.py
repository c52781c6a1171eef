"""Several threads, one network: batches, errors to whom they concern, and little memory."""

import threading
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from dicomnode.classify.runtimes.batched import Batched
from dicomnode.classify.runtimes.runtime import Said
from dicomnode.errors import ModelError

PATIENCE_S = 10.0


class Recorder:
    """Says each image's first number, and remembers the sizes of its batches."""

    name = "recorder"

    def __init__(self, room: int = 1000) -> None:
        self.sizes: list[int] = []
        self.room = room  #: images that fit into memory
        self.hold = threading.Event()
        self.hold.set()
        self.callers = 0

    def run(self, images: torch.Tensor) -> Said:
        self.callers += 1
        assert self.callers == 1, "two threads at once"
        try:
            assert self.hold.wait(PATIENCE_S)
            if len(images) > self.room:
                raise torch.OutOfMemoryError
            self.sizes.append(len(images))
            first = images.flatten(1)[:, 0].numpy()
            if (first < 0).any():
                raise ModelError("below zero")
            if (first > 1000).any():
                raise LookupError("a mistake of the runtime")
            return Said(first[:, None].astype(float), first[:, None])
        finally:
            self.callers -= 1


def images(*firsts: float, side: int = 2) -> torch.Tensor:
    return torch.tensor(firsts).reshape(-1, 1, 1, 1).expand(-1, 1, side, side)


def asked(*calls: Callable[[], Said]) -> list[Said | Exception]:
    """What comes of calls from as many threads."""
    results: list[Said | Exception] = [ModelError("no answer")] * len(calls)

    def ask(at: int) -> None:
        try:
            results[at] = calls[at]()
        except (LookupError, ModelError) as error:
            results[at] = error

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    return results


def behind_a_busy_one(
    batched: Batched, runtime: Recorder, *calls: torch.Tensor
) -> list[Said | Exception]:
    """The same for calls that all wait while another is carried out."""
    runtime.hold.clear()
    held = threading.Thread(target=batched.run, args=(images(0.0),))
    held.start()
    _until(lambda: runtime.callers == 1)

    def let_go() -> None:
        _until(lambda: len(batched._waiting) == len(calls))
        runtime.hold.set()

    release = threading.Thread(target=let_go)
    release.start()
    results = asked(*[partial(batched.run, call) for call in calls])
    held.join(PATIENCE_S)
    release.join(PATIENCE_S)
    return results


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true() and time.monotonic() < end:
        time.sleep(0.001)


def test_who_waited_goes_together_and_each_gets_his_own() -> None:
    runtime = Recorder()
    results = behind_a_busy_one(
        Batched(runtime), runtime, images(1.0, 2.0), images(3.0), images(4.0, 5.0)
    )
    assert runtime.sizes == [1, 5]
    said = [result.logits[:, 0].tolist() for result in results if isinstance(result, Said)]
    assert said == [[1, 2], [3], [4, 5]]
    seen = [r.features for r in results if isinstance(r, Said)]
    assert [f.shape for f in seen if f is not None] == [(2, 1), (1, 1), (2, 1)]


def test_no_batch_is_larger_than_it_may_be() -> None:
    runtime = Recorder()
    batched = Batched(runtime, largest=4)
    behind_a_busy_one(batched, runtime, *[images(float(n), float(n)) for n in range(5)])
    assert max(runtime.sizes) <= 4
    assert sum(runtime.sizes) == 11
    assert batched.run(images(*map(float, range(9)))).logits[:, 0].tolist() == list(range(9))
    assert runtime.sizes[-3:] == [4, 4, 1]


def test_images_of_different_shape_go_apart() -> None:
    runtime = Recorder()
    results = behind_a_busy_one(Batched(runtime), runtime, images(1.0), images(2.0, side=3))
    assert runtime.sizes == [1, 1, 1]
    assert all(isinstance(result, Said) for result in results)


def test_an_error_reaches_exactly_whom_it_concerns() -> None:
    runtime = Recorder()
    good, bad, other = behind_a_busy_one(
        Batched(runtime), runtime, images(1.0), images(-1.0), images(2.0)
    )
    assert isinstance(good, Said)
    assert isinstance(bad, ModelError)
    assert isinstance(other, Said)
    assert other.logits.tolist() == [[2.0]]


def test_a_mistake_of_the_runtime_leaves_nobody_waiting() -> None:
    runtime = Recorder()
    results = behind_a_busy_one(Batched(runtime), runtime, images(2000.0), images(2.0))
    assert any(isinstance(result, LookupError) for result in results)
    assert not any(str(result) == "no answer" for result in results)


def test_out_of_memory_halves_the_batch_and_goes_on() -> None:
    runtime = Recorder(room=3)
    batched = Batched(runtime, largest=16)
    said = batched.run(images(*map(float, range(13))))
    assert said.logits[:, 0].tolist() == list(range(13))
    assert said.features is not None
    assert said.features.shape == (13, 1)
    assert max(runtime.sizes) <= 3
    assert batched.largest <= 3

    runtime.room = 0
    with pytest.raises(ModelError, match="memory"):
        batched.run(images(1.0))


def test_a_batch_waits_a_little_for_who_is_coming() -> None:
    runtime = Recorder()
    batched = Batched(runtime, wait_s=3 * PATIENCE_S)
    both = threading.Barrier(2)

    def prepared(number: float) -> Said:
        with batched.coming() as run:
            both.wait(PATIENCE_S)  # from here on neither may be left behind
            return run(images(number))

    results = asked(partial(prepared, 1.0), partial(prepared, 2.0))
    assert [r.logits.tolist() for r in results if isinstance(r, Said)] == [[[1.0]], [[2.0]]]
    assert runtime.sizes == [2]


def test_nobody_waits_for_who_will_not_come() -> None:
    runtime = Recorder()
    batched = Batched(runtime, wait_s=3 * PATIENCE_S)
    with batched.coming():
        first = threading.Thread(target=batched.run, args=(images(1.0),))
        first.start()
        _until(lambda: len(batched._waiting) == 1)
        with pytest.raises(LookupError), batched.coming():
            raise LookupError("what was to be prepared is broken")
        assert runtime.sizes == []
    first.join(PATIENCE_S)
    assert runtime.sizes == [1]


def test_nobody_waits_when_nobody_is_coming() -> None:
    batched = Batched(Recorder(), wait_s=PATIENCE_S)
    began = time.monotonic()
    batched.run(images(1.0))
    assert time.monotonic() - began < PATIENCE_S / 2


def test_many_threads_get_their_own_answers() -> None:
    runtime = Recorder()
    batched = Batched(runtime, largest=8)

    def ask(number: int) -> Said:
        for _ in range(20):
            assert batched.run(images(float(number))).logits.tolist() == [[float(number)]]
        return batched.run(images(float(number)))

    results = asked(*[partial(ask, n) for n in range(8)])
    assert [r.logits[0, 0] for r in results if isinstance(r, Said)] == list(range(8))
    assert np.mean(runtime.sizes) >= 1

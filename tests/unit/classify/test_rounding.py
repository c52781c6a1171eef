"""Weights in bfloat16: each next to what it was, and sums that stay right."""

import numpy as np
import pytest

from dicomnode.classify.runtimes.rounding import rounded


def table(rows: int, inputs: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    generator = np.random.default_rng(1)
    return generator.normal(0, 0.1, (rows, inputs)).astype(np.float32)


def seen(examples: int, inputs: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    generator = np.random.default_rng(2)
    return generator.uniform(0, 1, (examples, inputs)).astype(np.float32)


def test_every_weight_becomes_one_of_its_two_neighbours() -> None:
    weights = table(8, 64)
    result = rounded(weights, seen(4, 64))
    assert not (result.view(np.uint32) & 0xFFFF).any()
    step = np.abs(weights) * 2.0**-7
    assert (np.abs(result - weights) <= step).all()


def test_what_bfloat16_can_say_stays() -> None:
    weights = np.array([[0.5, -0.25, 0.0, 1.0, 96.0]], dtype=np.float32)
    assert rounded(weights, seen(3, 5)).tolist() == weights.tolist()


@pytest.mark.parametrize("positions", [1, 9])
def test_errors_cancel_for_inputs_like_those_that_were_seen(positions: int) -> None:
    inputs = 128 // positions
    weights, examples = table(16, inputs * positions), seen(4, inputs)
    each = np.repeat(examples, positions, axis=1)
    nearest = rounded(weights, np.zeros_like(examples), positions)  # nothing to take back

    def off(result: object) -> float:
        return float(np.abs((np.asarray(result) - weights) @ each.T).max())

    assert off(rounded(weights, examples, positions)) < off(nearest) / 5


def test_inputs_that_are_never_there_change_nothing() -> None:
    weights, examples = table(4, 32), seen(2, 32)
    examples[:, ::2] = 0
    alone = rounded(weights[:, 1::2].copy(), examples[:, 1::2].copy())
    assert rounded(weights, examples)[:, 1::2].tolist() == alone.tolist()

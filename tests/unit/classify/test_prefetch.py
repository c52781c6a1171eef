"""Work is done ahead in threads; order and errors are as if it were not."""

import threading
from collections.abc import Iterator

import pytest

from dicomnode.classify.samples.prefetch import ahead

PATIENCE_S = 10.0


def test_the_order_stays() -> None:
    assert list(ahead(lambda n: n * n, range(50), threads=4)) == [n * n for n in range(50)]
    assert list(ahead(lambda n: n, [])) == []


def test_the_next_is_worked_on_while_the_first_is_waited_for() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)
    assert list(ahead(lambda n: both.wait() >= 0 and n, [1, 2])) == [1, 2]


def test_no_more_is_taken_than_a_few_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(100):
            taken.append(n)
            yield n

    coming = ahead(lambda n: n, items(), threads=2)
    assert next(coming) == 0
    assert len(taken) <= 4
    coming.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(taken) <= 4


def test_an_error_comes_when_it_is_the_turn_of_its_item() -> None:
    def work(n: int) -> int:
        if n == 2:
            raise LookupError("two")
        return n

    coming = ahead(work, range(5))
    assert [next(coming), next(coming)] == [0, 1]
    with pytest.raises(LookupError, match="two"):
        next(coming)

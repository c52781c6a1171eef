"""Tens of thousands of malformed objects, each with an answer, soon and in little memory.

DICOMNODE_FUZZ_SEED chooses other ones, DICOMNODE_FUZZ_COUNT how many.
"""

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.objects import mutant, mutate
from tests.fuzz.promises import Judge
from tests.fuzz.seeds import SYNTAXES

SEED = int(os.environ.get("DICOMNODE_FUZZ_SEED", "1"))
COUNT = int(os.environ.get("DICOMNODE_FUZZ_COUNT", "60000"))
PARTS = 12


@pytest.mark.timeout(300 + COUNT // 20)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_malformed_object_gets_an_answer_soon_and_in_little_memory(part: int) -> None:
    with Judge() as judge:
        for number in range(part, COUNT, PARTS):
            judge.check(mutant(SEED, number), f"{SEED} {number}")
    assert {"kept", "Unreadable", "BadUID"} <= set(judge.outcomes)


def test_the_same_number_makes_the_same_mutant() -> None:
    assert mutant(3, 14) == mutant(3, 14)
    assert mutant(3, 14) != mutant(3, 15)


def test_mutants_come_in_every_transfer_syntax_and_with_every_kind_of_change() -> None:
    some = [mutant(SEED, number) for number in range(2000)]
    assert {each.syntax for each in some} == {str(syntax) for syntax in SYNTAXES}
    assert len({change for each in some for change in each.changes}) > 20


@given(random=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=300)
def test_whatever_chance_decides_a_malformed_object_gets_an_answer(random: Random) -> None:
    with Judge() as judge:
        judge.check(mutate(random), "of Hypothesis")

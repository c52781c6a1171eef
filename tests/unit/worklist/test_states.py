import itertools

import pytest

from dicomnode.errors import WrongStep
from dicomnode.records import State
from dicomnode.worklist.states import CALLED, ENDED, MOVES, OPEN, step

#: The arrows of the drawing, said once more by hand.
ARROWS = {
    ("waiting", "ready"),
    ("waiting", "incomplete"),
    ("waiting", "failed"),
    ("waiting", "cancelled"),
    ("ready", "waiting"),
    ("ready", "running"),
    ("ready", "cancelled"),
    ("running", "ready"),
    ("running", "reported"),
    ("running", "held"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("reported", "delivered"),
    ("reported", "not-analysed"),
    ("reported", "withdrawn"),
    ("reported", "undelivered"),
    ("reported", "cancelled"),
    ("delivered", "reported"),
    ("not-analysed", "reported"),
    ("withdrawn", "reported"),
    ("incomplete", "waiting"),
    ("incomplete", "ready"),
    ("incomplete", "cancelled"),
    ("held", "ready"),
    ("held", "cancelled"),
    ("failed", "ready"),
    ("failed", "cancelled"),
    ("undelivered", "reported"),
    ("undelivered", "cancelled"),
    ("cancelled", "ready"),
    ("cancelled", "reported"),
}


@pytest.mark.parametrize(("now", "to"), list(itertools.product(State, State)))
def test_a_job_moves_along_the_arrows_and_nowhere_else(now: State, to: State) -> None:
    if (now, to) in ARROWS:
        assert step(now, to) is to
    else:
        with pytest.raises(WrongStep, match=f"{now} cannot become {to}"):
            step(now, to)


def test_every_state_has_words_of_its_own() -> None:
    assert set(CALLED) == set(State)
    assert len(set(CALLED.values())) == len(State)


def test_every_state_can_be_reached_from_waiting() -> None:
    seen, border = {State.WAITING}, {State.WAITING}
    while border:
        border = {to for now in border for to in MOVES[now]} - seen
        seen |= border

    assert seen == set(State)


def test_what_is_open_has_not_ended() -> None:
    assert not OPEN & ENDED


def test_what_neither_goes_on_nor_is_over_waits_for_a_person() -> None:
    assert set(State) - OPEN - ENDED == {State.HELD, State.FAILED, State.UNDELIVERED}

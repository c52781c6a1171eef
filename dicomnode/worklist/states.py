"""The life of a job as a table of moves."""

from collections.abc import Mapping

from dicomnode.errors import WrongStep
from dicomnode.records import State

__all__ = ["ENDED", "MOVES", "OPEN", "step"]

MOVES: Mapping[State, frozenset[State]] = {
    State.WAITING: frozenset({State.READY, State.INCOMPLETE, State.FAILED, State.CANCELLED}),
    State.READY: frozenset({State.WAITING, State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.READY, State.REPORTED, State.FAILED, State.CANCELLED}),
    State.REPORTED: frozenset({State.DELIVERED, State.UNDELIVERED, State.CANCELLED}),
    State.DELIVERED: frozenset(),
    State.INCOMPLETE: frozenset({State.WAITING, State.READY, State.CANCELLED}),
    State.FAILED: frozenset({State.READY, State.CANCELLED}),  # only by hand
    State.UNDELIVERED: frozenset({State.REPORTED, State.CANCELLED}),  # only by hand
    State.CANCELLED: frozenset({State.READY, State.REPORTED}),  # only by hand
}

#: The node will do something by itself.
OPEN = frozenset({State.WAITING, State.READY, State.RUNNING, State.REPORTED})
#: Nothing more will happen, and nobody needs to look: retention may remove the images.
ENDED = frozenset({State.DELIVERED, State.CANCELLED, State.INCOMPLETE})


def step(now: State, to: State) -> State:
    """Return `to`, or raise WrongStep where MOVES has no such arrow."""
    if to not in MOVES[now]:
        raise WrongStep(f"a job that is {now} cannot become {to}")
    return to

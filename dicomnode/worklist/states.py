"""The life of a job as a table of moves.

```
 waiting ──▶ ready ──▶ running ──▶ reported ──▶ delivered, not-analysed, withdrawn
    │          ▲          │            │                └──▶ reported (recalled, sent again)
    ▼          │ retry    ▼            ▼
 incomplete    └──── held, failed  undelivered          cancelled (by hand, from any state
                                                        that has not ended)
```
"""

from collections.abc import Mapping

from dicomnode.errors import WrongStep
from dicomnode.records import State

__all__ = ["CALLED", "ENDED", "MOVES", "OPEN", "step"]

_CLOSED = {State.READY, State.INCOMPLETE, State.FAILED, State.CANCELLED}
_WORKED = {State.READY, State.REPORTED, State.HELD, State.FAILED, State.CANCELLED}
_TOLD = {State.DELIVERED, State.NOT_ANALYSED, State.WITHDRAWN, State.UNDELIVERED}

MOVES: Mapping[State, frozenset[State]] = {
    State.WAITING: frozenset(_CLOSED),
    State.READY: frozenset({State.WAITING, State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset(_WORKED),
    State.REPORTED: frozenset(_TOLD | {State.CANCELLED}),
    State.DELIVERED: frozenset({State.REPORTED}),  # only by a recall, or sent again by hand
    State.NOT_ANALYSED: frozenset({State.REPORTED}),  # only by hand
    State.WITHDRAWN: frozenset({State.REPORTED}),  # the same
    State.INCOMPLETE: frozenset({State.WAITING, State.READY, State.CANCELLED}),
    State.HELD: frozenset({State.READY, State.CANCELLED}),  # only by hand
    State.FAILED: frozenset({State.READY, State.CANCELLED}),  # only by hand
    State.UNDELIVERED: frozenset({State.REPORTED, State.CANCELLED}),  # only by hand, or a recall
    State.CANCELLED: frozenset({State.READY, State.REPORTED}),  # the same
}

#: How people read of them, and what they search by.
CALLED: Mapping[State, str] = {
    State.WAITING: "waiting for images",
    State.READY: "queued",
    State.RUNNING: "running",
    State.REPORTED: "being sent",
    State.DELIVERED: "delivered",
    State.NOT_ANALYSED: "not analysed",
    State.WITHDRAWN: "withdrawn",
    State.INCOMPLETE: "incomplete",
    State.HELD: "held",
    State.FAILED: "failed",
    State.UNDELIVERED: "undelivered",
    State.CANCELLED: "cancelled",
}

#: The node will do something by itself.
OPEN = frozenset({State.WAITING, State.READY, State.RUNNING, State.REPORTED})
#: Nothing more will happen, and nobody needs to look: retention may remove the images.
ENDED = frozenset(
    {State.DELIVERED, State.NOT_ANALYSED, State.WITHDRAWN, State.CANCELLED, State.INCOMPLETE}
)


def step(now: State, to: State) -> State:
    """Return `to`, or raise WrongStep where MOVES has no such arrow."""
    if to not in MOVES[now]:
        raise WrongStep(f"a job that is {now} cannot become {to}")
    return to

"""Changes of order in trees of any kind; `pick` chooses a list of the tree, and a place in it."""

from collections.abc import Callable
from random import Random
from typing import TypeVar

__all__ = ["move", "reorder"]

_Branch = TypeVar("_Branch")


def reorder(random: Random, siblings: list[_Branch], place: int) -> None:
    """Two change places, or all."""
    other = random.randrange(len(siblings))
    siblings[place], siblings[other] = siblings[other], siblings[place]
    if random.random() < 0.2:
        random.shuffle(siblings)


def move(pick: Callable[[], tuple[list[_Branch], int]]) -> None:
    """One goes to another level."""
    siblings, place = pick()
    moved = siblings.pop(place)
    there, at = pick()
    there.insert(at, moved)

"""In which order findings stand, wherever they stand."""

from collections.abc import Mapping

from dicomnode.answers import Presence, Score

__all__ = ["ranked"]

_ORDER = (Presence.PRESENT, Presence.UNDETERMINED, Presence.ABSENT)


def ranked(said: Mapping[str, Score]) -> dict[str, Score]:
    """By label: what is present first, and of that the most probable."""
    return dict(
        sorted(
            said.items(), key=lambda item: (_ORDER.index(item[1].presence), -item[1].probability)
        )
    )

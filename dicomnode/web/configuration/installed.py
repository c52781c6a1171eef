"""Models that are there to be chosen, by their names; none of them is read, let alone loaded."""

from collections.abc import Iterable
from pathlib import Path

import dicomnode

__all__ = ["installed_models"]

_SHIPPED = Path(dicomnode.__file__).parent / "classify" / "models"


def installed_models(folders: Iterable[Path]) -> list[str]:
    """Names of the folders with a model's card in these, and of those that ship."""
    found: set[str] = set()
    for parent in (_SHIPPED, *folders):
        try:
            found |= {card.parent.name for card in parent.glob("*/model.toml")}
        except OSError:
            continue  # the checks of the configuration say so
    return sorted(name for name in found if not name.startswith("."))

"""Groups of images by who the patient is and what the image was made with."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.measures.sample import Group

__all__ = ["AGE_BANDS", "by_age", "by_value"]

#: Ages at which a band begins, in years: children, and then by twenty years.
AGE_BANDS = (18.0, 40.0, 60.0, 80.0)
_UNKNOWN = "unknown"
_MOST = 12  #: groups of one variable; the rarest others are put together


def by_value(variable: str, values: Sequence[str]) -> tuple[Group, ...]:
    """One group a value, in order of the alphabet; empty is unknown.

    None where there is nothing to compare: all images in one group.
    """
    counted = Counter(value for value in values if value)
    kept = [value for value, _ in counted.most_common(_MOST)]
    rest = set(counted) - set(kept)
    others = f"{len(rest)} others"
    named = np.array([others if value in rest else value or _UNKNOWN for value in values])
    return _groups(variable, [*sorted(kept), *([others] if rest else []), _UNKNOWN], named)


def by_age(ages: NDArray[np.float64], edges: Sequence[float] = AGE_BANDS) -> tuple[Group, ...]:
    """Bands of age in years; NaN is unknown. A band ends the day before the next begins."""
    names = _bands(edges)
    places = np.searchsorted(edges, np.nan_to_num(ages), "right")
    named = np.where(np.isnan(ages), _UNKNOWN, np.array(names)[places])
    return _groups("age", [*names, _UNKNOWN], named)


def _bands(edges: Sequence[float]) -> list[str]:
    if not edges:
        return ["all ages"]
    between = [f"{a:g}-{b - 1:g}" for a, b in pairwise(edges)]
    return [f"under {edges[0]:g}", *between, f"{edges[-1]:g} and over"]


def _groups(variable: str, names: Sequence[str], named: NDArray[np.str_]) -> tuple[Group, ...]:
    found = [
        Group(variable=variable, name=name, rows=np.flatnonzero(named == name)) for name in names
    ]
    found = [group for group in found if len(group.rows)]
    return tuple(found) if len(found) > 1 else ()

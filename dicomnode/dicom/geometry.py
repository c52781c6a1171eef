"""Where frames lie in the patient: Image Plane, and the functional groups of multi-frame images.

PS3.3 C.7.6.2 and C.7.6.16.2.3 ff. Directions are those of the patient: x to the left, y to the
back, z to the head.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicomnode.dicom.grayscale import numbers

__all__ = ["Plane", "plane"]

_MACROS = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
_SLOPPY = 0.02  #: how far cosines may be from length 1, and from a right angle

_Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """One frame's place, in mm of the patient's coordinates."""

    origin: _Vector  #: (3,), the centre of the first pixel
    along_row: _Vector  #: (3,), from a pixel to the next column
    along_column: _Vector  #: (3,), from a pixel to the next row

    @property
    def normal(self) -> _Vector:
        """(3,), of length 1, across the frame."""
        across = np.cross(self.along_row, self.along_column)
        unit: _Vector = across / np.linalg.norm(across)
        return unit


def plane(dataset: Dataset, index: int = 0) -> Plane | None:
    """Of a frame, from 0; None where it is not told, or no plane."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    groups = [*own[index : index + 1], *shared[:1]]
    macros = [group.get(macro) for group in groups for macro in _MACROS]
    where = [*(macro[0] for macro in macros if macro), dataset]
    position = numbers(where, "ImagePositionPatient")
    cosines = numbers(where, "ImageOrientationPatient")
    spacing = numbers(where, "PixelSpacing")
    if (len(position), len(cosines), len(spacing)) != (3, 6, 2) or min(spacing) <= 0:
        return None
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > _SLOPPY or abs(row @ column) > _SLOPPY:
        return None
    return Plane(
        origin=np.array(position),
        along_row=row / lengths[0] * spacing[1],
        along_column=column / lengths[1] * spacing[0],
    )

"""Where an image lies in the patient, as far as its header says so."""

from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from dicomnode.report.reading import value

__all__ = ["Plane", "plane_of", "spacing_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A plane in a frame of reference; numbers as decimal strings, joined by backslashes."""

    frame_of_reference: str
    position: str  #: x, y, z of the first pixel's centre, in mm (PS3.3 C.7.6.2.1.1)
    orientation: str  #: direction cosines of a row, then of a column
    spacing: str  #: between rows, then between columns, in mm
    thickness: str  #: in mm; empty where unknown


def plane_of(header: Dataset) -> Plane | None:
    """The plane; None unless frame of reference, position, orientation and spacing are all told.

    A projection radiograph has none, and a multi-frame image tells it frame by frame.
    """
    plane = Plane(
        frame_of_reference=value(header, "FrameOfReferenceUID"),
        position=_numbers(header, "ImagePositionPatient", 3),
        orientation=_numbers(header, "ImageOrientationPatient", 6),
        spacing=_numbers(header, "PixelSpacing", 2),
        thickness=_numbers(header, "SliceThickness", 1),
    )
    told = (plane.frame_of_reference, plane.position, plane.orientation, plane.spacing)
    return plane if all(told) else None


def spacing_of(header: Dataset) -> str:
    """Between rows, then between columns, in mm; empty where unknown.

    That of a projection radiograph without a calibration is that of its detector.
    """
    return _numbers(header, "PixelSpacing", 2) or _numbers(header, "ImagerPixelSpacing", 2)


def _numbers(header: Dataset, keyword: str, count: int) -> str:
    """So many finite numbers, each in the 16 characters of a DS; empty where they are not."""
    try:
        numbers = [float(part) for part in value(header, keyword).split("\\")]
    except ValueError:
        return ""
    if len(numbers) != count or not np.all(np.isfinite(numbers)):
        return ""
    return "\\".join(format_number_as_ds(number) for number in numbers)

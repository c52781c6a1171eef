"""What a result shows, in its own words: so that one picture of a job is told from the next."""

from functools import lru_cache
from pathlib import Path

from pydicom import dcmread

from dicomnode.dicom.attributes import text

__all__ = ["caption"]

_SAYS = ("DerivationDescription", "ContentDescription")
_PLAIN = "frame: "  #: how the description of a capture begins that has nothing drawn into it


def caption(path: Path) -> str:
    """Of a capture or a presentation state, such as "Grad-CAM heat map of nodule".

    Empty for what says nothing like that, and where the file is gone.
    """
    try:
        return _read(path)
    except OSError:
        return ""


@lru_cache(maxsize=512)
def _read(path: Path) -> str:
    """A result never changes once it is written."""
    header = dcmread(path, stop_before_pixels=True, specific_tags=[*_SAYS, "Modality"])
    if text(header, "Modality") == "SEG":
        return ""  # its description is a caution
    said = next((words for name in _SAYS if (words := text(header, name))), "")
    return said.rpartition(", by ")[0].removeprefix(_PLAIN) or said.removeprefix(_PLAIN)

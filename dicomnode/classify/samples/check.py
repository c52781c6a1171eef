"""Is an image one that the model is for? Asked of its header and its grey levels, by the card.

What does not fit is left out, and the study's other images are analysed; only where none fits is
there no answer. The reason is a NotAnalysable that nobody raised: it has the cause and the words.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from dicomnode.classify.card.input import Input
from dicomnode.classify.samples.preprocess import Prepared
from dicomnode.dicom.attributes import text
from dicomnode.dicom.pixels import Frame
from dicomnode.errors import Cause, NotAnalysable

__all__ = ["blank", "faint", "misfit", "number", "other_view", "refusal", "view_of"]

_SAMPLES = 512  #: rows, and columns, of a frame whose grey levels are looked at
#: View Code Sequence (0054,0220), CID 4010, 4014, by SNOMED CT and by its old SRT codes.
_VIEWS = {
    "272479007": "PA", "R-10214": "PA",
    "399348003": "AP", "R-10206": "AP",
    "399067008": "LATERAL",
    "399173006": "LL", "R-10236": "LL",
    "399198007": "RL", "R-10232": "RL",
    "399162004": "CC", "R-10242": "CC",
    "399368009": "MLO", "R-10226": "MLO",
}  # fmt: skip


def misfit(header: Dataset, recipe: Input) -> NotAnalysable | None:
    """Why the model is not for an image, as far as its attributes tell; None where it is."""
    return _modality(header, recipe) or _view(header, recipe) or _size(header, recipe)


def blank(frame: Frame, recipe: Input) -> NotAnalysable | None:
    """Whether a frame shows too few grey levels to be a picture of anything."""
    rows, columns = (max(1, size // _SAMPLES) for size in frame.pixels.shape)
    sample = (frame.pixels[::rows, ::columns] * 255).astype(np.uint8)
    levels = np.count_nonzero(np.bincount(sample.reshape(-1), minlength=256))
    if levels >= recipe.min_levels:
        return None
    wanted = f"the model needs {recipe.min_levels} grey levels"
    return NotAnalysable(f"{wanted}; an image shows {levels}", Cause.SIZE)


def faint(prepared: Prepared, recipe: Input) -> NotAnalysable | None:
    """Whether what the network sees is next to one grey: noise is, once it is made smaller."""
    if not recipe.min_contrast:
        return None
    at = prepared.placement
    grey = prepared.tensor[0] * recipe.std[0] + recipe.mean[0]
    seen = grey[at.top : at.top + at.height, at.left : at.left + at.width]
    contrast = float(seen.std(correction=0))
    if contrast >= recipe.min_contrast:
        return None
    words = f"the model needs a contrast of {recipe.min_contrast:.2f}; an image has {contrast:.2f}"
    return NotAnalysable(words, Cause.UNFAMILIAR)


def refusal(left_out: Sequence[NotAnalysable]) -> NotAnalysable:
    """Why there is no answer where every image was left out: all reasons, the commonest first.

    `left_out` has one for each image.
    """
    if not left_out:
        return NotAnalysable("none of the objects is an image", Cause.NO_IMAGE)
    total = len(left_out)
    if total == 1:
        return left_out[0]
    reasons = Counter(str(reason) for reason in left_out).most_common()
    detail = ". ".join(f"{count} of {total} images: {words}" for words, count in reasons)
    causes = {reason.cause for reason in left_out}
    return NotAnalysable(detail, causes.pop() if len(causes) == 1 else Cause.NONE_FITS)


def _modality(header: Dataset, recipe: Input) -> NotAnalysable | None:
    """A model for radiographs must not speak of a CT."""
    modality = text(header, "Modality")
    if not recipe.modalities or modality in recipe.modalities:
        return None
    found = f"modality {_code(modality)}" if modality else "no modality"
    wanted = f"the model is for {', '.join(recipe.modalities)}"
    return NotAnalysable(f"{wanted}; an image has {found}", Cause.MODALITY)


def _view(header: Dataset, recipe: Input) -> NotAnalysable | None:
    view = view_of(header)
    if not recipe.views or view in recipe.views or not (view or recipe.views_required):
        return None
    return other_view(view, recipe.views)


def other_view(view: str, wanted: Sequence[str]) -> NotAnalysable:
    """That an image has another view than those that are wanted; empty: it tells none."""
    found = f"view {_code(view)}" if view else "no view"
    words = f"the model is for the views {', '.join(wanted)}"
    return NotAnalysable(f"{words}; an image has {found}", Cause.VIEW)


def view_of(header: Dataset) -> str:
    """View Position, else View Code; LATERAL where rows run from front to back (PS3.3 C.7.6.1.1.1).

    Empty where none of them tells.
    """
    if position := text(header, "ViewPosition").upper():
        return position
    for code in header.get("ViewCodeSequence") or []:
        if view := _VIEWS.get(text(code, "CodeValue")):
            return view
    return "LATERAL" if text(header, "PatientOrientation")[:1] in ("A", "P") else ""


def _size(header: Dataset, recipe: Input) -> NotAnalysable | None:
    """Numbers that are missing are for the decoder to refuse."""
    rows, columns, bits = (number(header, k) for k in ("Rows", "Columns", "BitsStored"))
    if 0 < min(rows, columns) < recipe.min_px:
        wanted = f"the model needs {recipe.min_px} pixels each way"
        return NotAnalysable(f"{wanted}; an image has {columns} x {rows}", Cause.SIZE)
    if 0 < bits < recipe.min_bits:
        wanted = f"the model needs {recipe.min_bits} bits a pixel"
        return NotAnalysable(f"{wanted}; an image has {bits}", Cause.SIZE)
    return None


def number(header: Dataset, keyword: str) -> int:
    """A whole number of a header; 0 where there is none."""
    value = text(header, keyword)
    return int(value) if value.isdecimal() else 0


def _code(value: str) -> str:
    """A defined term fit for a log: others write what they like into such attributes."""
    return value if len(value) <= 16 and value.isascii() and value.isalnum() else "of another name"

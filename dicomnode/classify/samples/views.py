"""Kind of input "views": one image of each view that the card names, looked at together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from pydicom import Dataset

from dicomnode.answers import FrameRef
from dicomnode.classify.card.input import Input, Slot
from dicomnode.classify.samples.check import blank, faint, misfit, other_view, refusal, view_of
from dicomnode.classify.samples.images import Image, decode, frame_count, header_of
from dicomnode.classify.samples.preprocess import HOST, Prepared, prepare
from dicomnode.dicom.attributes import text
from dicomnode.errors import Cause, NotAnalysable

__all__ = ["Views", "views"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Views:
    """Views of one study as the network sees them: a sample."""

    tensor: torch.Tensor  #: float32, (slots * channels, size_px, size_px)
    parts: tuple[Prepared, ...]  #: in the order of the card's slots

    @property
    def frames(self) -> tuple[FrameRef, ...]:
        """What it was made of, a frame each slot."""
        return tuple(part.ref for part in self.parts)

    def kept(self) -> Self:
        """The same in the host's memory, for whoever explains it."""
        parts = tuple(part.kept() for part in self.parts)
        return replace(self, tensor=self.tensor.cpu(), parts=parts)


def views(
    images: Sequence[Image],
    recipe: Input,
    left_out: list[NotAnalysable],
    device: torch.device = HOST,
) -> Views:
    """The sample of a study, on `device`; `left_out` gets a reason for each image not in it.

    Of several images of one view the one that was acquired last is taken: who repeats an exposure
    is seldom content with the first.

    Raises:
        NotAnalysable: a view is missing, blank, or its pixels are broken.
    """
    found: dict[str, list[tuple[str, int, Image]]] = {}
    for place, image in enumerate(images):
        header = header_of(image)
        if not (count := frame_count(header)):
            continue
        slot = _slot(header, recipe.slots)
        why = misfit(header, recipe)
        if why is None and count > 1:
            why = NotAnalysable("an image of several frames is no view", Cause.VIEW)
        if why is None and slot is None:
            why = other_view(view_of(header), [slot.name for slot in recipe.slots])
        if why is not None or slot is None:
            left_out += [why] if why else []
        else:
            found.setdefault(slot.name, []).append((_acquired(header), place, image))
    chosen = _last_of_each(found, recipe, left_out)
    parts = tuple(_prepared(image, recipe, device) for image in chosen)
    return Views(tensor=torch.cat([part.tensor for part in parts]), parts=parts)


def _slot(header: Dataset, slots: Sequence[Slot]) -> Slot | None:
    """The first of the card's views that an image shows."""
    view = view_of(header)
    side = text(header, "ImageLaterality") or text(header, "Laterality")
    fitting = (s for s in slots if view in s.views and s.laterality in (None, side.upper()))
    return next(fitting, None)


def _acquired(header: Dataset) -> str:
    """When, as text that sorts; empty where it is not told."""
    if moment := text(header, "AcquisitionDateTime"):
        return moment
    for what in ("Acquisition", "Content"):
        if time := text(header, f"{what}Time"):
            return (text(header, f"{what}Date") or text(header, "StudyDate")) + time
    return ""


def _last_of_each(
    found: dict[str, list[tuple[str, int, Image]]], recipe: Input, left_out: list[NotAnalysable]
) -> list[Image]:
    if not found:
        raise refusal(left_out)
    names = [slot.name for slot in recipe.slots]
    if missing := [name for name in names if name not in found]:
        words = f"the model looks at {', '.join(names)} together; of this study it has no"
        raise NotAnalysable(f"{words} {', '.join(missing)}", Cause.INCOMPLETE)
    older = NotAnalysable("a later image of the same view is looked at", Cause.VIEW)
    left_out += [older for shown in found.values() for _ in shown[1:]]
    return [max(found[name], key=lambda one: one[:2])[2] for name in names]


def _prepared(image: Image, recipe: Input, device: torch.device) -> Prepared:
    (frame,) = decode(image, [1])
    if (why := blank(frame, recipe)) is not None:
        raise why
    prepared = prepare(frame, recipe, device)
    if (why := faint(prepared, recipe)) is not None:
        raise why
    return prepared

"""Kind of input "image": each frame of a study is answered alone, the first perhaps before the last
has come in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import gt
from pathlib import Path
from typing import Self

import torch

from dicomnode.answers import FrameRef
from dicomnode.classify.asking import Asking
from dicomnode.classify.card.input import Input
from dicomnode.classify.remembered import Known, Remembered
from dicomnode.classify.samples.check import blank, faint, misfit
from dicomnode.classify.samples.images import Image, Wanted, choose, decode, frame_count, header_of
from dicomnode.classify.samples.look import Look, Outcome
from dicomnode.classify.samples.prefetch import ahead
from dicomnode.classify.samples.preprocess import HOST, Prepared, prepare
from dicomnode.dicom.pixels import Frame
from dicomnode.errors import NotAnalysable

__all__ = ["Aside", "EachImage"]

_KEPT_BYTES = 64 * 1024 * 1024  #: of the pixels of one study's frames, as the network sees them
_FEW = 16  #: frames of an image that are decoded while those of another are looked at


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aside:
    """A frame that was answered and let go: a sample that is decoded again where it is needed."""

    ref: FrameRef
    image: Image
    recipe: Input

    @property
    def frames(self) -> tuple[FrameRef, ...]:
        """What it was made of."""
        return (self.ref,)

    @property
    def tensor(self) -> torch.Tensor:
        """As the network saw it; read anew each time."""
        return self.prepared().tensor

    def kept(self) -> Self:
        """Itself, as it keeps nothing."""
        return self

    def prepared(self) -> Prepared:
        """The frame as the network saw it."""
        (frame,) = decode(self.image, [self.ref.frame or 1])
        return prepare(frame, self.recipe)


class _Room:
    """Which looks of a study keep their pixels: all while there is room, then those that lead.

    What is explained in the end is what leads for some label.
    """

    def __init__(self) -> None:
        self._left_bytes = _KEPT_BYTES
        self._leading: tuple[float, ...] = ()

    def has(self, look: Look) -> bool:
        leading = self._leading or look.scores
        leads = not self._leading or any(map(gt, look.scores, leading))
        self._leading = tuple(map(max, look.scores, leading))
        self._left_bytes -= look.sample.tensor.nbytes
        return leads or self._left_bytes >= 0


class EachImage:
    """Answers frames of a study's images; safe to use from several threads."""

    def __init__(self, recipe: Input, asking: Asking, device: torch.device = HOST) -> None:
        self._recipe = recipe
        self._device = device  # where frames are prepared
        self._asking = asking
        self._remembered = Remembered()

    def looks(self, images: Sequence[Image], left_out: list[NotAnalysable]) -> list[Look]:
        """The answer for each wanted frame that fits, in order.

        `left_out` gets a reason for each image that the model is not for, or none of whose frames
        it is for; objects without pixels are passed over.

        Raises:
            NotAnalysable: the pixels of an image are broken.
        """
        fitting: list[tuple[Image, int]] = []
        for image in images:
            known = self._remembered.get(image) or self._known(image)
            if known.misfit is not None:
                left_out.append(known.misfit)
            else:
                fitting.append((image, known.frames))
        wanted = choose(fitting, self._recipe)
        looks: list[Look] = []
        for told in self._told(wanted):
            here = [outcome for outcome in told if isinstance(outcome, Look)]
            misfits = [outcome for outcome in told if isinstance(outcome, NotAnalysable)]
            looks += here
            left_out += [] if here else misfits[:1]
        return looks

    def ahead(self, image: Path) -> None:
        """Answer one image of a study that is still coming in, and remember it.

        Nothing is done where the card does not want every image, and nothing is said of an image
        that cannot be read: `looks` says it.
        """
        if self._recipe.images != "all" or self._remembered.get(image) is not None:
            return
        try:
            known = self._known(image)
            if known.misfit is None and 0 < known.frames <= self._recipe.max_images:
                numbers = tuple(range(1, known.frames + 1))
                (told,) = self._asked([Wanted(image=image, numbers=numbers)])
                outcomes = dict(zip(numbers, told, strict=True))
                known = Known(frames=known.frames, outcomes=outcomes)
        except NotAnalysable:
            return
        self._remembered.keep(image, known)

    def _known(self, image: Image) -> Known:
        """What the header of an image tells."""
        header = header_of(image)
        frames = frame_count(header)
        return Known(frames=frames, misfit=misfit(header, self._recipe) if frames else None)

    def _told(self, wanted: Sequence[Wanted]) -> list[list[Outcome]]:
        """What comes of the frames of each image: from memory, or else asked."""
        told = [self._from_memory(one) for one in wanted]
        fresh = [one for one, known in zip(wanted, told, strict=True) if known is None]
        asked = iter(self._asked(fresh))
        return [next(asked) if known is None else known for known in told]

    def _from_memory(self, wanted: Wanted) -> list[Outcome] | None:
        known = self._remembered.get(wanted.image)
        if known is None or known.outcomes is None:
            return None
        return [known.outcomes[number] for number in wanted.numbers]

    def _asked(self, wanted: Sequence[Wanted]) -> list[list[Outcome]]:
        """The same, through the network; frames of several images share a batch."""
        told: list[list[Outcome]] = [[] for _ in wanted]
        room = _Room()
        for at, outcome in self._asking.outcomes(self._samples(wanted)):
            if isinstance(outcome, Look) and not room.has(outcome):
                told[at].append(self._aside(outcome, wanted[at].image))
            else:
                told[at].append(outcome)
        return told

    def _aside(self, look: Look, image: Image) -> Look:
        (ref,) = look.frames
        return Look(sample=Aside(ref=ref, image=image, recipe=self._recipe), scores=look.scores)

    def _samples(self, wanted: Sequence[Wanted]) -> Iterator[tuple[int, Prepared | NotAnalysable]]:
        """Every frame, beside the place of its image; of many frames, one is decoded at a time."""

        def frames(one: Wanted) -> list[Prepared | NotAnalysable]:
            return [self._fitting(frame) for frame in decode(one.image, one.numbers)]

        if len(wanted) > 1 and max(len(one.numbers) for one in wanted) <= _FEW:
            for at, samples in enumerate(ahead(frames, wanted)):
                yield from ((at, sample) for sample in samples)
            return
        for at, one in enumerate(wanted):
            for frame in decode(one.image, one.numbers):
                yield at, self._fitting(frame)

    def _fitting(self, frame: Frame) -> Prepared | NotAnalysable:
        """A frame as the network sees it, or why it is not shown to it."""
        if (why := blank(frame, self._recipe)) is not None:
            return why
        prepared = prepare(frame, self._recipe, self._device)
        return faint(prepared, self._recipe) or prepared

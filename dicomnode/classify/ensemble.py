"""Several models that answer as one: their mean, and the mean of their maps.

Each looks at the study by its own card. A frame that one of them is not for is left out for all.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicomnode.answers import (
    Form,
    FrameRef,
    ModelRef,
    Prediction,
)
from dicomnode.classify.calibration import DIGITS
from dicomnode.classify.card.ensemble import EnsembleCard
from dicomnode.classify.explaining.outlines import regions
from dicomnode.classify.explaining.shown import Shown
from dicomnode.classify.model_classifier import ModelClassifier
from dicomnode.classify.predicting import predict
from dicomnode.classify.samples.check import refusal
from dicomnode.classify.samples.images import Image
from dicomnode.classify.samples.look import Look
from dicomnode.classify.samples.preprocess import Placement
from dicomnode.errors import Cause, ModelError, NotAnalysable

__all__ = ["EnsembleClassifier"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Joint:
    """What all members say of what they all saw."""

    looks: tuple[Look, ...]  #: one of each member, in order
    scores: tuple[float, ...]  #: 0..1, one a label

    @property
    def frames(self) -> tuple[FrameRef, ...]:
        """What was looked at."""
        return tuple(dict.fromkeys(frame for look in self.looks for frame in look.frames))


class EnsembleClassifier:
    """A model that is several others; safe to use from several threads, as they are."""

    def __init__(self, card: EnsembleCard, members: Sequence[ModelClassifier]) -> None:
        """ModelError where members do not look at studies alike."""
        self.card = card
        self._members = members
        kinds = {member.card.input.kind for member in members}
        if len(kinds) > 1:
            words = f"some are shown {' and others '.join(sorted(kinds))}"
            raise ModelError(f"{card.name}: its members have nothing in common: {words}")

    @property
    def model(self) -> ModelRef:
        """Which model speaks."""
        return self.card.model

    def classify(self, images: Sequence[Image], *, explained: bool = True) -> Prediction:
        """The answer of all members for one study; with heat and regions if `explained`.

        Raises:
            NotAnalysable: no image is left that all members are for, what one of them needs is
                missing, or the pixels of an image are broken.
            ModelError: a network cannot be run.
        """
        told: list[dict[Hashable, Look]] = []
        count = 0
        for member in self._members:
            left_out: list[NotAnalysable] = []
            looks = member.looks(images, left_out)
            if not looks:
                raise refusal(left_out)
            told.append({self._key(look): look for look in looks})
            count = max(count, len(_images(looks)) + len(left_out))
        common = [key for key in told[0] if all(key in looks for looks in told)]
        if not common:
            words = "no image is one that every member of the model is for"
            raise NotAnalysable(words, Cause.NONE_FITS)
        joint = [self._joined(tuple(looks[key] for looks in told)) for key in common]
        seen = len(_images(joint))
        combine = self.card.ensemble.combine
        show = self._shown if explained else None
        return predict(self.card, self.model, joint, combine, show, count - seen)

    def ahead(self, image: Path) -> None:
        """Have every member answer one image of a study that is still coming in."""
        for member in self._members:
            member.ahead(image)

    def _key(self, look: Look) -> Hashable:
        """What members saw the same of: a frame; or else all of the study that each looks at."""
        return look.frames if self._members[0].card.input.kind == "image" else None

    def _joined(self, looks: tuple[Look, ...]) -> _Joint:
        scores = np.array([look.scores for look in looks])
        mean = scores.mean(0)
        if self.card.ensemble.mean == "logits":
            mean = _mean_of_odds(scores, self.card.output.form)
        return _Joint(looks=looks, scores=tuple(float(share) for share in mean.round(DIGITS)))

    def _shown(self, joint: _Joint, labels: Sequence[int]) -> list[Shown]:
        of_members = [
            member.shown(look, labels)
            for member, look in zip(self._members, joint.looks, strict=True)
        ]
        return [self._mean_of_maps(one) for one in zip(*of_members, strict=True)]

    def _mean_of_maps(self, shown: Sequence[Shown]) -> Shown:
        """The mean of the maps on the frame that most members show; of equal ones, the first."""
        frame = Counter(one.frame for one in shown).most_common(1)[0][0]
        maps = [one.heat for one in shown if one.frame == frame]
        heat: NDArray[np.float32] = np.mean(maps, axis=0, dtype=np.float32)
        heat /= heat.max() or np.float32(1)
        whole = Placement.whole(*heat.shape)
        outlined = regions(heat, self.card.ensemble.region_fraction, whole)
        return Shown(frame=frame, heat=heat, regions=outlined)


def _images(told: Sequence[Look] | Sequence[_Joint]) -> set[str]:
    return {frame.image.sop_instance_uid for one in told for frame in one.frames}


def _mean_of_odds(scores: NDArray[np.float64], form: Form) -> NDArray[np.float64]:
    """(members, labels) to (labels,): of classes the geometric mean, made to sum to 1 again."""
    if form is Form.CLASSES:
        shares = np.exp(np.log(scores).mean(0))
        classes: NDArray[np.float64] = shares / shares.sum()
        return classes
    odds = np.log(scores / (1 - scores)).mean(0)
    mean: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
    return mean

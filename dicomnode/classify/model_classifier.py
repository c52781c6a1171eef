"""A study's images to a prediction: samples, answers, what they say together, where that lies."""

import threading
from collections.abc import Sequence
from pathlib import Path

import torch

from dicomnode.answers import ModelRef, Prediction
from dicomnode.classify.asking import Asking
from dicomnode.classify.card.card import Card
from dicomnode.classify.each_image import Aside, EachImage
from dicomnode.classify.explaining.shown import Shown, Shows
from dicomnode.classify.novelty import Usual
from dicomnode.classify.predicting import predict
from dicomnode.classify.runtimes.batched import Batched
from dicomnode.classify.samples.check import refusal
from dicomnode.classify.samples.images import Image
from dicomnode.classify.samples.look import Look
from dicomnode.classify.samples.preprocess import HOST
from dicomnode.classify.samples.together import together
from dicomnode.errors import NotAnalysable

__all__ = ["ModelClassifier"]


class ModelClassifier:
    """A model that answers for studies: its card, what runs its network, and what explains it.

    Safe to use from several threads at once.
    """

    def __init__(
        self,
        card: Card,
        runtime: Batched,
        explainer: Shows,
        usual: Usual | None = None,
        device: torch.device = HOST,
    ) -> None:
        """Images are made what the network sees on `device`, which is the runtime's own, if any."""
        self.card = card
        self._device = device
        self._explainer = explainer
        self._explaining = threading.Lock()  # hooks and gradients belong to one at a time
        self._asking = Asking(card, runtime, usual)
        self._each_image = EachImage(card.input, self._asking, device)

    @property
    def model(self) -> ModelRef:
        """Which model speaks."""
        return self.card.model

    def classify(self, images: Sequence[Image], *, explained: bool = True) -> Prediction:
        """The answer for one study; objects without pixels are passed over.

        Images that the model is not for, or does not look at, are left out. Without `explained` no
        finding has heat or regions, which may cost far more than the answer.

        Raises:
            NotAnalysable: no image is left, what the model needs is missing, or the pixels of an
                image are broken.
            ModelError: the network cannot be run.
        """
        left_out: list[NotAnalysable] = []
        looks = self.looks(images, left_out)
        if not looks:
            raise refusal(left_out)
        combine = self.card.input.combine
        show = self.shown if explained else None
        return predict(self.card, self.model, looks, combine, show, len(left_out))

    def ahead(self, image: Path) -> None:
        """Answer one image of a study that is still coming in, so that `classify` is quick.

        Its answer is remembered for a while; where it cannot be given, nothing happens. Nothing
        happens either with a model that looks at several images at once.

        Raises:
            ModelError: the network cannot be run.
            StoreError: the file cannot be read.
        """
        if self.card.input.kind == "image":
            self._each_image.ahead(image)

    def looks(self, images: Sequence[Image], left_out: list[NotAnalysable]) -> list[Look]:
        """The answer to each sample of a study; `left_out` gets a reason for each other image.

        Raises:
            NotAnalysable, ModelError: as `classify`, but where no image is left there is no look.
        """
        if self.card.input.kind == "image":
            return self._each_image.looks(images, left_out)
        sample = together(images, self.card.input, left_out, self._device)
        ((_, outcome),) = self._asking.outcomes([(0, sample)])
        if isinstance(outcome, NotAnalysable):
            raise outcome
        return [outcome]

    def shown(self, look: Look, labels: Sequence[int]) -> list[Shown]:
        """Where labels, by their places in the card, lie; none is the lowest of grades."""
        numbers = [self.card.output.number_of(label) or 0 for label in labels]
        sample = look.sample.prepared() if isinstance(look.sample, Aside) else look.sample
        with self._explaining:
            return self._explainer.shown(sample, numbers)

"""A model folder and a study's images to a prediction, with torch."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from dicomnode.classify.calibration import answered
from dicomnode.classify.card import Card, Label, read_card
from dicomnode.classify.check import blank, faint, refusal
from dicomnode.classify.explain import Explained, Explainer
from dicomnode.classify.images import Image, choose, decode
from dicomnode.classify.network import load_network
from dicomnode.classify.novelty import Usual
from dicomnode.classify.preprocess import Prepared, prepare
from dicomnode.classify.weights import load_weights
from dicomnode.dicom.pixels import Frame
from dicomnode.errors import ModelError, NotAnalysable
from dicomnode.records import Finding, ModelRef, Prediction, Presence

__all__ = ["TorchClassifier", "load_classifier"]


def load_classifier(folder: Path, device: str = "auto", threads: int = 0) -> "TorchClassifier":
    """The model in `folder`, on a device torch knows by that name.

    With 0 `threads` all cores but one are used: torch's threads spin while they wait for each
    other, and one core that the receiver takes from them slows a network down tenfold.
    """
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) - 1))
    torch.use_deterministic_algorithms(True, warn_only=True)
    card = read_card(folder)
    network, usual = load_network(folder, card), None
    if card.novelty is not None:
        usual = Usual(network, card.novelty, load_weights(folder, card.novelty.numbers))
    return TorchClassifier(card, network, _device(device), usual)


class TorchClassifier:
    """A network with its card. Frames go through it one by one, so a batch can change nothing."""

    def __init__(
        self,
        card: Card,
        network: torch.nn.Module,
        device: torch.device,
        usual: Usual | None = None,
    ) -> None:
        self._card = card
        self._usual = usual
        self._device = device
        self._network = network.to(device).eval()
        self._explainer = Explainer(self._network, card.explanation)

    @property
    def model(self) -> ModelRef:
        """Which model speaks."""
        return self._card.model

    def classify(self, images: Sequence[Image]) -> Prediction:
        """The most suspicious frame decides each label; objects without pixels are passed over.

        Images that the model is not for are left out.

        Raises:
            NotAnalysable: no image is left, or the pixels of one are broken.
        """
        left_out: list[NotAnalysable] = []
        seen = []
        best: list[tuple[float, Prepared]] = []
        for image, numbers in choose(images, self._card.input, left_out):
            for prepared, probability in self._answers(decode(image, numbers), left_out):
                seen.append(prepared.ref)
                scores = [(score, prepared) for score in probability]
                best = [
                    max(pair, key=lambda s: s[0])
                    for pair in zip(best or scores, scores, strict=True)
                ]
        if not seen:
            raise refusal(left_out)
        shown = self._explained(best)
        return Prediction(
            model=self.model,
            frames=tuple(seen),
            findings=tuple(self._finding(index, *top, shown) for index, top in enumerate(best)),
            left_out=len(left_out),
        )

    def _answers(
        self, frames: Iterator[Frame], left_out: list[NotAnalysable]
    ) -> Iterator[tuple[Prepared, list[float]]]:
        """The frames of one image that fit, each with its answer; if none does, it is left out."""
        misfits: list[NotAnalysable] = []
        fits = False
        for frame in frames:
            if (why := blank(frame, self._card.input)) is None:
                prepared = prepare(frame, self._card.input)
                why = faint(prepared, self._card.input)
            if why is None:
                answer = self._scores(prepared.tensor)
                why = self._usual.unfamiliar() if self._usual else None
            if why is None:
                fits = True
                yield prepared, answer
            else:
                misfits.append(why)
        if not fits:
            left_out.extend(misfits[:1])

    def _scores(self, tensor: torch.Tensor) -> list[float]:
        """Probability of each label, calibrated and rounded, and never certain."""
        with torch.inference_mode():
            logits = self._network(tensor[None].to(self._device))[0]
        answer = answered(logits.double().cpu().numpy(), self._card.calibration)
        if not np.all(np.isfinite(answer)):
            raise ModelError(f"{self._card.name}: the network answers with something not a number")
        return [float(probability) for probability in answer]

    def _explained(self, best: Sequence[tuple[float, Prepared]]) -> dict[int, Explained]:
        """Why each present label is; those of one frame go through the network together."""
        together: dict[Prepared, list[int]] = {}
        for index, (probability, prepared) in enumerate(best):
            if _presence(self._card.labels[index], probability) is Presence.PRESENT:
                together.setdefault(prepared, []).append(index)
        return {
            index: explained
            for prepared, labels in together.items()
            for index, explained in zip(
                labels, self._explainer.explain(prepared, labels), strict=True
            )
        }

    def _finding(
        self, index: int, probability: float, prepared: Prepared, shown: Mapping[int, Explained]
    ) -> Finding:
        label = self._card.labels[index]
        heat, regions = shown.get(index, (None, ()))
        return Finding(
            label=label.name,
            concept=label.concept,
            probability=probability,
            threshold=label.threshold,
            presence=_presence(label, probability),
            frame=prepared.ref,
            heat=heat,
            regions=regions,
            operating=self._card.operating(label.name),
            names=label.names,
        )


def _presence(label: Label, probability: float) -> Presence:
    """A finding within the margin of its threshold is undetermined."""
    if abs(probability - label.threshold) < label.margin:
        return Presence.UNDETERMINED
    return Presence.PRESENT if probability >= label.threshold else Presence.ABSENT


def _device(name: str) -> torch.device:
    """A device by name; "auto": an accelerator where there is one."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, there in present.items() if there), "cpu")
    if not present.get(name.split(":")[0], name == "cpu"):
        raise ModelError(f"device {name!r} is not here; auto and cpu always are")
    return torch.device(name)

"""A model folder and a study's images to a prediction, with torch."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path

import numpy as np
import torch
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicomnode.classify.card import Card, Input, Label, read_card
from dicomnode.classify.explain import Explained, Explainer
from dicomnode.classify.network import load_network
from dicomnode.classify.preprocess import Prepared, prepare
from dicomnode.dicom.attributes import text
from dicomnode.dicom.pixels import frames
from dicomnode.errors import ModelError, NotAnalysable, StoreError
from dicomnode.records import Finding, ModelRef, Prediction, Presence

__all__ = ["DIGITS", "TorchClassifier", "load_classifier"]

#: Probabilities are rounded to so many digits: one thread more or less changes no answer.
DIGITS = 4

Image = Dataset | Path


def load_classifier(folder: Path, device: str = "auto", threads: int = 0) -> "TorchClassifier":
    """The model in `folder`, on a device torch knows by that name.

    With 0 `threads` all cores but one are used: torch's threads spin while they wait for each
    other, and one core that the receiver takes from them slows a network down tenfold.
    """
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) - 1))
    torch.use_deterministic_algorithms(True, warn_only=True)
    card = read_card(folder)
    return TorchClassifier(card, load_network(folder, card), _device(device))


class TorchClassifier:
    """A network with its card. Frames go through it one by one, so a batch can change nothing."""

    def __init__(self, card: Card, network: torch.nn.Module, device: torch.device) -> None:
        self._card = card
        self._device = device
        self._network = network.to(device).eval()
        self._explainer = Explainer(self._network, card.explanation)

    @property
    def model(self) -> ModelRef:
        """Which model speaks."""
        return self._card.model

    def classify(self, images: Sequence[Image]) -> Prediction:
        """The most suspicious frame decides each label; objects without pixels are passed over."""
        seen = []
        best: list[tuple[float, Prepared]] = []
        for prepared in self._prepared(images):
            seen.append(prepared.ref)
            scores = [(score, prepared) for score in self._scores(prepared.tensor)]
            best = [
                max(pair, key=lambda s: s[0]) for pair in zip(best or scores, scores, strict=True)
            ]
        if not seen:
            raise NotAnalysable("none of the objects is an image")
        shown = self._explained(best)
        findings = (self._finding(index, *top, shown) for index, top in enumerate(best))
        return Prediction(model=self.model, frames=tuple(seen), findings=tuple(findings))

    def _prepared(self, images: Sequence[Image]) -> Iterator[Prepared]:
        for image, numbers in _choose(images, self._card.input):
            dataset = image if isinstance(image, Dataset) else _read(image)
            _check_modality(dataset, self._card.input.modalities)
            try:
                for frame in frames(dataset, numbers):
                    yield prepare(frame, self._card.input)
            except NotAnalysable as error:
                uid = dataset.get("SOPInstanceUID", "without UID")
                raise NotAnalysable(f"image {uid}: {error}") from error

    def _scores(self, tensor: torch.Tensor) -> list[float]:
        """Probability of each label, rounded."""
        with torch.inference_mode():
            logits = self._network(tensor[None].to(self._device))[0]
            probabilities = torch.sigmoid(logits.float()).cpu().tolist()
        if not np.all(np.isfinite(probabilities)):
            raise ModelError(f"{self._card.name}: the network answers with something not a number")
        return [round(probability, DIGITS) for probability in probabilities]

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
        )


def _check_modality(dataset: Dataset, wanted: Sequence[str]) -> None:
    """A model for radiographs must not speak of a CT."""
    modality = text(dataset, "Modality")
    if wanted and modality not in wanted:
        found = f"modality {modality}" if modality else "no modality"
        raise NotAnalysable(f"the model is for {', '.join(wanted)}; an image has {found}")


def _presence(label: Label, probability: float) -> Presence:
    """A finding within the margin of its threshold is undetermined."""
    if abs(probability - label.threshold) < label.margin:
        return Presence.UNDETERMINED
    return Presence.PRESENT if probability >= label.threshold else Presence.ABSENT


def _choose(images: Sequence[Image], recipe: Input) -> Iterator[tuple[Image, list[int]]]:
    """The images the card wants to see, in order, each with its frame numbers."""
    counts = [_frame_count(image) for image in images]
    ends = [0, *accumulate(counts)]
    total = ends[-1]
    if recipe.images == "all":
        kept = min(total, recipe.max_images)
        wanted = [(2 * i + 1) * total // (2 * kept) for i in range(kept)]
    else:
        wanted = [0 if recipe.images == "first" else total // 2][:total]
    owners = np.searchsorted(ends, wanted, side="right") - 1
    for owner, group in groupby(zip(owners, wanted, strict=True), key=lambda pair: int(pair[0])):
        yield images[owner], [at - ends[owner] + 1 for _, at in group]


def _frame_count(image: Image) -> int:
    """How many frames an object has; 0 if it is no image (a report, a presentation state)."""
    header = image if isinstance(image, Dataset) else _read(image, header=True)
    if "Rows" not in header:
        return 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return max(1, int(header.get("NumberOfFrames") or 1))
        except (TypeError, ValueError, ArithmeticError) as error:
            raise NotAnalysable("the number of frames is no number") from error


def _read(path: Path, *, header: bool = False) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dcmread(path, stop_before_pixels=header)
        except FileNotFoundError as error:
            raise NotAnalysable("a kept file cannot be read: it is gone") from error
        except OSError as error:
            raise StoreError(f"a kept file cannot be read: {error.strerror}") from error
        except (InvalidDicomError, EOFError, ValueError) as error:
            raise NotAnalysable(f"a kept file cannot be read ({type(error).__name__})") from error


def _device(name: str) -> torch.device:
    """A device by name; "auto": an accelerator where there is one."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, there in present.items() if there), "cpu")
    if not present.get(name.split(":")[0], name == "cpu"):
        raise ModelError(f"device {name!r} is not here; auto and cpu always are")
    return torch.device(name)

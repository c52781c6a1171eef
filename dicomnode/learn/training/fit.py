"""One network from its first weights to its best: the loop, to be read from top to bottom."""

import time
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray

from dicomnode.errors import ModelError
from dicomnode.learn.training import checkpoint
from dicomnode.learn.training.augment import Varying
from dicomnode.learn.training.batches import Batches, seen, seen_as
from dicomnode.learn.training.checkpoint import Line, Progress, Tensors
from dicomnode.learn.training.lesson import Fitted, Lesson, Watch
from dicomnode.learn.training.looking import logits_of, mean_auroc
from dicomnode.learn.training.losses import Objective, asked, goals
from dicomnode.learn.training.mixing import mix
from dicomnode.learn.training.optimise import Average, optimiser, rate, set_rate
from dicomnode.learn.training.processes import Crew
from dicomnode.learn.training.stages import freeze, stages

__all__ = ["fit"]

_PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_RARE = 20.0  #: no image is drawn so many times as often as another one


def fit(network: torch.nn.Module, lesson: Lesson, crew: Crew, watch: Watch) -> Fitted:
    """Train until the epochs are over or nothing improves; the network has the kept weights then.

    Goes on where `lesson.file` was left.

    Raises:
        ModelError: the loss is not a number any more, or the device has no room for a batch; the
            last good checkpoint stays.
        StoreError: the checkpoint cannot be written.
    """
    how = lesson.recipe.optimise
    learner = _Learner(crew.taken(network), lesson, crew)
    progress, best = learner.resumed()
    for epoch in range(progress.epoch + 1, lesson.epochs + 1):
        if progress.ended:
            break
        began = time.monotonic()
        try:
            loss = learner.learn(epoch, progress, watch)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{crew.device}: has no room for a batch of {how.batch}; lower optimise.batch or "
                "input.size_px"
            ) from error
        score = crew.agreed(learner.score() if crew.leads else -1.0)
        told = None if score < 0 else round(score, 6)
        spent = round(time.monotonic() - began, 2)
        line = Line(epoch=epoch, rate=learner.rate, loss=loss, auroc=told, seconds=spent)
        progress.lines.append(line)
        if how.keep == "last" or told is None or score > progress.best:
            progress.best, progress.best_epoch, best = score, epoch, learner.kept()
        waited = epoch - progress.best_epoch
        progress.ended = epoch == lesson.epochs or bool(how.patience and waited >= how.patience)
        if crew.leads:
            learner.keep(progress, best)
        watch.epoch(line)
    network.load_state_dict(best)
    return Fitted(epoch=progress.best_epoch, lines=tuple(progress.lines))


class _Learner:
    """The network, and all that changes with it."""

    def __init__(self, network: torch.nn.Module, lesson: Lesson, crew: Crew) -> None:
        recipe = lesson.recipe
        self._network = network
        self._lesson = lesson
        self._crew = crew
        self._row = stages(network)
        self._optimizer = optimiser(self._row, recipe.optimise, recipe.start.decay)
        decay = recipe.optimise.average
        self._average = Average(network, decay) if decay else None
        half = recipe.optimise.precision == "float16"
        self._scaler = torch.amp.GradScaler(crew.device.type, enabled=half)
        truth = asked(lesson.truth, recipe.output)
        taught = None if lesson.taught is None else asked(lesson.taught, recipe.output)
        self._goals = goals(truth, taught, recipe.teacher, lesson.training)
        part = truth[lesson.training]
        self._objective = Objective(recipe.output, recipe.loss, recipe.teacher, part)
        weights = _rarity(part) if recipe.data.sampling == "balanced" else None
        mine = (crew.rank, crew.count)
        batch = recipe.optimise.batch
        self._batches = Batches(lesson.training, weights, batch, lesson.seed, mine)
        self._ways = recipe.ways_of_batch
        self._seen = _loader(lesson, self._batches, crew)
        self._frozen = -1
        self._joined = network
        self.rate = 0.0  #: learning rate of the last step

    # --- one epoch ----------------------------------------------------------------------

    def learn(self, epoch: int, progress: Progress, watch: Watch) -> float:
        """Every batch once; returns the mean loss."""
        how, device = self._lesson.recipe.optimise, self._crew.device
        steps = self._lesson.epochs * len(self._batches)
        self._batches.begin(epoch)
        self._ready(epoch)
        losses = []
        for number, (grey, places) in enumerate(self._seen):
            chance = self._batches.mixing(number)
            mixed, shares = mix(grey.to(device, non_blocking=True), self._ways, chance)
            with self._autocast():
                outputs = self._joined(seen_as(mixed, self._lesson.input))
            loss = self._objective(outputs, self._goals.of(places, device), shares)
            share = rate(progress.steps, steps, how)
            set_rate(self._optimizer, share, how)
            self._step(loss)
            progress.steps += 1
            self.rate = how.learning_rate * share
            losses.append(loss.detach())
            watch.step(epoch - 1 + (number + 1) / len(self._batches))
        return self._mean(epoch, torch.stack(losses))

    def _ready(self, epoch: int) -> None:
        """Stages freeze or thaw; the network is joined to its twins when that changes."""
        self._network.train()
        wanted = [stages for start, stages in self._lesson.recipe.start.frozen if start <= epoch]
        frozen = wanted[-1] if wanted else 0
        freeze(self._row, frozen)
        if frozen != self._frozen:
            self._joined, self._frozen = self._crew.joined(self._network), frozen
            self._joined.train()
            freeze(self._row, frozen)

    def _step(self, loss: torch.Tensor) -> None:
        how = self._lesson.recipe.optimise
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if how.clip_norm:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), how.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._average is not None:
            self._average.update(self._network)

    def _mean(self, epoch: int, losses: torch.Tensor) -> float:
        losses = self._crew.mean(losses)
        if not bool(losses.isfinite().all()):
            step = int(losses.isfinite().int().argmin()) + 1
            raise ModelError(
                f"epoch {epoch}, step {step} of {len(losses)}: the loss is not a number any more; "
                f"what epoch {epoch - 1} left is kept in {self._lesson.file}. Lower "
                "optimise.learning_rate, raise warm_up, or set clip_norm"
            )
        return round(float(losses.double().mean()), 6)

    def _autocast(self) -> AbstractContextManager[None]:
        precision = self._lesson.recipe.optimise.precision
        kind = _PRECISIONS.get(precision, torch.bfloat16)
        on = precision in _PRECISIONS
        return torch.autocast(self._crew.device.type, kind, enabled=on)

    # --- between epochs -----------------------------------------------------------------

    def kept(self) -> Tensors:
        """A copy of the weights that count: their average, or as they are."""
        weights = self._average.weights if self._average else self._network.state_dict()
        return {name: value.detach().clone() for name, value in weights.items()}

    def score(self) -> float:
        """Mean AUROC in validation of the weights that count; -1 where there is none."""
        lesson = self._lesson
        if not len(lesson.validation):
            return -1.0
        now = {name: value.clone() for name, value in self._network.state_dict().items()}
        self._network.load_state_dict(self.kept())
        said = logits_of(self._network, lesson.plain, lesson.validation, lesson.input)
        self._network.load_state_dict(now)
        score = mean_auroc(said, lesson.truth[lesson.validation], lesson.recipe.output)
        return -1.0 if score is None else score

    def keep(self, progress: Progress, best: Tensors) -> None:
        """Write all that is needed to go on."""
        optimizer = checkpoint.optimizer_tensors(self._optimizer)
        parts = {"network": self._network.state_dict(), "best": best, "optimizer": optimizer}
        if self._average is not None:
            parts["average"] = self._average.weights
        if self._scaler.is_enabled():
            state = self._scaler.state_dict()
            parts["scaler"] = {name: torch.tensor(value) for name, value in state.items()}
        checkpoint.write(self._lesson.file, progress, parts)

    def resumed(self) -> tuple[Progress, Tensors]:
        """Where the last process was killed, or the beginning."""
        kept = checkpoint.read(self._lesson.file, self._lesson.key)
        if kept is None:
            return Progress(key=self._lesson.key), self.kept()
        progress, parts = kept
        self._network.load_state_dict(parts["network"])
        checkpoint.restore(self._optimizer, parts.get("optimizer", {}))
        if self._average is not None:
            self._average.load(parts["average"], progress.steps)
        if self._scaler.is_enabled():
            self._scaler.load_state_dict({k: v.item() for k, v in parts["scaler"].items()})
        device = self._crew.device
        return progress, {name: value.to(device) for name, value in parts["best"].items()}


def _loader(
    lesson: Lesson, batches: Batches, crew: Crew
) -> "torch.utils.data.DataLoader[tuple[torch.Tensor, int]]":
    varying = Varying(lesson.recipe.ways_of_image, lesson.pictures.size)
    workers, pinned = lesson.recipe.data.workers, crew.device.type == "cuda"
    return seen(lesson.pictures, varying, batches, lesson.seed, workers, pinned=pinned)


def _rarity(truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often each image is to be drawn: as its rarest label asks for, 1 where it has none."""
    shares = np.maximum(np.nanmean(truth, axis=0), 1e-9)
    wanted = np.where(np.nan_to_num(truth) > 0, 0.5 / shares, 1.0)
    rarity: NDArray[np.float64] = np.clip(wanted.max(axis=1), 1.0, _RARE)
    return rarity

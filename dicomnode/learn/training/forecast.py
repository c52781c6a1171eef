"""What a run would do and how long it would take, without training: for `--dry-run`."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dicomnode.errors import ModelError
from dicomnode.learn.training.augment import Varying
from dicomnode.learn.training.batches import seen_as
from dicomnode.learn.training.files import disk_errors
from dicomnode.learn.training.losses import Objective, asked, goals
from dicomnode.learn.training.mixing import mix
from dicomnode.learn.training.pictures import read_frame, shown_grey
from dicomnode.learn.training.plan import HELD_OUT, TRAINING, Plan
from dicomnode.learn.training.stages import stages
from dicomnode.learn.training.start import Moved, started

__all__ = ["Forecast", "forecast", "preview"]

_TRIED = 3  #: steps whose time is taken, after one to warm up
_SHOWN, _TIMES = 4, 6  #: images of a preview, and how often each is varied


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is known of a run before it begins."""

    parameters: int
    stages: tuple[str, ...]  #: their first modules, from the image to the answer
    moved: Moved | None
    steps: int  #: of an epoch
    networks: int
    epoch_s: float  #: of one network, on this machine as busy as it is
    total_s: float  #: at most: stopping early is not counted on


def forecast(made: Plan, device: torch.device) -> Forecast:
    """Build the network, and take the time of a few steps on noise."""
    recipe = made.recipe
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    network, moved = started(made.card, made.source, recipe)
    network.to(device).train()
    folds = recipe.data.folds
    whole = int((made.parts != HELD_OUT).sum()) if folds else len(made.of(TRAINING))
    batch = min(recipe.optimise.batch, whole)
    step_s = min(_timed(made, network, batch, device) for _ in range(_TRIED))
    epochs = recipe.optimise.epochs
    learnt = whole // batch * epochs + sum(
        (whole - whole // folds) // batch * epochs for _ in range(folds)
    )
    return Forecast(
        parameters=sum(p.numel() for p in network.parameters()),
        stages=tuple(stage.names[0] for stage in stages(network)),
        moved=moved,
        steps=whole // batch,
        networks=1 + folds,
        epoch_s=whole // batch * step_s,
        total_s=learnt * step_s,
    )


def _timed(made: Plan, network: torch.nn.Module, batch: int, device: torch.device) -> float:
    """Seconds of one step: vary, mix, forward, back."""
    recipe = made.recipe
    size = round(made.card.input.size_px * recipe.data.detail)
    varying = Varying(recipe.ways_of_image, size)
    truth = asked(np.nan_to_num(made.manifest.truth), recipe.output)
    places = np.arange(batch) % len(truth)
    goal = goals(truth, None, None, places).of(torch.from_numpy(places), device)
    objective = Objective(recipe.output, recipe.loss, None, truth)
    began = time.monotonic()
    grey = torch.stack([varying(torch.rand(1, size, size), (index,)) for index in range(batch)])
    mixed, shares = mix(grey.to(device), recipe.ways_of_batch, torch.Generator().manual_seed(0))
    closed = recipe.optimise.method == "ridge"
    with torch.set_grad_enabled(not closed):
        loss = objective(network(seen_as(mixed, made.card.input)), goal, shares)
    if not closed:
        loss.backward()  # type: ignore[no-untyped-call]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic() - began


def preview(made: Plan, path: Path) -> None:
    """Write a picture (PNG): in each row an image as it is, then as it is varied.

    Raises:
        ModelError: no image can be decoded.
        StoreError: the picture cannot be written.
    """
    size = round(made.card.input.size_px * made.recipe.data.detail)
    varying = Varying(made.recipe.ways_of_image, size)
    rows = []
    for index in made.of(TRAINING)[:_SHOWN]:
        frame = read_frame(made.manifest.entries[int(index)].file)
        if frame is None:
            continue
        grey = shown_grey(frame, made.card.input, size)
        row = [grey, *(varying(grey, (made.recipe.seed, k, int(index))) for k in range(_TIMES))]
        rows.append(torch.cat([image[0] for image in row], dim=1))
    if not rows:
        raise ModelError("none of the first images can be decoded")
    sheet = (torch.cat(rows).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    with disk_errors(path):
        Image.fromarray(sheet).save(path, format="PNG")

"""The one place where the worker's parts are chosen and joined; torch comes with it."""

import threading
from collections.abc import Callable
from functools import partial

import torch

from dicomnode.answers import ModelRef
from dicomnode.classify.card.folder import find_models, read_model
from dicomnode.classify.classifier import Classifier
from dicomnode.classify.load import load_classifier
from dicomnode.config.load import Settings
from dicomnode.config.settings import ClassifySettings
from dicomnode.errors import ModelError, NotFound
from dicomnode.node.analysis import StudyAnalysis
from dicomnode.node.build import open_store, open_worklist
from dicomnode.node.crew import is_mine
from dicomnode.node.early import Early, Warm
from dicomnode.node.handling import Handling
from dicomnode.node.line import ALIVE, LOOK
from dicomnode.node.process import Place
from dicomnode.node.shadow import Shadows
from dicomnode.node.watch import Watch
from dicomnode.node.worker import SpareTime, Worker
from dicomnode.storage.objects import ObjectStore

__all__ = ["build_analysis", "build_worker"]

_CAREFUL_S = 600.0  #: how long a worker only does what is owed when the one before it died


def build_analysis(settings: Settings, store: ObjectStore, place: Place) -> StudyAnalysis:
    """The thinking stages on images of a store, with the models of the configuration."""
    rules = settings.node.classify
    device = _device(rules, place)

    def load(model: str) -> Classifier:
        folders = find_models(rules.models)
        if model not in folders:
            raise NotFound(f"there is no model {model}; `dicomnode models list` shows them")
        return load_classifier(
            folders[model],
            device,
            rules.threads,
            runtime=rules.runtime,
            cache=settings.node.storage.runtimes,
            workers=place.of,
            others=folders.values(),
        )

    def name_of(model: str) -> ModelRef | None:
        try:
            return read_model(find_models(rules.models)[model]).model
        except (KeyError, ModelError):
            return None

    return StudyAnalysis(settings, store, load, name_of)


def build_worker(
    settings: Settings,
    name: str,
    place: Place,
    look: threading.Event,
    say: Callable[[bytes], None],
    *,
    careful: bool = False,
) -> Worker:
    """A worker that takes jobs under this name, and says to the node what it has to know."""
    rules = settings.node.classify
    store, database = open_store(settings), open_worklist(settings)
    analysis = build_analysis(settings, store, place)
    in_use = {name: pipe for name, pipe in settings.pipelines.items() if pipe.enabled}
    mine = partial(is_mine, number=place.number, of=place.of)
    spare_time: list[SpareTime] = [
        Warm(analysis, in_use),
        *([Early(database, analysis, mine)] if rules.early else []),
        Shadows(database, analysis, {name: pipe.shadow for name, pipe in in_use.items()}),
    ]
    return Worker(
        name,
        database,
        Handling(database, store, analysis, settings.node.worklist, partial(say, LOOK)),
        lease_s=settings.node.worklist.lease_s,
        side_by_side=rules.side_by_side or _usual_side_by_side(_device(rules, place)),
        spare_time=spare_time,
        careful_for_s=_CAREFUL_S if careful else 0.0,
        look=look,
        watch=Watch(rules.stuck_after_s, alive=partial(say, ALIVE)),
    )


def _device(rules: ClassifySettings, place: Place) -> str:
    """Of several workers each takes a GPU of its own, in turn; as torch names it."""
    gpus = torch.cuda.device_count() if rules.device in ("auto", "cuda") else 0
    return f"cuda:{place.number % gpus}" if gpus > 1 else rules.device


def _usual_side_by_side(device: str) -> int:
    """As many studies as keep the device from waiting for those that are decoded."""
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    return 4 if on_gpu else 2

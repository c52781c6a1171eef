"""The one place where the worker's parts are chosen and joined; torch comes with it."""

from dicomnode.classify.card import find_models, read_card
from dicomnode.classify.classifier import Classifier
from dicomnode.classify.torch_classifier import load_classifier
from dicomnode.config.load import Settings
from dicomnode.errors import ModelError, NotFound
from dicomnode.node.analysis import StudyAnalysis
from dicomnode.node.build import open_store, open_worklist
from dicomnode.node.worker import Worker
from dicomnode.records import ModelRef

__all__ = ["build_worker"]


def build_worker(settings: Settings, name: str) -> Worker:
    """A worker that takes jobs under this name."""
    rules = settings.node.classify

    def load(model: str) -> Classifier:
        folders = find_models(rules.models)
        if model not in folders:
            raise NotFound(f"there is no model {model}; `dicomnode models list` shows them")
        return load_classifier(folders[model], rules.device, rules.threads)

    def name_of(model: str) -> ModelRef | None:
        try:
            return read_card(find_models(rules.models)[model]).model
        except (KeyError, ModelError):
            return None

    store = open_store(settings)
    analysis = StudyAnalysis(settings, store, load, name_of)
    return Worker(name, open_worklist(settings), store, analysis, settings.node.worklist)

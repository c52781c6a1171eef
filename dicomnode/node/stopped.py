"""Pipelines whose model version was recalled: their studies are not analysed."""

import logging
from contextlib import suppress

from dicomnode.answers import ModelRef
from dicomnode.classify.card.folder import find_models, read_model
from dicomnode.config.load import Settings
from dicomnode.errors import ModelError
from dicomnode.storage.database import Database
from dicomnode.worklist import recall
from dicomnode.worklist.schema import is_there

__all__ = ["log_stopped", "models_here", "models_in_use", "stopped_pipelines"]

log = logging.getLogger(__name__)


def models_here(settings: Settings) -> dict[str, str]:
    """The models whose cards can be read, as `name@version`, by the names of their folders."""
    return {name: model.tag for name, model in _known(settings).items()}


def _known(settings: Settings) -> dict[str, ModelRef]:
    found = {}
    with suppress(ModelError):
        for name, folder in find_models(settings.node.classify.models).items():
            with suppress(ModelError):
                found[name] = read_model(folder).model
    return found


def models_in_use(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The models of enabled pipelines, as `name@version`, where their cards can be read.

    The first is the one that a pipeline names; if it is several models together, these follow.
    """
    known = _known(settings)
    return {
        name: known[pipeline.model].tags
        for name, pipeline in settings.pipelines.items()
        if pipeline.enabled and pipeline.model in known
    }


def stopped_pipelines(settings: Settings, database: Database) -> dict[str, str]:
    """The enabled pipelines whose model was recalled, each with words that say so.

    Raises:
        DatabaseAway: the database does not answer.
    """
    if not is_there(database):
        return {}
    with database.reading() as tx:
        stopped = recall.stopped(tx)
    return {
        name: f"{model} was recalled ({stopped[model]}): nothing is analysed by it; name another "
        f"version, or take the stop off with `dicomnode results reinstate --model {model}`"
        for name, models in models_in_use(settings).items()
        for model in models
        if model in stopped
    }


def log_stopped(settings: Settings, database: Database) -> None:
    """Say it at the start of a node."""
    for name, problem in stopped_pipelines(settings, database).items():
        log.error("pipeline.recalled", extra={"pipeline": name, "problem": problem})

"""Which models there are for a command, by name or by the folder they lie in, and what runs them.

A command that has no configuration knows the models that ship, and runs them by torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode.classify.card.folder import find_models
from dicomnode.config.load import load
from dicomnode.config.settings import NodeSettings
from dicomnode.errors import NotFound

if TYPE_CHECKING:
    from dicomnode.classify.runtimes.candidates import Wanted

__all__ = ["RunSettings", "find_model", "find_node", "known_models", "run_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a model's network is run, as `load_classifier` has it."""

    device: str = "auto"
    threads: int = 0
    runtime: "Wanted" = "torch"
    cache: Path | None = None


def find_node(config: Path) -> NodeSettings | None:
    """The node of a configuration; None where there is no configuration.

    Raises:
        ConfigError: there is one, and it has mistakes.
    """
    return load(config).node if (config / "node.toml").is_file() else None


def known_models(config: Path) -> dict[str, Path]:
    """Folders by name: those of the configuration; without one, those that ship."""
    node = find_node(config)
    return find_models(node.classify.models if node else ())


def find_model(name: str, config: Path) -> Path:
    """The folder of a model that is named, or given as a folder; NotFound tells which there are."""
    found = known_models(config)
    if name in found:
        return found[name]
    if (folder := Path(name)).is_dir():
        return folder
    raise NotFound(f"there is no model {name}; here are: {', '.join(sorted(found))}")


def run_settings(config: Path) -> RunSettings:
    """As the node of the configuration runs its models."""
    if (node := find_node(config)) is None:
        return RunSettings()
    rules = node.classify
    return RunSettings(
        device=rules.device,
        threads=rules.threads,
        runtime=rules.runtime,
        cache=node.storage.runtimes,
    )

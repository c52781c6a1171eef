"""`dicomnode models ensemble`: models that are here answer as one."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from dicomnode.cli.found import find_model, known_models
from dicomnode.cli.label_files import read_labels
from dicomnode.cli.new_model import (
    DisclaimerOption,
    FolderOption,
    IntendedUseOption,
    IntoOption,
    ManufacturerOption,
    VersionOption,
    folder_of_models,
    print_made,
    words_of_card,
)
from dicomnode.cli.output import ConfigOption, JsonOption, errors

__all__ = ["ensemble_command"]


def ensemble_command(
    name: Annotated[str, typer.Argument(help="Name of the new model, said in every result.")],
    version: VersionOption,
    member: Annotated[
        list[str],
        typer.Option(help="One of the models, as `models list` shows it, or its folder; repeat."),
    ],
    into: IntoOption = None,
    folder: FolderOption = "",
    mean: Annotated[
        Literal["probabilities", "logits"],
        typer.Option(help="Of what: of members' calibrated probabilities, or of their log odds."),
    ] = "probabilities",
    combine: Annotated[
        Literal["max", "mean"] | None,
        typer.Option(help="What several images say together; else as the members have it."),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(help="A TOML or CSV file with thresholds; else they are the members' mean."),
    ] = "",
    intended_use: IntendedUseOption = "",
    manufacturer: ManufacturerOption = "",
    disclaimer: DisclaimerOption = "",
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """Make a model folder of several models that tell the same: their answer is the mean.

    It names its members with the hashes of their weights, and is loaded once as the node would.
    """
    from dicomnode.learn.ensemble import Joint, join_models

    with errors():
        joint = Joint(
            members=[find_model(one, config) for one in member],
            near=known_models(config).values(),
            into=into or folder_of_models(config),
            folder=folder or name,
            name=name,
            version=version,
            mean=mean,
            combine=combine or "",
            labels=read_labels(labels),
            words=words_of_card(intended_use, manufacturer, disclaimer),
        )
        made = join_models(joint)
    print_made(made.card, made.folder, made.notes, as_json=as_json)

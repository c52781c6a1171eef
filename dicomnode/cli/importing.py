"""`dicomnode models import`: a model made elsewhere becomes a model folder."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dicomnode.cli.label_files import read_labels, read_toml
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
from dicomnode.errors import ModelError

__all__ = ["import_command"]


def import_command(
    source: Annotated[
        Path,
        typer.Argument(
            help="A MONAI bundle (folder or zip), TorchScript, torch.export archive, ONNX, "
            "safetensors or a checkpoint of torch.",
            exists=True,
            readable=True,
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the model, said in every result.")],
    version: VersionOption,
    into: IntoOption = None,
    folder: FolderOption = "",
    preset: Annotated[
        str,
        typer.Option(
            help="What is shown and said, for a published kind: chexnet, torchxrayvision, imagenet."
        ),
    ] = "",
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="TOML with tables of a card, such as input, training, evaluation; input changes a "
            "preset key by key.",
            exists=True,
        ),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            help="Names of the outputs with commas, in order, or a TOML or CSV file of them; "
            "an output named - is dropped."
        ),
    ] = "",
    architecture: Annotated[
        str,
        typer.Option(
            help="Of a state dict: MONAI's by name (densenet121, resnet50, seresnet50, "
            "efficientnet-b0, vit, ...) or kind (densenet, ...); torchvision's are told by their "
            "tensors."
        ),
    ] = "",
    params: Annotated[str, typer.Option(help="JSON, parameters of the architecture.")] = "{}",
    convert_pickle: Annotated[
        bool,
        typer.Option("--convert-pickle", help="Read the tensors of a pickle, in a process apart."),
    ] = False,
    output: Annotated[
        Literal["multi-label", "binary", "multi-class", "ordinal"] | None,
        typer.Option(help="How the outputs go together."),
    ] = None,
    answers: Annotated[
        Literal["logits", "probabilities"] | None,
        typer.Option(help="What a program gives, where it does not show."),
    ] = None,
    intended_use: IntendedUseOption = "",
    manufacturer: ManufacturerOption = "",
    disclaimer: DisclaimerOption = "",
    config: ConfigOption = Path("ae_config"),
    as_json: JsonOption = False,
) -> None:
    """Make a model folder of a model that was made elsewhere; nothing of it is run unseen.

    What the source does not tell is asked for, and what was taken and decided is printed.
    """
    from dicomnode.learn.importing.importer import import_model
    from dicomnode.learn.importing.wish import Wish

    with errors():
        wish = Wish(
            source=source,
            into=into or folder_of_models(config),
            folder=folder or name,
            name=name,
            version=version,
            preset=preset,
            recipe=read_toml(recipe) if recipe else {},
            labels=read_labels(labels),
            architecture=architecture,
            params=_params(params),
            convert_pickle=convert_pickle,
            answers=answers or "",
            output=output or "",
            words=words_of_card(intended_use, manufacturer, disclaimer),
        )
        made = import_model(wish)
    print_made(made.card, made.folder, made.notes, as_json=as_json)


def _params(text: str) -> dict[str, Any]:
    try:
        params = json.loads(text)
    except ValueError as error:
        raise ModelError(f"--params is no JSON: {error}") from error
    if not isinstance(params, dict):
        raise ModelError("--params is no JSON object")
    return params

"""Which network a model is."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from dicomnode.classify.card.tables import Table

__all__ = ["EXPLAINED_BY", "PROGRAMS", "Architecture"]

#: Kinds whose file holds the arithmetic as well, and how such a file ends.
PROGRAMS = {"torchscript": ".pt", "export": ".pt2", "onnx": ".onnx"}
#: How programs can be explained: none tells its layers, and ONNX has no way back to the image.
EXPLAINED_BY = {
    "torchscript": ("integrated-gradients", "occlusion"),
    "export": ("integrated-gradients", "occlusion"),
    "onnx": ("occlusion",),
}


class Architecture(Table):
    """A network by its name, or a program that was exported from one."""

    kind: Literal[
        "densenet",  #: of MONAI, as the next four
        "efficientnet",
        "resnet",
        "seresnet50",
        "vit",
        "vgg",  #: of `classify/networks/`, as the next two
        "inception3",
        "efficientnet-torchvision",  #: MONAI's pads otherwise
        "scattering",  #: of `classify/networks/` too: fixed filters, one layer that learns
        "torchscript",  #: a program, as the next two
        "export",
        "onnx",
    ]
    params: Mapping[str, Any] = Field(default_factory=dict)  #: of its constructor, sizes left out
    answers: Literal["logits", "probabilities"] = "logits"  #: a program may squash them itself

    @property
    def suffix(self) -> str:
        """How the name of the file with the weights ends."""
        return PROGRAMS.get(self.kind, ".safetensors")

"""A bright ball in a dark patient, as slices of any geometry, and a network that finds it.

All places are in mm of the patient's coordinates: x to the left, y to the back, z to the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
)

from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation
from dicomnode.classify.card.folder import write_card
from dicomnode.classify.card.input import Input, Volume
from dicomnode.classify.network import build_network
from dicomnode.classify.weights import save_weights
from tests.factories import make_dataset, uid
from tests.tiny_model import make_card

__all__ = [
    "Ball",
    "Geometry",
    "enhanced",
    "make_ball_finder",
    "make_bright_finder",
    "make_volume_input",
    "slices",
]

_DARK_HU, _BRIGHT_HU = -1000, 400
Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a stack of slices lies."""

    count: int = 24
    rows: int = 48
    columns: int = 40
    spacing: tuple[float, float] = (2.5, 3.0)  #: between rows, between columns, mm
    row: Sequence[float] = (1.0, 0.0, 0.0)  #: direction of a row
    column: Sequence[float] = (0.0, 1.0, 0.0)
    step: Sequence[float] = (0.0, 0.0, 5.0)  #: from slice to slice, mm
    middle: Sequence[float] = (10.0, -150.0, 640.0)  #: of the stack

    @property
    def steps(self) -> Vector:
        """(3, 3): columns are the ways to the next slice, row and column."""
        down, right = np.array(self.column) * self.spacing[0], np.array(self.row) * self.spacing[1]
        return np.stack([np.array(self.step), down, right], axis=1)

    @property
    def origin(self) -> Vector:
        half = np.array([self.count - 1, self.rows - 1, self.columns - 1]) / 2
        origin: Vector = np.array(self.middle) - self.steps @ half
        return origin

    def places(self, at: int) -> Vector:
        """(rows, columns, 3): where the pixels of a slice lie."""
        indices = np.meshgrid([at], np.arange(self.rows), np.arange(self.columns), indexing="ij")
        places: Vector = np.moveaxis(np.tensordot(self.steps, np.array(indices), 1), 0, -1)[0]
        return places + self.origin

    def index_of(self, place: Sequence[float]) -> Vector:
        """Slice, row and column of a place; the middle of the first pixel is at 0."""
        back: Vector = np.linalg.inv(self.steps).astype(np.float64)
        return back @ (np.array(place) - self.origin)


@dataclass(frozen=True, kw_only=True)
class Ball:
    """What is to be found."""

    at: Sequence[float] = field(default=(10.0, -150.0, 640.0))
    radius_mm: float = 14.0


def stored(geometry: Geometry, ball: Ball | None, at: int) -> NDArray[np.uint16]:
    """Pixels of one slice, HU + 1024."""
    hu = np.full((geometry.rows, geometry.columns), _DARK_HU, dtype=np.float64)
    if ball is not None:
        away = np.linalg.norm(geometry.places(at) - np.array(ball.at), axis=-1)
        hu[away <= ball.radius_mm] = _BRIGHT_HU
    return np.rint(hu + 1024).astype(np.uint16)


def slices(
    geometry: Geometry, ball: Ball | None = None, *, series: str = "1", **changes: Any
) -> list[Dataset]:
    """One CT image a slice, in order of the stack."""
    return [_slice(geometry, ball, at, series, changes) for at in range(geometry.count)]


def _slice(
    geometry: Geometry, ball: Ball | None, at: int, series: str, changes: dict[str, Any]
) -> Dataset:
    ds = make_dataset(
        at + 1,
        **{
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": uid("ball", series, at),
            "SeriesInstanceUID": uid("ball", series),
            "FrameOfReferenceUID": uid("frame of reference"),
            "Rows": geometry.rows,
            "Columns": geometry.columns,
            "ImagePositionPatient": (geometry.origin + at * geometry.steps[:, 0]).tolist(),
            "ImageOrientationPatient": [*geometry.row, *geometry.column],
            "PixelSpacing": list(geometry.spacing),
            "PixelData": stored(geometry, ball, at).tobytes(),
        }
        | changes,
    )
    return _little_endian(ds)


def _little_endian(ds: Dataset) -> Dataset:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    return ds


def enhanced(geometry: Geometry, ball: Ball | None = None) -> Dataset:
    """The stack as one multi-frame image, its frames from the last slice to the first."""
    order = list(reversed(range(geometry.count)))
    ds = make_dataset(
        1,
        SOPClassUID=EnhancedCTImageStorage,
        SOPInstanceUID=uid("ball", "enhanced"),
        FrameOfReferenceUID=uid("frame of reference"),
        Rows=geometry.rows,
        Columns=geometry.columns,
        NumberOfFrames=geometry.count,
        RescaleIntercept=None,
        RescaleSlope=None,
        PixelData=b"".join(stored(geometry, ball, at).tobytes() for at in order),
    )
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=_cosines(geometry))]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=list(geometry.spacing))]
    rescale = _item(RescaleIntercept="-1024", RescaleSlope="1", RescaleType="HU")
    shared.PixelValueTransformationSequence = [rescale]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [
        _item(PlanePositionSequence=[_item(ImagePositionPatient=_position(geometry, at))])
        for at in order
    ]
    return _little_endian(ds)


def _cosines(geometry: Geometry) -> list[float]:
    return [*geometry.row, *geometry.column]


def _position(geometry: Geometry, at: int) -> list[float]:
    place: list[float] = (geometry.origin + at * geometry.steps[:, 0]).tolist()
    return place


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


# --- what finds it --------------------------------------------------------------------------


def make_volume_input(**changes: Any) -> Input:
    """A grid of 32 voxels each way, 4 mm apart, of CT."""
    usual: dict[str, Any] = {
        "size_vox": (32, 32, 32), "spacing_mm": (4.0, 4.0, 4.0), "intensity": (-1000.0, 400.0),
    }  # fmt: skip
    grid = Volume(**(usual | changes))
    return Input(kind="volume", channels=1, mean=(0.0,), std=(1.0,), volume=grid)


def make_ball_finder(folder: Path, **changes: Any) -> Card:
    """A model folder with a DenseNet in three dimensions: its logit is some -4 where all is dark,
    and above 0 with a ball.
    """
    layer = Explanation(method="hires-cam", layer="features.denseblock1")
    usual: dict[str, Any] = {"input": make_volume_input(), "explanation": layer}
    return make_bright_finder(folder, 2000.0, **(usual | changes))


def make_bright_finder(
    folder: Path,
    gain: float | Sequence[float],
    bias: float | Sequence[float] = -4.0,
    **changes: Any,
) -> Card:
    """A model folder with a DenseNet that knows bright from dark.

    Its first channel is brightness, blurred, and passes through every layer; each logit is `gain`
    times the mean of that, and `bias`.
    """
    params = {"init_features": 2, "growth_rate": 2, "block_config": [1]}
    architecture = Architecture(kind="densenet", params=params)
    card = make_card(**({"architecture": architecture} | changes))
    network = build_network(card)
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    for name in state:
        if name.endswith(("running_var", "features.norm0.weight", "features.norm5.weight")):
            state[name] += 1
    kernel = state["features.conv0.weight"]
    kernel[0] = 1 / kernel[0].numel()
    state["class_layers.out.weight"][:, 0] = torch.tensor(gain)
    state["class_layers.out.bias"] += torch.tensor(bias)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save_weights(state, folder / card.weights.file)
    card = card.model_copy(update={"weights": weights})
    write_card(card, folder)
    return card

"""What is known beforehand: presets and codes."""

from pathlib import Path

import numpy as np
import pytest

from dicomnode.answers import FrameRef
from dicomnode.classify.card.architecture import Architecture
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.provenance import Source
from dicomnode.classify.samples.preprocess import prepare
from dicomnode.dicom.pixels import Frame
from dicomnode.learn.importing.describe import describe
from dicomnode.learn.importing.known import PRIVATE_SCHEME, label, presets
from dicomnode.learn.importing.material import Material
from dicomnode.learn.importing.wish import Wish
from dicomnode.records import InstanceRef
from dicomnode.report import codes


@pytest.mark.parametrize(("preset", "count"), [("chexnet", 14), ("torchxrayvision", 18)])
def test_a_preset_names_every_output_with_a_code_of_its_own(preset: str, count: int) -> None:
    labels = [label(name) for name in presets()[preset]["labels"]]
    assert len({one.code.value for one in labels}) == count
    assert all(set(one.names) == {"de", "fr", "es", "zh"} for one in labels)


def test_torchxrayvision_sees_grey_from_minus_to_plus_1024() -> None:
    """Its own words: (2 * (image / 255) - 1) * 1024, of the middle square."""
    recipe = Input(**{**presets()["torchxrayvision"]["input"], "size_px": 16})
    image = InstanceRef(sop_class_uid="", sop_instance_uid="", series_uid="", study_uid="")
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = grey.astype(np.float32) / np.float32(255)
    ref = FrameRef(image=image, frame=None, rows=16, columns=16)
    seen = prepare(Frame(ref=ref, pixels=pixels, rgb=None, aspect=1.0), recipe).tensor[0].numpy()
    theirs = (2 * (grey.astype(np.float32) / 255) - 1) * 1024
    assert np.abs(seen - theirs).max() < 1e-3


def test_a_name_that_is_not_known_has_the_same_private_code_everywhere() -> None:
    first, again = label("Scimitar sign"), label("scimitar_sign")
    assert first.code.value == again.code.value
    assert first.code.scheme == PRIVATE_SCHEME == codes.PRIVATE_SCHEME
    assert len(first.code.value) <= 16
    assert not first.code.value.startswith("P")


def test_inception_is_shown_as_many_pixels_as_it_was_trained_on() -> None:
    from_elsewhere = Material(
        source=Source(format="safetensors", sha256="0" * 64),
        architecture=Architecture(kind="inception3"),
    )
    asked = Wish(
        source=Path("inc3.safetensors"),
        into=Path(),
        folder="inc3",
        name="inc3",
        version="1",
        preset="imagenet",
        labels=({"name": "one"},),
    )
    described = describe(from_elsewhere, asked)
    assert described.card.input.size_px == 299
    assert any("299" in note for note in described.notes)

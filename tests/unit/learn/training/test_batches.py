"""Which images come in which batch follows from seed and epoch alone."""

import numpy as np
import pytest
import torch

from dicomnode.answers import FrameRef
from dicomnode.classify.card.input import Input
from dicomnode.classify.samples.preprocess import prepare
from dicomnode.dicom.pixels import Frame
from dicomnode.learn.training.batches import Batches, Key, seen_as
from dicomnode.learn.training.pictures import shown_grey
from dicomnode.records import InstanceRef

IMAGES = np.arange(10, 30)


def epoch(number: int, batches: Batches) -> list[list[Key]]:
    batches.begin(number)
    return list(batches)


def test_every_image_comes_once_and_the_rest_waits() -> None:
    batches = Batches(IMAGES, None, 6, seed=1)

    keys = [key for batch in epoch(1, batches) for key in batch]

    assert len(batches) == 3
    assert len({image for _, image, _ in keys}) == len(keys) == 18
    assert {image for _, image, _ in keys} <= set(IMAGES.tolist())


def test_an_epoch_does_not_depend_on_those_before() -> None:
    one, other = Batches(IMAGES, None, 6, seed=1), Batches(IMAGES, None, 6, seed=1)
    epoch(1, one)
    epoch(2, one)

    assert epoch(3, one) == epoch(3, other)
    assert epoch(3, one) != epoch(4, one)
    assert epoch(3, one) != epoch(3, Batches(IMAGES, None, 6, seed=2))


def test_processes_share_every_batch() -> None:
    whole = epoch(5, Batches(IMAGES, None, 6, seed=1))
    parts = [epoch(5, Batches(IMAGES, None, 6, seed=1, part=(rank, 2))) for rank in (0, 1)]

    for batch, first, second in zip(whole, *parts, strict=True):
        assert sorted(first + second) == sorted(batch)
        assert len(first) == len(second) == 3


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    assert len(Batches(IMAGES, None, 64, seed=1)) == 1


def test_rare_images_are_drawn_more_often_and_varied_otherwise_each_time() -> None:
    weights = np.ones(20)
    weights[0] = 19.0
    batches = Batches(IMAGES, weights, 20, seed=1)

    keys = [key for number in range(50) for batch in epoch(number, batches) for key in batch]

    share = np.mean([image == 10 for _, image, _ in keys])
    assert share == pytest.approx(0.5, abs=0.05)
    assert len(set(keys)) == len(keys)


def test_what_is_learnt_from_is_what_the_node_shows() -> None:
    rng = np.random.default_rng(1)
    nobody = InstanceRef(sop_class_uid="", sop_instance_uid="", series_uid="", study_uid="")
    pixels = rng.random((50, 37), dtype=np.float32)
    frame = Frame(
        ref=FrameRef(image=nobody, frame=None, rows=50, columns=37),
        pixels=pixels,
        rgb=None,
        aspect=1.2,
    )
    given = Input(size_px=32, channels=3, resize="pad", mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))

    shown = seen_as(shown_grey(frame, given, 32)[None], given)[0]

    assert torch.allclose(shown, prepare(frame, given).tensor, atol=1e-6)

"""A ball at a known place in the patient is found there, however the slices lie."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom import Dataset

from dicomnode.answers import Prediction, Presence
from dicomnode.classify.classifier import Classifier
from dicomnode.classify.load import load_classifier
from dicomnode.classify.samples.volume import volume
from dicomnode.errors import Cause, NotAnalysable
from tests.factories import make_dataset, write_part10
from tests.phantom import (
    Ball,
    Geometry,
    enhanced,
    make_ball_finder,
    make_volume_input,
    slices,
)

TILT, TURN = np.deg2rad(18), np.deg2rad(25)
GEOMETRIES = {
    "anisotropic": Geometry(),
    "from head to feet": Geometry(step=(0, 0, -5.0)),
    "coronal": Geometry(column=(0, 0, -1), step=(0, 5.0, 0)),
    "sagittal": Geometry(row=(0, 1, 0), column=(0, 0, -1), step=(5.0, 0, 0)),
    "mirrored": Geometry(row=(-1, 0, 0), column=(0, -1, 0)),
    "oblique": Geometry(
        row=(np.cos(TURN), np.sin(TURN), 0),
        column=(-np.sin(TURN), np.cos(TURN), 0),
        step=(0.4, 0.3, 4.5),
    ),
    "tilted gantry": Geometry(column=(0, np.cos(TILT), np.sin(TILT)), step=(0, 0, 5.0)),
    "fine": Geometry(count=64, rows=128, columns=100, spacing=(1.0, 1.1), step=(0, 0, 1.5)),
}
METHODS: dict[str, dict[str, Any]] = {
    "hires-cam": {"layer": "features.denseblock1"},
    "grad-cam": {"layer": "features.denseblock1"},
    "grad-cam++": {"layer": "features.denseblock1"},
    "occlusion": {},
    "integrated-gradients": {},
}


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    folder = tmp_path_factory.mktemp("finder")
    make_ball_finder(folder)
    return load_classifier(folder, device="cpu", threads=1)


def off_centre(geometry: Geometry) -> Ball:
    """A ball that lies beside the middle of the stack in every direction."""
    at = geometry.origin + geometry.steps @ (
        np.array([geometry.count, geometry.rows, geometry.columns]) * [0.65, 0.36, 0.62]
    )
    return Ball(at=tuple(at), radius_mm=12.0)


def demand_found(
    prediction: Prediction, images: Sequence[Dataset], geometry: Geometry, ball: Ball
) -> None:
    """The ball is found on the slice and in the place where it lies."""
    (finding,) = prediction.findings
    assert finding.presence is Presence.PRESENT
    at, row, column = geometry.index_of(ball.at)
    order = [image.SOPInstanceUID for image in images]
    number = order.index(finding.frame.image.sop_instance_uid)
    step_mm = float(np.linalg.norm(geometry.steps[:, 0]))
    assert abs(number - at) * step_mm <= ball.radius_mm / 2
    assert finding.heat is not None
    assert finding.heat.shape == (geometry.rows, geometry.columns)
    middle = np.array(finding.regions[0].outline[:-1]).mean(0) - 0.5  # (column, row)
    away = (middle - [column, row]) * np.array(geometry.spacing[::-1])
    assert np.linalg.norm(away) <= ball.radius_mm / 2


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_ball_is_found_where_it_lies(finder: Classifier, name: str) -> None:
    geometry = GEOMETRIES[name]
    ball = off_centre(geometry)
    images = slices(geometry, ball)
    demand_found(finder.classify(images), images, geometry, ball)


def test_nothing_is_found_where_nothing_is(finder: Classifier) -> None:
    (finding,) = finder.classify(slices(Geometry())).findings
    assert finding.presence is Presence.ABSENT
    assert finding.heat is None


@pytest.mark.parametrize("method", METHODS)
def test_every_method_shows_where_the_ball_lies(tmp_path: Path, method: str) -> None:
    geometry = GEOMETRIES["anisotropic"]
    ball = Ball(at=tuple(off_centre(geometry).at), radius_mm=16.0)
    make_ball_finder(tmp_path, explanation={"method": method, **METHODS[method]})
    images = slices(geometry, ball)
    prediction = load_classifier(tmp_path, device="cpu", threads=1).classify(images)
    demand_found(prediction, images, geometry, ball)


def test_the_order_and_the_numbers_of_the_slices_do_not_matter(finder: Classifier) -> None:
    geometry = GEOMETRIES["anisotropic"]
    ball = off_centre(geometry)
    images = slices(geometry, ball)
    expected = finder.classify(images)
    mixed = [images[at] for at in np.random.default_rng(4).permutation(len(images))]
    for number, image in enumerate(mixed, 1):
        image.InstanceNumber = number
    found = finder.classify(mixed)
    demand_found(found, images, geometry, ball)
    assert found.findings[0].probability == expected.findings[0].probability
    assert found.findings[0].frame == expected.findings[0].frame
    order = [frame.image.sop_instance_uid for frame in found.frames]
    assert order == [image.SOPInstanceUID for image in mixed]


def test_a_multi_frame_image_is_read_by_its_functional_groups(
    finder: Classifier, tmp_path: Path
) -> None:
    geometry = GEOMETRIES["oblique"]
    ball = off_centre(geometry)
    single = finder.classify(slices(geometry, ball)).findings[0]
    path = write_part10(enhanced(geometry, ball), tmp_path / "enhanced.dcm")
    prediction = finder.classify([path])
    (finding,) = prediction.findings
    assert finding.probability == pytest.approx(single.probability, abs=2e-4)
    at = geometry.index_of(ball.at)[0]
    assert finding.frame.frame is not None
    assert abs(geometry.count - finding.frame.frame - at) <= 1.5  # the last slice comes first
    assert [frame.frame for frame in prediction.frames] == list(range(1, geometry.count + 1))


def test_voxels_hold_what_the_slices_measure_at_their_place() -> None:
    """A ramp of 1 HU a mm along x, y and z in turn, on a grid whose axes run otherwise."""
    geometry = GEOMETRIES["tilted gantry"]
    for axis in range(3):
        images = slices(geometry)
        for at, image in enumerate(images):
            values = geometry.places(at)[..., axis] - np.array(geometry.middle)[axis]
            image.PixelData = np.rint(values * 8 + 1024).astype("<u2").tobytes()
            image.RescaleSlope, image.RescaleIntercept = "0.125", "-128"
        recipe = make_volume_input(
            axes=("R", "A", "S"), size_vox=(8, 10, 6), intensity=(-500.0, 500.0)
        )
        tensor = volume(images, recipe, []).tensor[0].numpy()
        hu = tensor * 1000 - 500
        places = [(np.arange(size) - (size - 1) / 2) * 4.0 for size in (8, 10, 6)]
        x, y, z = np.meshgrid(-places[0], -places[1], places[2], indexing="ij")
        assert np.abs(hu - [x, y, z][axis]).max() < 0.2


def test_a_grid_without_spacing_is_stretched_over_the_stack() -> None:
    geometry = Geometry()
    images = slices(geometry)
    for image in images:
        image.PixelData = np.full((geometry.rows, geometry.columns), 1724, "<u2").tobytes()
    seen = volume(images, make_volume_input(spacing_mm=None, size_vox=(6, 8, 10)), [])
    assert seen.tensor.shape == (1, 6, 8, 10)
    assert seen.tensor.min() > 0.9
    assert np.linalg.norm(seen.grid.steps, axis=0) == pytest.approx([20.0, 15.0, 12.0])


def test_slices_beside_the_grid_are_left_out(finder: Classifier) -> None:
    prediction = finder.classify(slices(Geometry(count=40), Ball()))
    assert len(prediction.frames) == 26  # 32 voxels of 4 mm hold 128 mm
    assert prediction.left_out == 14


def broken(change: Callable[[list[Dataset]], object]) -> list[Dataset]:
    images = slices(Geometry(), Ball())
    change(images)
    return images


def _second_series(images: list[Dataset]) -> None:
    images.extend(slices(Geometry(count=10, spacing=(1.0, 1.0)), series="2"))


def _turned(images: list[Dataset]) -> None:
    images[3].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


def _moved(images: list[Dataset]) -> None:
    x, y, z = images[9].ImagePositionPatient
    images[9].ImagePositionPatient = [x + 3, y, z]


def _copied(images: list[Dataset]) -> None:
    images.append(slices(Geometry(), Ball(), SOPInstanceUID="2.25.1")[5])


def _uneven(images: list[Dataset]) -> None:
    x, y, z = images[9].ImagePositionPatient
    images[9].ImagePositionPatient = [x, y, z + 1]


@pytest.mark.parametrize(
    ("change", "cause", "words"),
    [
        (lambda i: i.pop(7), Cause.INCOMPLETE, "gap of 10.00 mm .* 5.00 mm apart: .*missing"),
        (_second_series, Cause.GEOMETRY, "2 series of slices"),
        (_turned, Cause.GEOMETRY, "differ in orientation or spacing"),
        (lambda i: setattr(i[3], "PixelSpacing", [1, 1]), Cause.GEOMETRY, "or spacing"),
        (lambda i: i[3].pop("ImagePositionPatient"), Cause.GEOMETRY, "does not tell where"),
        (
            lambda i: setattr(i[3], "FrameOfReferenceUID", "2.25.9"),
            Cause.GEOMETRY,
            "frames of reference",
        ),
        (_moved, Cause.GEOMETRY, "not evenly spaced"),
        (_uneven, Cause.GEOMETRY, "not evenly spaced"),
        (_copied, Cause.GEOMETRY, "at the same place"),
        (lambda i: i.__delitem__(slice(1, None)), Cause.GEOMETRY, "needs 2 slices; a series has 1"),
        (
            lambda i: setattr(i[4], "NumberOfFrames", 10**9),
            Cause.GEOMETRY,
            "claims 1000000023 slices",
        ),
        (lambda i: setattr(i[4], "PixelData", b"12"), Cause.PIXELS, "ends early"),
    ],
)
def test_what_is_no_whole_and_even_stack_is_not_analysed(
    finder: Classifier, change: Callable[[list[Dataset]], object], cause: Cause, words: str
) -> None:
    with pytest.raises(NotAnalysable, match=words) as caught:
        finder.classify(broken(change))
    assert caught.value.cause is cause


def test_the_largest_series_is_taken_where_the_card_says_so(tmp_path: Path) -> None:
    make_ball_finder(tmp_path, input=make_volume_input(series="largest"))
    images = broken(_second_series)
    prediction = load_classifier(tmp_path, device="cpu", threads=1).classify(images)
    assert {frame.image.series_uid for frame in prediction.frames} == {images[0].SeriesInstanceUID}
    assert prediction.left_out == 10


def test_a_localizer_is_none_of_the_slices(finder: Classifier) -> None:
    scout = slices(Geometry(count=1), series="2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    report = make_dataset(99, PixelData=None, Rows=None, Columns=None)
    prediction = finder.classify([*scout, report, *slices(Geometry(), Ball())])
    assert (len(prediction.frames), prediction.left_out) == (24, 1)


def test_slices_that_are_too_thick_are_refused(tmp_path: Path) -> None:
    make_ball_finder(tmp_path, input=make_volume_input(max_gap_mm=3.0))
    with pytest.raises(NotAnalysable, match=r"5\.00 mm apart; the model is for 3\.00"):
        load_classifier(tmp_path, device="cpu", threads=1).classify(slices(Geometry(), Ball()))


def filled(values: Sequence[float]) -> list[Dataset]:
    """Slices that measure one value each, along the stack."""
    images = slices(Geometry(count=len(values), rows=16, columns=16))
    for image, value in zip(images, values, strict=True):
        image.PixelData = np.full((16, 16), round(value + 1024), "<u2").tobytes()
    return images


def scaled(values: Sequence[float], **changes: Any) -> Any:
    """What the network sees of such slices, one number each."""
    usual: dict[str, Any] = {"intensity": None, "spacing_mm": None, "size_vox": (len(values), 4, 4)}
    return volume(filled(values), make_volume_input(**(usual | changes)), []).tensor[0, :, 2, 2]


def test_what_is_measured_is_scaled_by_unit_by_share_or_by_spread() -> None:
    values = [-900, -500, 0, 100, 700]
    by_unit = scaled(values, intensity=(-500.0, 500.0))
    assert by_unit.tolist() == pytest.approx([0, 0, 0.5, 0.6, 1], abs=1e-5)
    by_share = scaled(values, percentiles=(0.0, 75.0))
    assert by_share.tolist() == pytest.approx([0, 0.4, 0.9, 1, 1], abs=1e-5)
    by_spread = scaled(values, standardise="all").numpy()
    assert (by_spread.mean(), by_spread.std()) == pytest.approx((0, 1), abs=1e-5)
    some = scaled(values, standardise="nonzero").numpy()
    assert some[2] == 0
    others = some[[0, 1, 3, 4]]
    assert (others.mean(), others.std()) == pytest.approx((0, 1), abs=1e-5)


def test_where_no_pixel_is_a_slice_is_dark() -> None:
    images = filled([0, 0, 0, 0])
    for image in images:
        pixels = np.full((16, 16), 1024, "<u2")
        pixels[:8] = 4095
        image.PixelData, image.PixelPaddingValue = pixels.tobytes(), 4095
    recipe = make_volume_input(intensity=(-100.0, 100.0), spacing_mm=None, size_vox=(4, 16, 16))
    seen = volume(images, recipe, []).tensor
    assert float(seen.max()) == 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"intensity": None}, "one of intensity, percentiles and standardise"),
        ({"percentiles": (1, 99)}, "one of intensity, percentiles and standardise"),
        ({"intensity": (5.0, 5.0)}, "have to ascend"),
        ({"axes": ("R", "L", "S")}, "axes need one of L and R"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        make_volume_input(**changes)


def test_more_voxels_than_can_be_held_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.classify.samples.volume._MOST_VOXELS", 1000)
    with pytest.raises(NotAnalysable, match="more voxels than can be held: 24 x ") as caught:
        volume(slices(Geometry()), make_volume_input(), [])
    assert caught.value.cause is Cause.GEOMETRY

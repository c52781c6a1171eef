"""Where the images come from that explanations are judged by."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicomnode.errors import ConfigError, NotFound
from dicomnode.learn.cases import Case, from_folder, list_images, read_boxes, synthetic
from dicomnode.learn.drawing import FINDINGS
from dicomnode.learn.synthetic import synthetic_dx

HEADER = "file,label,x,y,width,height\n"


def test_drawings_are_the_same_every_time_and_have_a_finding_each() -> None:
    first, again = (list(synthetic(2)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.findings == other.findings == one.masks.keys() != set()
        assert one.findings <= set(FINDINGS)
        for name, mask in one.masks.items():
            assert mask.shape == one.frame.pixels.shape
            assert mask.any()
            assert np.array_equal(mask, other.masks[name])
        assert np.array_equal(one.frame.pixels, other.frame.pixels)
        assert 0 <= one.frame.pixels.min() < one.frame.pixels.max() <= 1


def test_a_place_is_on_a_finding_by_its_mask_else_by_its_boxes() -> None:
    mask = np.zeros((4, 6), dtype=np.bool_)
    mask[3, 5] = True
    frame = next(synthetic(1)).frame
    case = Case(frame=frame, boxes={"a": ((0, 0, 2, 1),), "b": ((0, 0, 6, 4),)}, masks={"b": mask})
    assert case.findings == {"a", "b"}
    on_a = [case.lies_on("a", np.array(place)) for place in ((1.5, 0.5), (2.5, 0.5))]
    on_b = [case.lies_on("b", np.array(place)) for place in ((6.0, 4.0), (5.1, 3.1), (4.9, 3.5))]
    assert (on_a, on_b) == ([True, False], [True, True, False])
    assert case.lies_on("c", np.array((1.0, 1.0))) is None


def test_reads_pictures_and_dicom_and_passes_over_the_rest(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6), 255, dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((4, 6), 65535, dtype=np.uint16)).save(tmp_path / "b.png")
    synthetic_dx(1, rows=64).save_as(tmp_path / "c.dcm", enforce_file_format=True)
    (tmp_path / "d.txt").write_text("nothing")
    (tmp_path / "e.png").write_text("nothing")
    boxes = {"b.png": {"nodule": ((1.0, 2.0, 3.0, 4.0),)}}
    first, second, third = from_folder(list_images(tmp_path), boxes)
    assert (first.frame.pixels.max(), first.boxes) == (1, {})
    assert (second.frame.pixels.max(), second.boxes) == (1, boxes["b.png"])
    assert third.frame.ref.rows == 64


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is no folder with images"):
        list_images(tmp_path)
    with pytest.raises(NotFound, match="nowhere"):
        list_images(tmp_path / "nowhere")


def test_reads_boxes_by_file_and_label(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(HEADER + "a.png,nodule,10,20,5,6\na.png,nodule,0,0,1,1\nb.png,mass,1,2,3,4\n")
    assert read_boxes(path) == {
        "a.png": {"nodule": ((10, 20, 15, 26), (0, 0, 1, 1))},
        "b.png": {"mass": ((1, 2, 4, 6),)},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label,x\n", "there is no column height, width, y"),
        (HEADER + "a,b,1,2,3,4\na,b,1,?,3,4\n", r"(?s):3  y\s+is no number of pixels"),
        (HEADER + "a,b,1\n", r"(?s):2  y\s+is no number of pixels"),
    ],
)
def test_a_table_without_sense_is_told_by_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_boxes(path)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"boxes\.csv: cannot be read"):
        read_boxes(tmp_path / "boxes.csv")

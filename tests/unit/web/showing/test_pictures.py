import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, UltrasoundMultiFrameImageStorage

from dicomnode.errors import NotAnalysable, StoreError
from dicomnode.logbook import audit
from dicomnode.people.accounts import Role
from dicomnode.records import ResultKind
from dicomnode.storage.database import Database
from dicomnode.web.seen import Seen
from dicomnode.web.showing import pictures
from dicomnode.web.showing.pictures import Pictures
from dicomnode.web.site import Site
from dicomnode.worklist import arrivals
from tests.answered import PATIENT, answer, image_of, keep_image, make_image, result_of
from tests.factories import STUDY_UID, make_dataset, make_part10, uid, write_part10
from tests.running import until
from tests.web import client, make_site, nobody
from tests.worklist import NOW, after, make_arrival


@pytest.fixture
def drawing() -> Iterator[Pictures]:
    drawing = Pictures(painters=1)
    yield drawing
    drawing.close()


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url))
    yield site
    site.pictures.close()


def as_image(png: bytes) -> Image.Image:
    picture = Image.open(BytesIO(png))
    assert picture.format == "PNG"
    return picture


def receive(site: Site, image: Dataset, part10: bytes = b"") -> str:
    """Let an image be kept and known; where its picture is."""
    site.store.prepare()
    keep_image(site.store, image, part10)
    with site.database.transaction() as tx:
        arrivals.enter(tx, [make_arrival(ref=image_of(image))], now=NOW)
    return f"/pictures/{image.SOPInstanceUID}.png"


def noted(site: Site) -> list[tuple[str, str, str]]:
    with site.database.reading() as tx:
        return [(line.action, line.patient_id, line.detail) for _, line in audit.listed(tx)]


# --- drawn ----------------------------------------------------------------------------------


def test_a_frame_is_drawn_with_its_window_and_no_larger_than_asked(
    drawing: Pictures, tmp_path: Path
) -> None:
    ramp = np.tile(np.arange(0, 4000, 40, dtype="<u2"), (50, 1))
    image = make_dataset(rows=50, columns=100, PixelData=ramp.tobytes(), RescaleIntercept="0")
    image.WindowCenter, image.WindowWidth = 1000, 1000
    path = write_part10(image, tmp_path / "1.dcm")
    whole = as_image(drawing.draw(path, 1, 0).data)
    assert whole.size == (100, 50)
    row = np.asarray(whole)[25]
    assert (row[5], row[60]) == (0, 255)
    assert 100 < row[25] < 155, "the middle of the window is grey"
    assert as_image(drawing.draw(path, 1, 20).data).size == (20, 10)
    assert as_image(drawing.draw(path, 1, 500).data).size == (100, 50), "never enlarged"


def test_pixels_that_are_not_square_are_made_so(drawing: Pictures, tmp_path: Path) -> None:
    image = make_dataset(rows=20, columns=20, PixelSpacing=["2", "1"])
    path = write_part10(image, tmp_path / "1.dcm")
    assert as_image(drawing.draw(path, 1, 0).data).size == (20, 40)


def test_each_frame_has_its_own_picture(drawing: Pictures, tmp_path: Path) -> None:
    frames = np.zeros((3, 16, 16), dtype="<u2")
    frames[1] = 4095
    frames[:, 0, 0] = 4095
    image = make_dataset(
        SOPClassUID=UltrasoundMultiFrameImageStorage, NumberOfFrames=3, PixelData=frames.tobytes()
    )
    path = write_part10(image, tmp_path / "1.dcm")
    means = [np.asarray(as_image(drawing.draw(path, n, 0).data)).mean() for n in (1, 3)]
    assert max(means) < 10
    with pytest.raises(NotAnalysable, match="1 to 3"):
        drawing.draw(path, 4, 0)


def test_a_picture_is_drawn_once(
    drawing: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_part10(make_dataset(), tmp_path / "1.dcm")
    first = drawing.draw(path, 1, 8)
    drawing.close()
    monkeypatch.setattr("dicomnode.web.showing.pictures.subprocess.Popen", None)
    assert drawing.draw(path, 1, 8) is first


def test_no_more_pictures_are_kept_than_fit(
    drawing: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_part10(make_dataset(), tmp_path / "1.dcm")
    size = len(drawing.draw(path, 1, 8).data)
    monkeypatch.setattr(pictures, "_KEPT_BYTES", size)
    drawing.draw(path, 1, 9)
    assert sum(len(one.data) for one in drawing._kept.values()) == drawing._bytes <= size


# --- what must not take the page down -------------------------------------------------------


def test_a_frame_that_claims_more_than_it_may_is_refused(drawing: Pictures, tmp_path: Path) -> None:
    bomb = make_dataset(PixelData=b"\0\0")
    bomb.Rows = bomb.Columns = 65535
    path = write_part10(bomb, tmp_path / "1.dcm")
    with pytest.raises(NotAnalysable, match="exceeds"):
        drawing.draw(path, 1, 0)


def test_a_codestream_that_claims_more_than_the_image_is_refused(
    drawing: Pictures, tmp_path: Path
) -> None:
    out = BytesIO()
    Image.new("L", (4000, 4000)).save(out, "JPEG2000")
    bomb = make_dataset(PixelData=encapsulate([out.getvalue()]))
    bomb["PixelData"].VR = "OB"
    path = write_part10(bomb, tmp_path / "1.dcm", JPEG2000Lossless)
    with pytest.raises(NotAnalysable, match="not of the size"):
        drawing.draw(path, 1, 0)


def test_a_file_that_is_none_is_told_of_and_the_next_is_drawn(
    drawing: Pictures, tmp_path: Path
) -> None:
    nothing = tmp_path / "0.dcm"
    nothing.write_bytes(b"\xff" * 1000)
    with pytest.raises(NotAnalysable):
        drawing.draw(nothing, 1, 0)
    with pytest.raises(StoreError):
        drawing.draw(tmp_path / "gone.dcm", 1, 0)
    assert drawing.draw(write_part10(make_dataset(), tmp_path / "1.dcm"), 1, 8).data


def test_a_picture_that_takes_too_long_is_given_up_and_the_next_is_drawn(tmp_path: Path) -> None:
    path = write_part10(make_dataset(), tmp_path / "1.dcm")
    hasty = Pictures(painters=1, longest_s=0.001)
    with pytest.raises(NotAnalysable, match="too long to draw"):
        hasty.draw(path, 1, 0)
    for painter in list(hasty._free.queue):
        painter._longest_s = 60
    assert hasty.draw(path, 1, 0).data
    hasty.close()


def test_a_painter_has_so_much_memory_and_no_more() -> None:
    code = "from dicomnode.web.showing import painter; painter._limit(); bytes(3 << 30)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert "MemoryError" in done.stderr


# --- by the page ----------------------------------------------------------------------------


def test_pictures_of_images_and_of_results_are_given_to_who_may_see_them(site: Site) -> None:
    _, results = answer(site)
    image = image_of(make_image()).sop_instance_uid
    browser = client(site, Role.VIEWER)
    for name in (image, result_of(results, ResultKind.SC)):
        answered = browser.get(f"/pictures/{name}.png?size=64")
        assert max(as_image(answered.content).size) == 64
        assert answered.headers["cache-control"] == "private, no-store"
        again = browser.get(
            f"/pictures/{name}.png?size=64", headers={"if-none-match": answered.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
    assert nobody(site).get(f"/pictures/{image}.png").status_code == 401


def test_a_look_is_noted_once_and_not_for_each_picture(site: Site) -> None:
    there = receive(site, make_image())
    browser = client(site, Role.VIEWER)
    for size in (16, 32):
        assert browser.get(f"{there}?size={size}").status_code == 200
    assert noted(site) == [("study.seen", PATIENT, "picture")]


def test_the_pictures_of_a_page_are_part_of_that_look(site: Site) -> None:
    there = receive(site, make_image())
    browser = client(site, Role.VIEWER)
    browser.get(f"/studies/{STUDY_UID}")
    browser.get(there)
    assert noted(site) == [("study.seen", PATIENT, "")]


def test_what_cannot_be_drawn_is_told_in_its_place(site: Site) -> None:
    there = receive(site, make_image(), make_part10(make_dataset(PixelData=None)))
    browser = client(site, Role.VIEWER)
    answered = browser.get(there, headers={"accept": "image/avif,image/*"})
    assert answered.headers["content-type"] == "image/svg+xml"
    assert "the object has no pixel</tspan>" in answered.text
    assert browser.get(there).json() == {"problem": "the object has no pixel data"}
    assert answered.status_code == 422


@pytest.mark.parametrize("name", ["1.2.3", "..%2f..%2fworklist", uid("nowhere"), "1" * 300, "%00"])
def test_nothing_is_given_that_the_worklist_does_not_have(site: Site, name: str) -> None:
    assert client(site).get(f"/pictures/{name}.png").status_code in (404, 422)


def test_an_object_that_retention_removed_has_no_picture(site: Site) -> None:
    there = receive(site, make_image())
    browser: TestClient = client(site, Role.VIEWER)
    assert browser.get(there).status_code == 200
    site.store.remove_study(STUDY_UID)
    assert browser.get(there).status_code == 404


def test_who_looks_again_after_an_hour_is_noted_again() -> None:
    seen = Seen()
    assert [seen.is_new("ada", "1.2", now=after(at)) for at in (0, 3000, 3599, 3601)] == [
        *(True, False, False),
        True,
    ]
    assert seen.is_new("bob", "1.2", now=after(0))


def test_who_comes_when_many_wait_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_WAITING", 1)
    drawing = Pictures(painters=0)
    path = tmp_path / "object"
    path.touch()
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(drawing.draw, path, 1, 0)
        until(lambda: drawing._waiting._value == 0)
        with pytest.raises(pictures.Busy):
            drawing.draw(path, 1, 0)
        assert not waits.done()
        drawing._free.put(painter := pictures._Painter(30.0))
        with pytest.raises(NotAnalysable):
            waits.result()
        painter.close()

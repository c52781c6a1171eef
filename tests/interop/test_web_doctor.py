"""DCMTK's mistakes as the doctor sees them, in Chromium; and a pipeline tried on a radiograph."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.factories import make_dataset, write_part10
from tests.gallery.images import radiograph
from tests.pacs import free_port
from tests.tools import require
from tests.web_browser import Served, person, served


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Served]:
    require("chromium")
    require("dcmtk")
    with served(tmp_path, free_port()) as there:
        yield there


def run(there: Served, program: str, *options: str, file: Path | None = None) -> int:
    """A program of DCMTK against the node; its exit code."""
    port = str(there.node.settings.node.receive.port)
    command = [program, *options, "127.0.0.1", port, *([str(file)] if file else [])]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def wrong(page: Page, words: str) -> None:
    """It shows on top of the page, which nobody loads again."""
    expect(page.locator("#troubles")).to_contain_text(words)


def test_mistakes_of_dcmtk_are_told_live_with_what_helps(there: Served, tmp_path: Path) -> None:
    file = write_part10(make_dataset(), tmp_path / "1.dcm")
    changed = write_part10(make_dataset(StationName="OTHER"), tmp_path / "2.dcm")
    with person(there) as page:
        page.goto(f"{there.address}/associations")
        wrong(page, "Nothing went wrong.")
        assert run(there, "storescu", "-aet", "PACS", "-aec", "DICOMNOD", file=file)
        wrong(page, "Called AE DICOMNOD is not ours; did the sender mean DICOMNODE?")
        assert run(there, "findscu", "-W", "-aet", "PACS", "-aec", "DICOMNODE", "-k", "0010,0020")
        wrong(page, "No accepted presentation context for Modality Worklist")
        assert not run(there, "storescu", "-xt", "-aet", "PACS", "-aec", "DICOMNODE", file=file)
        run(there, "storescu", "-aet", "PACS", "-aec", "DICOMNODE", file=changed)
        wrong(page, "1 object refused: other images with the same SOP Instance UIDs")
        for _ in range(2):
            assert run(there, "echoscu", "-aet", "NEW_CT", "-aec", "DICOMNODE")
        wrong(page, "Calling AE NEW_CT is no peer")

        page.locator("#troubles").get_by_role("link", name="Look first").click()
        expect(page.locator('[name="v.ae_title"]')).to_have_value("NEW_CT")
        expect(page.locator('[name="v.host"]')).to_have_value("127.0.0.1")
        expect(page.locator('[type="checkbox"][name="v.may_send"]')).to_be_checked()
        page.go_back()
        page.locator("#troubles").get_by_role("button", name="Add NEW_CT as a peer").click()
        expect(page.get_by_role("heading", name="Peer new_ct")).to_be_visible()
        expect(page.get_by_text("These files are in force.")).to_be_visible()
        assert not run(there, "echoscu", "-aet", "NEW_CT", "-aec", "DICOMNODE")

        page.goto(f"{there.address}/associations")
        wrong(page, "`NEW_CT` was not known; it may send by now".replace("`", ""))


def test_a_radiograph_is_tried_before_anything_is_sent(there: Served, tmp_path: Path) -> None:
    file = write_part10(radiograph(1), tmp_path / "1.dcm")
    with person(there, "bob") as page:
        page.goto(f"{there.address}/try")
        page.get_by_label("DICOM files, or zips of them").set_input_files(str(file))
        page.get_by_role("button", name="Try it").click()
        expect(page.get_by_role("heading", name="Working")).to_be_visible()
        expect(page.get_by_role("row", name="cardiomegaly")).to_be_visible()
        picture = page.get_by_role("img", name="The picture as it would be sent").first
        expect(picture).to_have_js_property("complete", True)
        assert int(picture.evaluate("image => image.naturalWidth")) > 100
        page.get_by_text("Read it").first.click()
        expect(page.get_by_text("Imaging Measurement Report").first).to_be_visible()
        page.get_by_role("button", name="Remove it now").click()
        expect(page.get_by_role("heading", name="Try a pipeline")).to_be_visible()
    assert there.node.jobs() == []
    partial = there.node.settings.node.storage.folder / "partial"
    assert not list(partial.glob("trial.*"))

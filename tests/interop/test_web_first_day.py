"""An administrator's first day, in Chromium: a peer, a study, its result, a mistake, and back."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from pydicom import dcmread

from dicomnode.learn.synthetic import synthetic_dx
from tests.interop.test_deliver_dcmtk import storescp
from tests.pacs import free_port
from tests.running import until
from tests.tools import require
from tests.web_browser import LONG_MS, Served, person, served


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Served]:
    require("chromium")
    require("dcmtk")
    with served(tmp_path, free_port()) as there:
        yield there


def test_the_first_day(there: Served, tmp_path: Path) -> None:
    with storescp(tmp_path / "archive", "+xa") as archive, person(there) as page:
        add_the_archive(page, archive.port)
        results_go_to_the_archive(page)
        uid = a_study_comes(there, tmp_path)
        it_is_done_without_loading_again(page, uid)
        its_answers_are_looked_at(page)
        assert {dcmread(file).Modality for file in (tmp_path / "archive").iterdir()} == {"DX", "SR"}
        a_mistake_by_hand_is_told_and_mended(page, there)
        a_change_is_taken_back(page, there)


def add_the_archive(page: Page, port: int) -> None:
    """Configuration, Add a peer; a wrong word is told while it is typed."""
    page.get_by_role("link", name="Configuration").click()
    expect(page.get_by_text("These files are in force.")).to_be_visible()
    page.get_by_role("link", name="Add a peer").click()
    field(page, "Name").fill("archive")
    field(page, "AE title").fill("STORESCP")
    field(page, "Host").fill("127.0.0.1")
    field(page, "Port").fill("70000")
    expect(page.locator("[id='w.port']")).not_to_be_empty()
    field(page, "Port").fill(str(port))
    expect(page.locator("[id='w.port']")).to_be_empty()
    page.get_by_label(re.compile(r"^\s*May send")).check()
    page.get_by_role("button", name="Test: C-ECHO").click()
    expect(page.get_by_text("It hears us")).to_be_visible()
    save(page)


def results_go_to_the_archive(page: Page) -> None:
    page.get_by_role("link", name="Configuration").first.click()
    page.get_by_role("link", name="all").first.click()
    page.get_by_label("archive", exact=True).first.check()
    page.get_by_label("pacs", exact=True).first.uncheck()
    save(page)
    expect(page.get_by_text("These files are in force.")).to_be_visible()


def a_study_comes(there: Served, folder: Path) -> str:
    """DCMTK's storescu sends it; its Study Instance UID."""
    ds = synthetic_dx(401, ["cardiomegaly"], rows=512)
    ds.save_as(folder / "image.dcm", enforce_file_format=True)
    address = ["127.0.0.1", str(there.node.peer.port), str(folder / "image.dcm")]
    command = ["storescu", "-aet", "STORESCP", "-aec", "DICOMNODE", *address]
    subprocess.run(command, check=True, timeout=120)
    return str(ds.StudyInstanceUID)


def it_is_done_without_loading_again(page: Page, uid: str) -> None:
    """The worklist finds it; its page is opened once, and then only watched."""
    page.get_by_role("link", name="Worklist").click()
    page.get_by_label("Patient ID").first.fill("SYNTHETIC-401")
    page.get_by_role("link", name="SYNTHETIC-401").click()
    expect(page).to_have_url(re.compile(re.escape(uid)))
    page.evaluate("window.loadedOnce = true")
    expect(page.locator("#jobs .state").first).to_have_text("delivered")
    expect(page.locator("#answers")).to_contain_text("cardiomegaly")
    assert page.evaluate("window.loadedOnce")


def its_answers_are_looked_at(page: Page) -> None:
    """The capture over its image, more and less of it; the report as a tree."""
    slider = page.get_by_label(re.compile("^How much of it is seen"))
    over = page.locator("[id='over-1-1']")
    slider.first.fill("30")
    expect(over).to_have_css("opacity", "0.3")
    page.locator("[data-shows='over-1-1']").uncheck()
    expect(over).to_have_css("opacity", "0")
    page.locator("#jobs").get_by_role("link", name="Report").click()
    expect(page.locator(".tree")).to_contain_text("Cardiomegaly: Present")
    expect(page.get_by_role("link", name=re.compile("^Digital X-Ray Image")).first).to_be_visible()
    with page.expect_download() as got:
        page.get_by_role("link", name=re.compile("^DICOM file")).click()
    assert dcmread(got.value.path()).Modality == "SR"


def a_mistake_by_hand_is_told_and_mended(page: Page, there: Served) -> None:
    """Live, with the key and what it may be; the node goes on with what it had."""
    page.get_by_role("link", name="Configuration").click()
    file = there.node.config / "peers" / "archive.toml"
    good = file.read_text("utf-8")
    file.write_text(good.replace("may_send", "may_sned"), "utf-8")
    expect(page.get_by_text("The files are wrong.")).to_be_visible()
    expect(page.get_by_text("The node goes on with the last good ones.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("did you mean may_send?")).to_be_visible()
    file.write_text(good, "utf-8")
    expect(page.get_by_text("These files are in force.")).to_be_visible()


def a_change_is_taken_back(page: Page, there: Served) -> None:
    """Back to the first version that is known: results go to `pacs` again, and the node follows."""
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("cell", name="ada").first).to_be_visible()
    page.get_by_role("link", name="1", exact=True).click()
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("These files are in force.")).to_be_visible()
    assert not (there.node.config / "peers" / "archive.toml").exists()
    until(lambda: there.node.log.count("config.taken") >= 3, timeout_s=LONG_MS / 1000)


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(re.compile(rf"^\s*{label}")).first


def save(page: Page) -> None:
    """What changes is looked at before."""
    page.get_by_role("button", name="See what changes").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.")).to_be_visible()

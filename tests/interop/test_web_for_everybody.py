"""Every page as all people use it: axe-core's rules, a phone's width, a keyboard alone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.tools import require
from tests.web_browser import SIZES, Served, faults, log_in, person, too_wide
from tests.web_scene import PAGES, STUDY_UID, morning


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    require("chromium")
    with morning(tmp_path_factory.mktemp("morning")) as there:
        yield there


@pytest.fixture(scope="module")
def browser(there: Served) -> Iterator[Page]:
    with person(there) as page:
        yield page


def show(there: Served, page: Page, name: str) -> None:
    answer = page.goto(there.address + PAGES[name])
    assert answer is not None
    assert answer.status == 200
    expect(page.get_by_role("heading", level=1)).to_have_count(1)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_that_axe_finds_is_serious(there: Served, browser: Page, name: str) -> None:
    require("axe")
    show(there, browser, name)
    look_in_every_way(browser)


@pytest.mark.parametrize("name", ["Report", "Picture"])
def test_nor_is_it_in_what_a_study_leads_to(there: Served, browser: Page, name: str) -> None:
    require("axe")
    show(there, browser, "A study")
    browser.locator("#jobs").get_by_role("link", name=name).first.click()
    expect(browser.get_by_role("link", name="DICOM file")).to_be_visible()
    look_in_every_way(browser)


def look_in_every_way(browser: Page) -> None:
    """Wide and narrow, light and dark; nothing fades, as that would be judged half way."""
    for width, height in SIZES.values():
        browser.set_viewport_size({"width": width, "height": height})
        browser.emulate_media(color_scheme="light", reduced_motion="reduce")
        assert faults(browser) == []
        browser.emulate_media(color_scheme="dark", reduced_motion="reduce")
        assert faults(browser) == []
    assert too_wide(browser) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_it_without_sideways_scrolling(
    there: Served, browser: Page, name: str
) -> None:
    width, height = SIZES["phone"]
    browser.set_viewport_size({"width": width, "height": height})
    show(there, browser, name)
    assert too_wide(browser) == []


def test_a_study_is_sent_again_with_a_keyboard_alone(there: Served, browser: Page) -> None:
    """From the login by Tab, Enter and typing: worklist, study, a button of it, and out."""
    started = browser.context.browser
    assert started
    page = started.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    log_in(page, there.address, "bob", by_keyboard=True)
    tab_to(page, "Worklist")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{there.address}/studies")
    tab_to(page, "Patient ID")
    page.keyboard.type("SYNTHETIC-301")
    expect(page.get_by_role("heading", name="1 study")).to_be_visible()
    tab_to(page, "SYNTHETIC-301")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{there.address}/studies/{STUDY_UID}")
    tab_to(page, "Send again")
    page.keyboard.press("Enter")
    expect(page.locator("#jobs").get_by_role("status")).to_be_visible()
    tab_to(page, "Log out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_where_no_job_is_ticked_nothing_is_asked(there: Served, browser: Page) -> None:
    asked: list[str] = []
    browser.on("dialog", lambda dialog: asked.append(dialog.message))
    show(there, browser, "Worklist")
    browser.get_by_role("button", name="Retry").click()
    expect(browser.get_by_role("alert")).to_have_text("No job is ticked.")
    assert asked == []
    browser.get_by_role("checkbox", name="Job 1,").check()
    browser.get_by_role("button", name="Retry").click()
    expect(browser.get_by_text("job 1 is delivered; there is nothing to retry")).to_be_visible()
    assert asked == ["Retry: 1 ticked?"]


def tab_to(page: Page, name: str) -> None:
    """Tab until what has the focus is called so; and it must be seen where that is."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(_CALLED) == name:
            assert page.evaluate(_OUTLINED), f"{name} has the focus and does not show it"
            return
    raise AssertionError(f"80 times Tab did not come to {name!r}")


_CALLED = """() => {
  const { activeElement: at } = document;
  return (at.labels?.[0]?.innerText || at.innerText || at.value || "").trim();
}"""
_OUTLINED = """() => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
}"""


def test_how_many_are_found_is_seen_once(there: Served, browser: Page) -> None:
    browser.goto(f"{there.address}/studies")
    browser.get_by_role("searchbox").fill("nobody")
    expect(browser.locator("#counted")).to_have_text("0 studies")  # for who listens
    box = browser.locator("#counted").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (1, 1)


def test_no_word_of_a_small_picture_is_broken(there: Served, browser: Page) -> None:
    browser.goto(f"{there.address}/studies/{STUDY_UID}")
    broken = browser.locator(".tile").evaluate_all(
        """(tiles) => tiles.flatMap((tile) => {
          const text = tile.firstChild;
          return [...text.data.matchAll(/\\S+/g)].filter((word) => {
            const range = document.createRange();
            range.setStart(text, word.index);
            range.setEnd(text, word.index + word[0].length);
            return range.getClientRects().length > 1;
          }).map((word) => word[0]);
        })"""
    )
    assert broken == []

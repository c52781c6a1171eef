"""Each configuration that was in force is kept, and one goes back to it."""

from fastapi.testclient import TestClient

from dicomnode.web.site import Site
from tests.web_forms import PACS, confirm, hidden, look, pacs_file, save, trail


def test_one_goes_back_to_what_was_in_force(site: Site, browser: TestClient) -> None:
    confirm(browser, look(browser, "/configuration/peers/pacs", do="review", port="104"), "one")
    (site.config / "peers" / "new.toml").write_text(PACS)
    confirm(browser, look(browser, "/configuration/peers/pacs", do="review", port="105"), "two")
    versions = browser.get("/configuration/history").text
    assert versions.index("two") < versions.index("one") < versions.index("as it was found")

    page = browser.get("/configuration/history/1").text
    assert "<ins>+port = 4242</ins>" in page
    assert "+++ (removed)" in page
    assert confirm(browser, page, hidden(page, "words")) == 303

    assert pacs_file(site) == PACS
    assert not (site.config / "peers" / "new.toml").exists()
    assert trail(site)[0] == (
        "administrator configuration.rolled-back peers/new.toml removed, peers/pacs.toml changed: "
        "back to version 1"
    )
    assert "The files are like that now." in browser.get("/configuration/history/1").text
    assert browser.get("/configuration/history/99").status_code == 404


def test_what_was_added_and_removed_is_told_apart(site: Site, browser: TestClient) -> None:
    before = browser.get("/configuration/history").text
    assert "peers/new.toml" not in before
    assert save(browser, site, {"peers/new.toml": PACS})[0] == 303
    assert save(browser, site, {"peers/new.toml": None})[0] == 303

    rows = browser.get("/configuration/history").text.split("<tr>")

    assert ["removed" in rows[2], "added" in rows[3]] == [True, True]
    assert [row.count("as the files are now") for row in rows[2:]] == [1, 0, 0]
    assert "the same files as 3" in rows[4]
    assert [line.split(" ", 2)[2] for line in trail(site)] == [
        "peers/new.toml removed",
        "peers/new.toml added",
    ]


def test_who_goes_back_from_files_that_never_were_in_force_is_in_the_history(
    site: Site, browser: TestClient
) -> None:
    confirm(browser, look(browser, "/configuration/peers/pacs", do="review", port="104"), "moved")
    (site.config / "peers" / "pacs.toml").write_text("port = ")
    page = browser.get("/configuration/history/2").text
    assert confirm(browser, page, hidden(page, "words")) == 303

    text = browser.get("/configuration/history").text

    assert "back to version 2" in text
    assert "never in force" in text
    assert text.count("as the files are now") == 1

"""The configuration is changed by forms: checked, compared, confirmed, kept, and taken back."""

import pytest
from fastapi.testclient import TestClient

from dicomnode.config.load import load, read
from dicomnode.logbook import configurations, standing
from dicomnode.people.accounts import Role
from dicomnode.web.site import Site
from tests.web import client
from tests.web_forms import PACS, confirm, form, hidden, look, pacs_file, save, trail
from tests.worklist import NOW


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
@pytest.mark.parametrize("path", ["", "/node", "/peers/pacs", "/add/peers", "/history"])
def test_only_administrators_see_it(site: Site, role: Role, path: str) -> None:
    assert client(site, role).get(f"/configuration{path}").status_code == 403
    assert client(site, role).post("/configuration/save").status_code == 403


def test_the_page_tells_what_there_is_and_what_is_wrong(site: Site, browser: TestClient) -> None:
    assert "modality DX or CR" not in browser.get("/configuration").text
    (site.config / "pipelines" / "ct.toml").write_text(
        'destinations = ["pasc"]\nmodel = "<b>"\nmatch.modality = ["DX", "CR"]\n'
    )
    page = browser.get("/configuration").text
    assert "modality DX or CR" in page
    assert "there is no peers/pasc.toml; did you mean pacs?" in page
    assert "line 1" in page
    assert "The files are wrong." in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_a_peer_stands_as_today_says(site: Site, browser: TestClient) -> None:
    (site.config / "peers" / "ct.toml").write_text(
        'ae_title = "CT"\nhost = "127.0.0.1"\nport = 104\nmay_send = true\n'
    )
    assert "not asked yet" in browser.get("/configuration/peers/pacs").text
    with site.database.transaction() as tx:
        for peer in ("ct", "pacs"):
            standing.echoed(tx, peer, "nothing listens", now=NOW)
    words = {"pacs": "does not hear us", "ct": "only sends to us"}
    for path in ("/configuration", "/"):
        page = browser.get(path).text
        assert {name: page.count(f">{each}</span>") for name, each in words.items()} == {
            "pacs": 1,
            "ct": 1 if path == "/configuration" else 0,  # not in force yet
        }
    for name, each in words.items():
        assert f">{each}</span>" in browser.get(f"/configuration/peers/{name}").text


def test_where_nothing_can_be_saved_it_is_said_before(
    site: Site, browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nothing can be saved from here" not in browser.get("/configuration").text
    monkeypatch.setattr("os.access", lambda path, _mode: path.name != "peers")  # root may all
    page = browser.get("/configuration").text
    assert "Nothing can be saved from here" in page
    assert f"<code>{site.config / 'peers'}</code>" in page


def test_a_choice_is_offered_once_and_results_by_their_names(
    site: Site, browser: TestClient
) -> None:
    page = browser.get("/configuration/pipelines/all").text
    assert page.count(">demonstration (default)</option>") == 1
    assert ">demonstration</option>" not in page
    assert 'value="sr3d"> <span>Structured Report as Comprehensive 3D SR <code' in page
    assert page.index(">Kinds<") < page.index('value="ko"') < page.index(">Profiles: ")
    assert page.index(">Profiles: ") < page.index('value="ohif"')

    file = site.config / "pipelines" / "all.toml"
    file.write_text('destinations = ["pacs"]\nmodel = "demonstration"\n')
    page = browser.get("/configuration/pipelines/all").text

    assert page.count("<option selected>demonstration</option>") == 1
    assert "demonstration (default)" not in page
    answer = look(browser, "/configuration/pipelines/all", do="review")
    assert "Nothing would change." in answer


def test_a_form_that_is_sent_as_it_is_changes_nothing(browser: TestClient) -> None:
    for path in ("node", "peers/pacs", "pipelines/all"):
        answer = look(browser, f"/configuration/{path}", do="review")
        assert "Nothing would change." in answer, path


def test_what_is_typed_is_checked_at_its_field_and_not_saved(
    site: Site, browser: TestClient
) -> None:
    answer = look(browser, "/configuration/peers/pacs", port="70000")
    assert '<p data-at="w.port">must be less than 65536</p>' in answer
    assert "+port = 70000" in answer
    assert 'action="/configuration/save"' not in answer
    assert pacs_file(site) == PACS


def test_what_is_confirmed_is_saved_with_every_comment_kept_and_noted(
    site: Site, browser: TestClient
) -> None:
    review = look(browser, "/configuration/peers/pacs", do="review", port="104", may_send="yes")
    assert "<del>-port = 4242</del>" in review
    assert pacs_file(site) == PACS
    assert confirm(browser, review, "moved") == 303
    assert pacs_file(site) == PACS.replace("port = 4242", "port = 104").replace(
        "#may_send = false", "may_send = true"
    )
    assert trail(site)[0] == "administrator configuration.saved peers/pacs.toml changed: moved"
    with site.database.reading() as tx:
        new, old = configurations.listed(tx)
    assert (new.user, new.note, old.user) == ("administrator", "moved", "")
    assert new.files == read(site.config)
    assert old.files["peers/pacs.toml"] == PACS


def test_without_scripts_the_whole_page_comes_back(site: Site, browser: TestClient) -> None:
    page = browser.get("/configuration/peers/pacs").text
    data = form(page, port="70000") | {"do": ["review"], "csrf": [hidden(page, "csrf")]}
    del browser.headers["x-csrf-token"]
    answer = browser.post("/configuration/peers/pacs", data=data).text
    assert '<input type="number" id="v.port" name="v.port" value="70000"' in answer
    assert 'id="w.port"><p data-of="look">must be less than 65536</p>' in answer


def test_a_new_peer_needs_a_name_that_is_free(site: Site, browser: TestClient) -> None:
    path = "/configuration/add/peers?ae_title=XRAY1&host=10.0.0.7&may_send=yes"
    page = browser.get(path).text
    filled = form(page, port="104")
    assert filled["v.ae_title"] == ["XRAY1"]
    assert filled["v.may_send"] == ["yes"]
    assert "<ins>+ae_title = &#34;XRAY1&#34;</ins>" in page, "what comes of it is there at once"
    assert "Still to fill in:" in page

    def answer(name: str) -> str:
        return browser.post(path, data=filled | {"name": [name], "do": ["review"]}).text

    assert 'data-at="w.name">is missing' in answer("")
    assert 'data-at="w.name">a name has 1 to 64 letters' in answer("x/../y")
    assert 'data-at="w.name">exists already' in answer("pacs")
    assert confirm(browser, answer("xray")) == 303
    peer = load(site.config).peers["xray"]
    assert (peer.ae_title, peer.host, peer.port, peer.may_send) == ("XRAY1", "10.0.0.7", 104, True)
    assert "# Its AE title." in (site.config / "peers" / "xray.toml").read_text()


def test_new_is_the_name_of_what_is_not_there_yet(browser: TestClient) -> None:
    answer = browser.get("/configuration/peers/new?ae_title=X")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/configuration/add/peers?ae_title=X"


def test_what_is_only_not_filled_in_yet_is_no_mistake_while_one_types(browser: TestClient) -> None:
    typed = look(browser, "/configuration/add/peers", ae_title="X")
    assert "mistake" not in typed
    assert "Still to fill in" in typed
    assert "3 mistakes" not in typed
    assert "2 mistakes" in look(browser, "/configuration/add/peers", do="review", ae_title="X")


def test_somebody_who_was_faster_is_not_overwritten(site: Site, browser: TestClient) -> None:
    page = browser.get("/configuration/peers/pacs").text
    review = look(browser, "/configuration/peers/pacs", do="review", port="104")
    theirs = PACS.replace("4242", "11112")
    (site.config / "peers" / "pacs.toml").write_text(theirs)
    data = {name: hidden(review, name) for name in ("changes", "seen", "back")}

    answer = browser.post("/configuration/save", data=data)

    assert answer.status_code == 409
    assert "somebody has changed peers/pacs.toml since you looked" in answer.text
    assert "<del>-port = 11112</del>" in answer.text
    assert pacs_file(site) == theirs
    typed = browser.post("/configuration/peers/pacs", data=form(page, port="105")).text
    assert "Somebody has changed this file since you opened it" in typed
    assert confirm(browser, answer.text) == 303, "who has seen it may go on"
    assert load(site.config).peers["pacs"].port == 104


def test_nothing_wrong_is_ever_written(site: Site, browser: TestClient) -> None:
    before = read(site.config)
    for changes, why in (
        ({"peers/pacs.toml": "port = "}, "is not TOML"),
        ({"peers/pacs.toml": None}, "there is no peers/pacs.toml"),
        ({"node.toml": '[receive]\nport = "x"\n'}, "must be a whole number"),
        ({"node.toml": None}, "there is no node.toml here"),
        ({"peers/b.toml": PACS, "peers/c.toml": "port = 1\n"}, "is missing"),
    ):
        status, page = save(browser, site, changes)
        assert (status, why in page) == (422, True), (changes, page)
    for name in ("../evil.toml", "peers/../../evil.toml", "/etc/passwd", "peers/a/b.toml", "x"):
        assert save(browser, site, {name: "x = 1"})[0] in (404, 422)
    assert (
        browser.post("/configuration/save", data={"changes": "[1]", "seen": ""}).status_code == 422
    )
    assert read(site.config) == before
    assert trail(site) == []
    assert not list(site.config.rglob("*.new"))


def test_wrong_files_are_mended_one_by_one(site: Site, browser: TestClient) -> None:
    (site.config / "peers" / "pacs.toml").write_text("ae_title = PACS\n")
    node = site.config / "node.toml"
    node.write_text(node.read_text() + "[log]\nlevel = 'LOUD'\n")

    page = browser.get("/configuration/peers/pacs").text
    assert 'name="text"' in page, "a file that is no TOML can only be written as text"
    assert "is not TOML" in page
    data = {
        "opened": [hidden(page, "opened")],
        "text": [PACS.replace("\n", "\r\n")],
        "do": ["review"],
    }
    review = browser.post("/configuration/peers/pacs", data=data).text
    assert "Wrong in other files" in review
    assert confirm(browser, review) == 303
    assert pacs_file(site) == PACS
    with site.database.reading() as tx:
        assert configurations.newest(tx) is None, "it cannot be in force yet"
    assert (
        confirm(browser, look(browser, "/configuration/node", do="review", log__level="INFO"))
        == 303
    )
    assert load(site.config).node.log.level == "INFO"


def test_a_peer_is_renamed_wherever_it_is_named(site: Site, browser: TestClient) -> None:
    pipeline = site.config / "pipelines" / "all.toml"
    pipeline.write_text('destinations = ["pacs"]  # all\nresults_for = { pacs = ["legacy"] }\n')
    review = browser.post("/configuration/peers/pacs/rename", data={"new": "archive"}).text
    assert confirm(browser, review) == 303
    assert (site.config / "peers" / "archive.toml").read_text() == PACS
    assert not (site.config / "peers" / "pacs.toml").exists()
    assert pipeline.read_text() == (
        'destinations = ["archive"]  # all\nresults_for = { archive = ["legacy"] }\n'
    )
    answer = browser.post("/configuration/peers/archive/rename", data={"new": "a b"})
    assert answer.status_code == 422


def test_what_is_still_needed_is_not_removed(site: Site, browser: TestClient) -> None:
    answer = browser.post("/configuration/peers/pacs/remove").text
    assert "there is no peers/pacs.toml" in answer
    assert 'action="/configuration/save"' not in answer
    review = browser.post("/configuration/pipelines/all/remove").text
    assert "Studies that are under way in all" in review
    assert confirm(browser, review) == 303
    assert confirm(browser, browser.post("/configuration/peers/pacs/remove").text) == 303
    assert load(site.config).peers == {}
    assert browser.get("/configuration/peers/pacs").status_code == 404


def test_what_a_file_holds_is_shown_as_text_never_as_html(site: Site, browser: TestClient) -> None:
    evil = '"></textarea></pre><script>alert(1)</script>'
    peer = site.config / "peers" / "pacs.toml"
    peer.write_text(f"ae_title = 'X'\nport = 1\nhost = '{evil}'\n# {evil}\n")
    for path in ("", "/peers/pacs", "/peers/pacs?shown=text"):
        assert "<script>alert" not in browser.get(f"/configuration{path}").text
    assert "<script>alert" not in look(browser, "/configuration/peers/pacs", do="review", port="2")


def test_bytes_that_are_no_text_are_shown_and_mended(site: Site, browser: TestClient) -> None:
    (site.config / "peers" / "pacs.toml").write_bytes(PACS.encode() + b"# \xff\n")
    assert "is not UTF-8 text" in browser.get("/configuration").text
    page = browser.get("/configuration/peers/pacs?shown=text").text
    data = {"opened": [hidden(page, "opened")], "text": [PACS], "do": ["review"]}
    assert confirm(browser, browser.post("/configuration/peers/pacs", data=data).text) == 303
    assert pacs_file(site) == PACS


def test_an_address_that_names_no_file_is_not_there(browser: TestClient) -> None:
    for path in ("peers/nobody", "models/x", "add/models", "peers/a.b"):
        assert browser.get(f"/configuration/{path}").status_code in (404, 422), path

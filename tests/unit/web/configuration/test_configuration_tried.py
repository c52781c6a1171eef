"""What is filled in is tried, and it is said what is in force and what a change would do."""

from fastapi.testclient import TestClient

from dicomnode.config.load import digest_of, read
from dicomnode.logbook import configurations, standing
from dicomnode.logbook.standing import Node
from dicomnode.web.site import Site
from tests.factories import make_dataset, make_part10
from tests.pacs import free_port, listening, pacs
from tests.web_forms import PACS, form, look, pacs_file, trail
from tests.worklist import NOW, enter, make_ref


def test_a_peer_is_asked_as_it_is_filled_in(site: Site, browser: TestClient) -> None:
    with pacs() as fake:
        port = str(fake.peer.port)
        heard = look(browser, "/configuration/peers/pacs", do="test", port=port)
        assert "It hears us" in heard
        assert "PACS answers" in heard
        other = look(browser, "/configuration/peers/pacs", do="test", port=port, ae_title="PASC")
        assert "The peer has another AE title than PASC" in other
    silent = look(browser, "/configuration/peers/pacs", do="test", port=str(free_port()))
    assert "is the peer&#39;s DICOM service running" in silent
    with listening(lambda connection: connection.close()) as port_of_web:
        odd = look(browser, "/configuration/peers/pacs", do="test", port=str(port_of_web))
        assert "Something else than DICOM listens on 127.0.0.1" in odd
    assert pacs_file(site) == PACS


def test_rules_are_tried_on_the_last_studies(site: Site, browser: TestClient) -> None:
    for number, modality in ((1, "DX"), (2, "CT")):
        ref = make_ref("tried", number, study_uid=f"1.2.{number}")
        with site.database.transaction() as tx:
            enter(tx, number, ref=ref, study_uid=ref.study_uid, accession_number=f"A{number}")
        dataset = make_dataset(
            number,
            SOPInstanceUID=ref.sop_instance_uid,
            StudyInstanceUID=ref.study_uid,
            Modality=modality,
            PatientName="Nobody^Real",
        )
        path = site.store.path_of(ref.study_uid, ref.sop_instance_uid)
        path.parent.mkdir(parents=True)
        path.write_bytes(make_part10(dataset))
    rules = {"match__modality": "DX", "match__attributes": "PatientName"}
    answer = look(browser, "/configuration/pipelines/all", do="test", match__modality="DX")
    assert "<strong>1 of 2</strong> would have come into this pipeline" in answer
    assert "<code>modality</code> is CT" in answer
    page = browser.get("/configuration/pipelines/all").text
    data = form(page, **rules) | {"v.match.attributes=": ["Somebody"], "do": ["test"]}
    answer = browser.post("/configuration/pipelines/all", data=data).text
    assert "<code>attributes.PatientName</code> is another value" in answer
    assert "Nobody" not in answer
    assert trail(site)[0] == "administrator pipeline.tried all"


def test_it_is_said_what_is_in_force_and_what_waits_for_a_restart(
    site: Site, browser: TestClient
) -> None:
    def say(digest: str, *restart: str) -> str:
        node = Node(
            holder="us", version="1", port=1, started_at=NOW, seen_at=NOW, digest=digest,
            restart=restart,
        )  # fmt: skip
        with site.database.transaction() as tx:
            standing.report(tx, node)
        return browser.get("/configuration").text

    assert "No node has worked with this worklist yet" in browser.get("/configuration").text
    assert "about to take these files over" in say("another")
    assert "These files are in force." in say(digest_of(read(site.config)))
    answer = say(digest_of(read(site.config)), "receive.port")
    assert "counts after a restart" in answer
    assert "<code>receive.port</code>" in answer
    page = browser.get("/configuration/node").text
    port = page[page.index('id="f.receive.port"') :]
    assert "counts after a restart" in port[: port.index("<input")]


def test_a_wrong_file_is_shown_as_it_was_last_right_and_the_way_back_is_named(
    site: Site, browser: TestClient
) -> None:
    good = read(site.config)
    with site.database.transaction() as tx:
        configurations.remember(tx, good, "", "", now=NOW)
        node = Node(
            holder="us", version="1", port=1, started_at=NOW, seen_at=NOW, digest=digest_of(good)
        )
        standing.report(tx, node)
    peer = site.config / "peers" / "pacs.toml"
    peer.write_text(PACS.replace("#may_send = false", 'may_send = "yes'))

    page = browser.get("/configuration").text

    assert "shown as it was last right" in page
    assert '<code>PACS</code></td>\n      <td data-label="Address">127.0.0.1:4242</td>' in page
    assert '<a href="/configuration/history/1">Back to the last good ones</a>' in page
    (site.config / "peers" / "new.toml").write_text("port = ")
    page = browser.get("/configuration").text
    assert "shown as far as it can be read" in page
    assert 'data-label="May send">not readable<' in page


def test_the_line_that_is_no_toml_is_named_for_the_editor(site: Site, browser: TestClient) -> None:
    (site.config / "peers" / "pacs.toml").write_text(PACS.replace('"127.0.0.1"', '"127.0.0.1'))
    page = browser.get("/configuration/peers/pacs").text
    assert 'data-lines="lines"' in page
    words = "Line 3: is not TOML: a closing quote is missing"
    assert f'<p data-at="w.text" data-line="3">{words}</p>' in page


def test_who_changes_the_page_itself_is_told(browser: TestClient) -> None:
    assert "starts again" in look(browser, "/configuration/node", web__port="8081", web__on="yes")
    page = browser.get("/configuration/node").text
    sent = form(page) | {"v.web.on": ["yes"]}
    assert "starts again" in browser.post("/configuration/node", data=sent).text
    assert "starts again" not in look(browser, "/configuration/node", log__level="DEBUG")


def test_who_turns_the_page_off_is_told(site: Site, browser: TestClient) -> None:
    node = site.config / "node.toml"
    node.write_text(node.read_text().replace("on = false", "on = true"))
    sent = form(browser.get("/configuration/node").text)
    del sent["v.web.on"]
    assert "turns the page off" in browser.post("/configuration/node", data=sent).text

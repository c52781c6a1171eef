"""The page of associations, and its interface."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from dicomnode.config.load import load
from dicomnode.errors import Trouble
from dicomnode.logbook import associations, audit, configurations
from dicomnode.logbook.associations import Ended
from dicomnode.people.accounts import Role
from dicomnode.records import Visit, VisitState
from dicomnode.storage.database import Database
from dicomnode.web.site import Site
from tests.web import client, make_site, nobody
from tests.web_forms import confirm

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url), lambda: NOON)
    yield site
    site.database.close()


def put(site: Site, trouble: Trouble | None, hours: float = 1, **changes: object) -> None:
    told: dict[str, object] = {
        "state": VisitState.REJECTED if trouble else VisitState.RELEASED,
        "address": "10.0.0.7",
        "calling_ae": "CT1",
        "called_ae": "DICOMNOD",
        "trouble": trouble,
    }
    at = NOON - timedelta(hours=hours)
    visit = Visit(**(told | changes))  # type: ignore[arg-type]
    with site.database.transaction() as tx:
        associations.write(tx, [Ended(visit=visit, at=at, ended_at=at)])


def page(site: Site, query: str = "", role: Role = Role.ADMINISTRATOR) -> str:
    answer = client(site, role).get(f"/associations{query}")
    assert answer.status_code == 200
    return unescape(answer.text)


def test_nobody_sees_it_without_a_login(site: Site) -> None:
    for path in ("/associations", "/associations/live", "/api/associations"):
        assert nobody(site).get(path).status_code == 401


def test_where_nobody_called_it_is_said(site: Site) -> None:
    assert "Nobody has called yet." in page(site)
    assert "No association is like that." in page(site, "?ae=CT9")


def test_an_association_without_objects_may_have_been_a_c_echo(site: Site) -> None:
    put(site, None, stored=2)
    assert "as with a C-ECHO" not in page(site)
    put(site, None)
    assert page(site).count("no object came, as with a C-ECHO") == 1


def test_what_went_wrong_is_on_top_with_its_remedy(site: Site) -> None:
    put(site, Trouble.CALLED_AE)
    text = page(site)
    assert "did the sender mean <code>DICOMNODE</code>?" in text
    assert "set the called (remote) AE title to <code>DICOMNODE</code>" in text
    assert text.index("last 24 hours") < text.index("did the sender mean")


def test_what_went_wrong_earlier_is_only_in_the_list(site: Site) -> None:
    put(site, Trouble.CALLED_AE, hours=25)
    put(site, Trouble.HUNG_UP, state=VisitState.NO_REQUEST)
    text = page(site)
    assert "Nothing went wrong." in text
    assert "did the sender mean" in text


def added(site: Site, ae_title: str, address: str = "10.0.0.7") -> tuple[int, str]:
    """The status, and the page that the click leads to."""
    data = {"ae_title": ae_title, "address": address}
    answer = client(site).post("/associations/peer", data=data)
    return answer.status_code, answer.headers.get("location", "")


def test_an_administrator_adds_a_peer_by_one_click_and_a_viewer_does_not(site: Site) -> None:
    put(site, Trouble.CALLING_AE, calling_ae="NEW")
    button = "Add NEW as a peer that may send"
    assert button in page(site)
    assert button not in page(site, role=Role.OPERATOR)
    for role in (Role.VIEWER, Role.OPERATOR):
        data = {"ae_title": "NEW", "address": "10.0.0.7"}
        assert client(site, role).post("/associations/peer", data=data).status_code == 403

    assert added(site, "NEW") == (303, "/configuration/peers/new?saved=added")

    peer = load(site.config).peers["new"]
    assert (peer.ae_title, peer.host, peer.port, peer.may_send) == ("NEW", "10.0.0.7", 0, True)
    text = (site.config / "peers" / "new.toml").read_text()
    since = "its association of 2026-03-01 11:00:00 UTC"
    assert f"# Added from {since}, refused as unknown.\n" in text
    assert "# May it send images to us?" in text, "the file is commented like any other"
    with site.database.reading() as tx:
        newest = configurations.newest(tx)
        _, deed = audit.listed(tx)[0]
    assert newest is not None
    assert (newest.user, newest.note) == ("administrator", f"added from {since}")
    assert (deed.user, deed.action) == ("administrator", "configuration.saved")
    assert added(site, "NEW") == (303, "/configuration/peers/new?saved=added")
    assert set(load(site.config).peers) == {"pacs", "new"}, "a second click adds nothing"


def test_a_peer_that_was_added_is_taken_back(site: Site) -> None:
    put(site, Trouble.CALLING_AE, calling_ae="NEW")
    browser = client(site)
    told = browser.get(added(site, "NEW")[1]).text
    assert "Added: <code>NEW</code> may send" in told
    number = told.split('href="/configuration/history/')[1].split('"')[0]
    assert confirm(browser, browser.get(f"/configuration/history/{number}").text) == 303
    assert set(load(site.config).peers) == {"pacs"}


def test_a_caller_gets_a_name_that_no_file_has(site: Site) -> None:
    put(site, Trouble.CALLING_AE, calling_ae="Pacs")
    assert added(site, "Pacs") == (303, "/configuration/peers/pacs_2?saved=added")


def test_nobody_is_added_who_was_not_refused_as_unknown(site: Site) -> None:
    put(site, Trouble.CALLED_AE, calling_ae="NEW")
    put(site, Trouble.CALLING_AE, calling_ae="OTHER")
    assert added(site, "NEW") == (404, "")
    assert added(site, "OTHER", "10.0.0.8") == (404, "")
    assert added(site, "other") == (404, "")


def test_who_looks_first_sees_the_form_filled_in(site: Site) -> None:
    put(site, Trouble.CALLING_AE, calling_ae="NEW")
    link = "/configuration/add/peers?name=new&ae_title=NEW&host=10.0.0.7&may_send=on"
    assert f'href="{link}">Look first' in page(site)
    form = client(site).get(link).text
    assert 'value="NEW"' in form
    assert 'value="10.0.0.7"' in form


def test_hostile_names_are_shown_and_nothing_more(site: Site) -> None:
    put(site, Trouble.CALLING_AE, calling_ae="<b>`x", called_ae="DICOMNODE")
    text = client(site).get("/associations").text
    assert "<b>" not in text
    assert "&lt;b&gt;" in text


def test_the_list_is_filtered_and_paged(site: Site) -> None:
    for number in range(60):
        put(site, None, calling_ae=f"CT{number}")
    put(site, Trouble.OBJECTS, calling_ae="MR", state=VisitState.RELEASED, refusals={"Conflict": 1})
    text = page(site)
    assert ">MR<" in text
    assert ">CT11<" in text
    assert ">CT10<" not in text
    older = text.split('href="/associations?before=')[1].split('"')[0]
    text = page(site, f"?before={older}")
    assert ">CT10<" in text
    assert ">CT11<" not in text
    assert ">CT5<" not in page(site, "?outcome=trouble")
    assert ">CT5<" in page(site, "?ae=ct5")
    assert client(site).get("/associations?outcome=odd").status_code == 422


def test_the_interface_tells_the_same(site: Site) -> None:
    put(site, None, stored=3)
    put(site, Trouble.CONTEXTS, refused_contexts={"1.2": ("1.3",)})
    script = client(site, Role.VIEWER)
    first = script.get("/api/associations?limit=1").json()
    [row] = first["associations"]
    assert row["trouble"] == "contexts"
    assert row["refused_contexts"] == [{"sop_class_uid": "1.2", "transfer_syntax_uids": ["1.3"]}]
    assert row["fix"]
    rest = script.get(f"/api/associations?before={first['next']}").json()
    assert [each["stored"] for each in rest["associations"]] == [3]
    assert rest["next"] is None
    [wrong] = script.get("/api/associations/troubles").json()
    assert wrong["id"] == row["id"]

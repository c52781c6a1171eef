"""The page of associations, and its interface."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from dicomnode.errors import Trouble
from dicomnode.logbook import associations
from dicomnode.logbook.associations import Ended
from dicomnode.people.accounts import Role
from dicomnode.records import Visit, VisitState
from dicomnode.storage.database import Database
from dicomnode.web.site import Site
from tests.web import client, make_site, nobody

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


def test_an_administrator_adds_a_peer_by_one_click_and_a_viewer_does_not(site: Site) -> None:
    put(site, Trouble.CALLING_AE, calling_ae="NEW")
    link = "/configuration/add/peers?name=new&ae_title=NEW&host=10.0.0.7&port=104&may_send=on"
    assert link in page(site)
    assert link not in page(site, role=Role.VIEWER)
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

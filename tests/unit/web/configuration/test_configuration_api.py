"""The configuration for scripts: the same checks and the same files as on the page."""

import json

import pytest
from fastapi.testclient import TestClient

from dicomnode.config.load import load, read
from dicomnode.logbook import configurations
from dicomnode.people.accounts import Role
from dicomnode.web.site import Site
from tests.pacs import free_port, pacs
from tests.web import client
from tests.web_forms import PACS, pacs_file

XRAY = {"ae_title": "XRAY1", "host": "10.0.0.7", "port": 104, "may_send": True}
KEYS = ("ae_title", "host", "port", "may_send")


@pytest.fixture
def script(site: Site) -> TestClient:
    return client(site)


CALLS = [
    ("GET", "peers"),
    ("PUT", "peers/x"),
    ("DELETE", "peers/pacs"),
    ("POST", "peers/pacs/echo"),
    ("GET", "pipelines/all"),
    ("POST", "pipelines/all/try"),
    ("GET", "node"),
    ("PATCH", "node"),
    ("GET", "configuration"),
    ("GET", "configuration/history"),
    ("POST", "configuration/rollback/1"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_only_administrators_may_call(site: Site, method: str, path: str) -> None:
    for role in (Role.VIEWER, Role.OPERATOR):
        assert client(site, role).request(method, f"/api/{path}", json={}).status_code == 403


def test_a_peer_is_made_read_changed_and_removed(site: Site, script: TestClient) -> None:
    assert script.get("/api/peers/xray").status_code == 404
    made = script.put("/api/peers/xray?words=new room", json=XRAY)
    assert made.status_code == 200
    assert {key: made.json()[key] for key in KEYS} == XRAY
    assert made.json()["timeout_s"] == 30.0
    assert load(site.config).peers["xray"].ae_title == "XRAY1"
    assert set(script.get("/api/peers").json()) == {"pacs", "xray"}
    changed = script.put("/api/peers/xray", json=XRAY | {"timeout_s": 5})
    assert changed.json()["timeout_s"] == 5.0
    script.put("/api/peers/xray", json=XRAY)
    assert script.get("/api/peers/xray").json()["timeout_s"] == 30.0, "left out: the default"
    assert script.delete("/api/peers/xray").status_code == 204
    assert script.delete("/api/peers/xray").status_code == 404
    with site.database.reading() as tx:
        assert [each.note for each in configurations.listed(tx)][-2:] == [
            "new room",
            "as it was found",
        ]


def test_what_a_script_changes_keeps_every_comment(site: Site, script: TestClient) -> None:
    sent = script.get("/api/peers/pacs").json() | {"port": 104}
    assert script.put("/api/peers/pacs", json=sent).status_code == 200
    assert pacs_file(site) == PACS.replace("port = 4242", "port = 104")


def test_each_mistake_is_told_by_itself(site: Site, script: TestClient) -> None:
    answer = script.put("/api/peers/xray", json={"port": 70000, "hots": "a", "ae_title": None})
    assert answer.status_code == 422
    told = {each["key"]: each["problem"] for each in answer.json()["mistakes"]}
    assert told["port"] == "must be less than 65536"
    assert told["hots"] == "is not known; did you mean host?"
    assert told["ae_title"].startswith("is missing")
    assert "peers/xray.toml" in answer.json()["problem"]
    sent = {"destinations": ["pasc"], "match": {"modality": "DX"}, "results": []}
    answer = script.put("/api/pipelines/ct", json=sent)
    told = {each["key"]: each["problem"] for each in answer.json()["mistakes"]}
    assert set(told) == {"destinations[0]", "match.modality", "results"}
    assert set(read(site.config)) == {"node.toml", "peers/pacs.toml", "pipelines/all.toml"}


@pytest.mark.parametrize("sent", [[], 3, None, "x"])
def test_what_is_no_object_is_refused(script: TestClient, sent: object) -> None:
    assert script.put("/api/peers/x", json=sent).status_code == 422


@pytest.mark.parametrize("value", ["\ud800", "\x00", {"a": None}, [None], 1e400, 10**30])
def test_odd_values_are_refused_in_words(script: TestClient, value: object) -> None:
    answer = script.put(
        "/api/peers/x",
        content=f'{{"ae_title": "X", "port": 1, "host": {_json(value)}}}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["problem"]


def _json(value: object) -> str:
    return json.dumps(value).replace("Infinity", "1e400")


def test_who_read_an_older_file_does_not_overwrite_a_newer(site: Site, script: TestClient) -> None:
    read_at = script.get("/api/peers/pacs")
    tag = read_at.headers["etag"]
    theirs = PACS.replace("4242", "11112")
    (site.config / "peers" / "pacs.toml").write_text(theirs)
    answer = script.put("/api/peers/pacs", json=read_at.json(), headers={"if-match": tag})
    assert answer.status_code == 412
    assert script.delete("/api/peers/pacs", headers={"if-match": tag}).status_code == 412
    assert pacs_file(site) == theirs
    made = script.put("/api/peers/pacs", json=XRAY, headers={"if-none-match": "*"})
    assert made.status_code == 412
    now = script.get("/api/peers/pacs")
    headers = {"if-match": now.headers["etag"]}
    kept = script.put("/api/peers/pacs", json=now.json() | {"port": 5}, headers=headers)
    assert kept.status_code == 200
    assert kept.headers["etag"] != headers["if-match"]


def test_a_part_of_the_node_is_changed_and_the_rest_stays(site: Site, script: TestClient) -> None:
    before = read(site.config)["node.toml"]
    answer = script.patch("/api/node", json={"log": {"level": "DEBUG"}, "deliver": {"batch": 7}})
    assert answer.status_code == 200
    assert answer.json()["log"]["level"] == "DEBUG"
    assert read(site.config)["node.toml"].startswith(before)
    answer = script.patch("/api/node", json={"log": {"level": None}})
    assert answer.json()["log"]["level"] == "INFO"
    assert answer.json()["deliver"]["batch"] == 7
    assert script.patch("/api/node", json={"receive": {"prot": 1}}).status_code == 422
    assert script.get("/api/node").headers["etag"] == answer.headers["etag"]


def test_a_pipeline_is_made_and_read_whole(site: Site, script: TestClient) -> None:
    sent = {
        "destinations": ["pacs"],
        "results_for": {"pacs": ["legacy"]},
        "match": {"modality": ["CT"], "attributes": {"StationName": ["A", "B"]}},
        "complete": {"quiet_s": 3},
    }
    assert script.put("/api/pipelines/ct", json=sent).status_code == 200
    got = script.get("/api/pipelines/ct").json()
    assert got["match"]["attributes"] == {"StationName": ["A", "B"]}
    assert script.put("/api/pipelines/ct", json=got).json() == got
    assert set(script.get("/api/pipelines").json()) == {"all", "ct"}
    assert script.delete("/api/peers/pacs").status_code == 422
    assert script.delete("/api/pipelines/ct").status_code == 204


def test_history_is_read_and_gone_back_in(site: Site, script: TestClient) -> None:
    script.put("/api/peers/pacs?words=one", json=XRAY)
    versions = script.get("/api/configuration/history").json()
    assert [each["note"] for each in versions] == ["one", "as it was found"]
    assert versions[0]["changed"] == ["peers/pacs.toml"]
    assert "+port = 104" in versions[0]["difference"]
    back = script.post(f"/api/configuration/rollback/{versions[1]['id']}")
    assert back.json()["files"] == ["peers/pacs.toml"]
    assert pacs_file(site) == PACS
    assert script.post("/api/configuration/rollback/99").status_code == 404
    assert len(script.get("/api/configuration/history?limit=1").json()) == 1


def test_a_wrong_file_is_told(site: Site, script: TestClient) -> None:
    (site.config / "peers" / "pacs.toml").write_text("port = 1")
    state = script.get("/api/configuration").json()
    assert not state["in_force"]
    assert {each["key"] for each in state["mistakes"]} == {"ae_title", "host"}
    assert script.get("/api/peers/pacs").status_code == 422
    (site.config / "peers" / "pacs.toml").write_text("port = ")
    assert script.put("/api/peers/pacs", json=XRAY).json()["problem"].endswith("mend its text")


def test_a_peer_is_asked_as_it_is_saved_or_as_it_is_sent(script: TestClient) -> None:
    with pacs() as fake:
        sent = {"ae_title": "PACS", "host": "127.0.0.1", "port": fake.peer.port}
        assert script.post("/api/peers/nobody/echo", json=sent).json()["ok"]
        other = sent | {"ae_title": "PASC"}
        answer = script.post("/api/peers/pacs/echo", json=other).json()
        assert "another AE title than PASC" in answer["advice"]
    script.put("/api/peers/pacs", json=sent | {"port": free_port()})
    answer = script.post("/api/peers/pacs/echo").json()
    assert not answer["ok"]
    assert script.post("/api/peers/nobody/echo").status_code == 404
    assert script.post("/api/peers/pacs/echo", json={}).status_code == 422


def test_rules_are_tried_without_being_saved(script: TestClient) -> None:
    sent = {"destinations": ["pacs"], "match": {"modality": ["CT"]}}
    assert script.post("/api/pipelines/x/try", json=sent).json() == []
    assert script.post("/api/pipelines/all/try").json() == []


def test_names_lead_nowhere_else(script: TestClient) -> None:
    for name in ("..%2Fx", "a.b", "%00", "a" * 65):
        assert script.put(f"/api/peers/{name}", json=XRAY).status_code in (404, 422)

from pathlib import Path
from typing import Any

import pytest

from dicomnode.classify.card.folder import SHIPPED, read_model
from dicomnode.people.accounts import Role
from dicomnode.records import WithdrawalReason
from dicomnode.storage.database import Database
from dicomnode.web.site import Site
from dicomnode.worklist import recall
from tests.cli import configure
from tests.tiny_model import make_model
from tests.web import client, make_site, nobody
from tests.worklist import MODEL, delivered_job

CARD = read_model(SHIPPED / "demonstration")


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Site:
    return make_site(tmp_path, Database(sqlite_url))


def with_models(site: Site, folder: Path, pipeline: str = "") -> Path:
    """The folder whose models the node may use from now on."""
    folder.mkdir(exist_ok=True)
    node = f'[classify]\nmodels = ["{folder}"]\n'
    configure(site.config.parent, node=node, pipeline=pipeline)
    return folder


def told(site: Site) -> dict[str, dict[str, Any]]:
    answer = client(site, Role.VIEWER).get("/api/models").json()
    return {each["model"] or each["folder"]: each for each in answer["models"]}


def test_a_model_says_what_it_is_for_and_how_well_it_was_measured_to_do(site: Site) -> None:
    page = client(site, Role.VIEWER).get("/models").text
    for words in (CARD.tag, CARD.disclaimer, CARD.intended_use, "nodule", "Measured on 800 images"):
        assert words in page
    assert "0.987 <small>(0.966-0.995)</small>" in page  # sensitivity for a nodule
    assert f"dicomnode results recall --model {CARD.tag}" in page


def test_who_uses_it_is_told_with_what_it_is_called_by(site: Site, tmp_path: Path) -> None:
    models = with_models(site, tmp_path / "models", 'model = "tiny"\nshadow = ["demonstration"]\n')
    tiny = make_model(models / "tiny", name="tiny")
    found = told(site)
    assert list(found) == [CARD.tag, tiny.tag]
    assert (found[tiny.tag]["pipelines"], found[tiny.tag]["shadowed"]) == (["all"], [])
    assert (found[CARD.tag]["pipelines"], found[CARD.tag]["shadowed"]) == ([], ["all"])


def test_a_model_that_is_gone_can_still_be_recalled(site: Site) -> None:
    with site.database.transaction() as tx:
        delivered_job(tx)
    gone = told(site)[MODEL]
    assert (gone["folder"], gone["card"], gone["use"]["jobs"]) == ("", None, 1)
    assert gone["to_recall"] == f"dicomnode results recall --model {MODEL}"
    page = client(site, Role.VIEWER).get("/models").text
    assert "no longer here" in page
    assert "1 job<" in page


def test_today_leads_from_what_answered_last_to_its_card(site: Site) -> None:
    with site.database.transaction() as tx:
        delivered_job(tx, pipelines={"all": 0})
    assert f'<a href="/models">{MODEL}</a>' in client(site, Role.VIEWER).get("/").text


def test_a_recalled_model_says_so_and_how_it_is_reinstated(site: Site) -> None:
    with site.database.transaction() as tx:
        recall.stop(tx, CARD.tag, WithdrawalReason.SAFETY, now=site.now())
    found = told(site)[CARD.tag]
    assert found["recalled"]["reason"] == "safety"
    assert found["to_recall"] == ""
    page = client(site, Role.VIEWER).get("/models").text
    assert "(safety): it gives no results any more" in page
    assert f"dicomnode results reinstate --model {CARD.tag}" in page


def test_a_card_that_is_wrong_hides_no_other(site: Site, tmp_path: Path) -> None:
    models = with_models(site, tmp_path / "models")
    (models / "broken").mkdir()
    (models / "broken" / "model.toml").write_text('name = "broken"\n')
    found = told(site)
    assert "version: Field required" in found["broken"]["problem"]
    assert found["broken"]["to_recall"] == ""
    assert CARD.tag in found


def test_a_folder_of_models_that_is_not_there_is_told(site: Site, tmp_path: Path) -> None:
    with_models(site, tmp_path / "models").rmdir()
    page = client(site, Role.VIEWER).get("/models").text
    assert "is no folder; it should hold one folder a model" in page
    assert CARD.tag in page


def test_a_name_with_a_space_is_quoted_in_the_command(site: Site, tmp_path: Path) -> None:
    models = with_models(site, tmp_path / "models")
    make_model(models / "tiny", name="tiny model", version="1")
    assert told(site)["tiny model@1"]["to_recall"].endswith("--model 'tiny model@1'")


def test_nobody_sees_models_without_a_login(site: Site) -> None:
    assert nobody(site).get("/models").status_code == 401
    assert nobody(site).get("/api/models").status_code == 401

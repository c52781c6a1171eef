"""What a model's card says of its use stands wherever the page shows the model or its answers."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.classify.card.folder import SHIPPED, read_card
from dicomnode.people.accounts import Role
from dicomnode.records import ResultKind
from dicomnode.storage.database import Database
from dicomnode.web import cards
from dicomnode.web.cards import Cards
from dicomnode.web.site import Site
from dicomnode.web.trials.trials import Trials
from tests.answered import answer, image_of, make_image, result_of
from tests.factories import STUDY_UID, make_dataset, make_part10
from tests.running import until
from tests.web import client, make_site
from tests.worklist import not_analysed_job

SAID = "Demonstration, not for clinical use"
OURS = "demonstration@1.0.0"  #: an older version than the one that ships
NOW = read_card(SHIPPED / "demonstration").tag


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url))
    yield site
    site.pictures.close()
    site.trials.close()


def shown(site: Site, path: str, role: Role = Role.ADMINISTRATOR) -> str:
    browser = client(site, role)
    del browser.headers["x-csrf-token"]
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text.split("<main", 1)[1]


@pytest.mark.parametrize("path", ["/", "/try", "/configuration", "/configuration/pipelines/all"])
def test_before_any_image_came_it_is_said_of_the_pipeline(site: Site, path: str) -> None:
    assert SAID in shown(site, path)


def test_a_new_pipeline_says_it_of_the_model_that_it_begins_with(site: Site) -> None:
    assert SAID in shown(site, "/configuration/add/pipelines")
    assert SAID not in shown(site, "/configuration/add/peers")


def test_it_follows_the_model_that_somebody_chooses(site: Site, tmp_path: Path) -> None:
    install(site, tmp_path / "models", "other", "Not cleared for clinical use")
    browser = client(site)
    form = {"v.model": "other", "v.destinations": "pacs", "opened": ""}
    part = browser.post("/configuration/pipelines/all", data=form)
    assert "Not cleared for clinical use" in part.text
    assert SAID not in part.text


def test_each_view_of_an_answer_says_it(site: Site) -> None:
    _, results = answer(site)
    report = result_of(results, ResultKind.SR)
    image = f"/studies/{STUDY_UID}/images/{image_of(make_image()).sop_instance_uid}"
    for path in ("/", "/studies", f"/studies/{STUDY_UID}", image, f"/results/{report}"):
        assert SAID in shown(site, path, Role.VIEWER), path


def test_the_study_says_for_what_the_model_is_and_whether_it_is_calibrated(site: Site) -> None:
    answer(site)
    page = shown(site, f"/studies/{STUDY_UID}", Role.VIEWER)
    assert "It was trained on drawings, not on people." in page
    assert "Probabilities are not calibrated." in page


def test_a_study_that_was_not_analysed_says_nothing_of_a_model_in_the_worklist(site: Site) -> None:
    with site.database.transaction() as tx:
        not_analysed_job(tx)
    assert SAID not in shown(site, "/studies")


@pytest.mark.parametrize(
    ("model", "on"),
    [(NOW, "calibrated on: synthetic radiographs, drawn"), (OURS, "on what data is not known")],
)
def test_a_trial_says_it_too_and_on_what_the_model_was_calibrated(
    site: Site, model: str, on: str
) -> None:
    score = {"probability": 0.75, "presence": "present", "threshold": 0.5, "calibrated": True}
    study = {"study_uid": "1.2.3", "images": 1, "objects": 1, "model": model}
    study |= {"findings": {"nodule": score}, "cause": None, "problem": "", "results": []}
    told = json.dumps({"objects": 1, "unreadable": 0, "missed": {}, "studies": [study]})
    script = f"import sys, pathlib; pathlib.Path(sys.argv[1]).mkdir(); print({told!r})"
    python = [sys.executable, "-c", script]
    site = replace(site, trials=Trials(lambda _config, _name, _images, out: [*python, str(out)]))
    site.store.prepare()
    browser = client(site)
    files = [("files", ("a.dcm", make_part10(make_dataset())))]
    number = browser.post("/api/try", data={"pipeline": "all"}, files=files).json()["id"]
    until(lambda: not browser.get(f"/api/try/{number}").json()["running"])
    page = shown(site, f"/try/{number}")
    site.trials.close()
    assert SAID in page
    assert on in page


# --- cards ----------------------------------------------------------------------------------


def install(site: Site, folder: Path, name: str, disclaimer: str) -> Path:
    """A model with a card alone; returns the card."""
    card = folder / name / "model.toml"
    card.parent.mkdir(parents=True, exist_ok=True)
    text = (SHIPPED / "demonstration" / "model.toml").read_text("utf-8")
    text = text.replace('name = "demonstration"', f'name = "{name}"', 1)
    card.write_text(text.replace(SAID, disclaimer, 1), "utf-8")
    file = site.config / "node.toml"
    if "[classify]" not in (said := file.read_text()):
        file.write_text(f'{said}\n[classify]\nmodels = ["{folder}"]\n')
    return card


def test_a_card_is_read_once_and_again_when_its_file_changed(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = install(site, tmp_path / "models", "other", "First words")
    read: list[str] = []

    def counted(folder: Path) -> cards.Said | None:
        read.append(folder.name)
        return really(folder)

    really = cards._read
    monkeypatch.setattr(cards, "_read", counted)
    for _ in range(3):
        said = site.shelf().of("other@1.2.0")
        assert said is not None
        assert said.disclaimer == "First words"
    assert sorted(read) == ["demonstration", "other"]
    install(site, tmp_path / "models", "other", "Words of another length")
    said = site.shelf().of("other")
    assert said is not None
    assert said.disclaimer == "Words of another length"
    assert read.count("demonstration") == 1
    shutil.rmtree(card.parent)
    assert site.shelf().of("other") is None


def test_a_broken_card_speaks_for_nobody(site: Site, tmp_path: Path) -> None:
    install(site, tmp_path / "models", "other", "Words").write_text("name = ")
    assert site.shelf().of("other") is None
    assert site.shelf().of("demonstration") is not None


def test_a_model_that_is_not_here_is_spoken_for_by_nobody_else() -> None:
    assert Cards().now([Path("nowhere")]).of("chest-model@1.0") is None
    assert Cards().now([]).of("") is None

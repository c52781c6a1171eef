"""What an operator sees of candidates: tables, JSON and CSV, with numbers of jobs and no names."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.answers import Presence, Score
from dicomnode.config.load import load
from dicomnode.errors import Cause
from dicomnode.storage.database import Database
from dicomnode.worklist import shadows
from dicomnode.worklist.shadows import Answer
from tests.cli import call, configure, told
from tests.factories import uid
from tests.node import worklist_of
from tests.tiny_model import make_model
from tests.worklist import NOW, reported_job


@pytest.fixture
def database(config: Path) -> Iterator[Database]:
    """The worklist of a node with three answered studies, and what a candidate said of them."""
    present = Score(probability=0.7, presence=Presence.PRESENT)
    absent = Score(probability=0.2, presence=Presence.ABSENT)
    refused = Answer(model="chest@2", summary={}, refused=Cause.VIEW, because="no frontal view")
    with worklist_of(load(config)) as database:
        with database.transaction() as tx:
            for number, said in enumerate((present, absent, None)):
                job = reported_job(tx, study_uid=uid(number), pipelines={"all": 0})
                answer = Answer(model="chest@2", summary={"nodule": said}) if said else refused
                assert shadows.begin(tx, job.id, "chest@2", now=NOW)
                shadows.keep(tx, job.id, answer, seconds=0.25)
        yield database


def test_the_table_shows_agreement_and_the_studies_that_differ(
    database: Database, config: Path
) -> None:
    shown = call("models", "compare", "all", "--config", config, columns=120)

    assert shown.exit_code == 0, shown.output
    assert "chest@2 beside chest-model@1.0" in shown.stdout
    assert "by both: 2, by the model only: 1, by the candidate only: 0" in shown.stdout
    assert "SYN-0001" not in shown.output


def test_json_holds_every_number(database: Database, config: Path) -> None:
    (found,) = told(call("models", "compare", "all", "--json", "--config", config))

    assert (found["both_answered"], found["only_model"], found["median_s"]) == (2, 1, 0.25)
    (label,) = found["labels"]
    assert (label["label"], label["n"], label["both"], label["only_first"]) == ("nodule", 2, 1, 1)
    assert [one["job_id"] for one in found["furthest"]] == [2, 1]
    assert found["furthest"][0]["difference"] == pytest.approx(-0.55)


def test_csv_holds_one_line_a_study_and_label(database: Database, config: Path) -> None:
    shown = call("models", "compare", "all", "--csv", "--config", config)

    rows = list(csv.DictReader(shown.stdout.splitlines()))
    assert [row["candidate_probability"] for row in rows] == ["0.7", "0.2", ""]
    assert rows[2]["candidate_refused"] == "view"
    assert {row["model_presence"] for row in rows} == {"present"}


@pytest.mark.parametrize("name", ["chest", "chest@2", "folder-of-it"])
def test_a_candidate_is_chosen_by_its_name_with_its_version_or_by_its_folder(
    database: Database, config: Path, tmp_path: Path, name: str
) -> None:
    make_model(tmp_path / "models" / "folder-of-it", name="chest", version="2")
    configure(tmp_path, node=f'[classify]\nmodels = ["{tmp_path / "models"}"]\n')
    chosen = call("models", "compare", "all", "--candidate", name, "--json", "--config", config)

    assert told(chosen)[0]["candidate"] == "chest@2"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "there is no pipeline nothing; there are: all"),
        (("all", "--candidate", "other"), "nothing is kept of other in all"),
    ],
)
def test_what_is_not_there_is_said_with_what_to_do(
    database: Database, config: Path, arguments: tuple[str, ...], words: str
) -> None:
    shown = call("models", "compare", *arguments, "--config", config)

    assert shown.exit_code == 1
    assert words in " ".join(shown.stderr.split())

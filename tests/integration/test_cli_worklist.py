"""What an operator sees of the worklist."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dicomnode.answers import Presence, Score
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.worklist import commitments, outbox, queue, studies
from tests.cli import call, told
from tests.factories import uid
from tests.worklist import (
    LONG,
    NOW,
    delivered_job,
    held_job,
    make_results,
    not_analysed_job,
    running_job,
    study,
    usual_jobs,
    waiting_job,
    wanted,
)


def confirm(worklist: Database, job_id: int, *, answered: bool = True) -> None:
    """Let the PACS be asked to confirm a job's results, and do so."""
    with worklist.transaction() as tx:
        commitments.ask(
            tx, "pacs", uid("mine"), owed_since=NOW, asked_before=NOW, limit=100, now=NOW
        )
        kept = [item.sop_instance_uid for item in outbox.of_job(tx, job_id)] if answered else []
        if answered:
            commitments.answer(
                tx, ["pacs"], uid("mine"), kept, {}, retry_s=float, give_up_after_s=60, now=NOW
            )


@pytest.mark.parametrize("words", [["list"], ["show", "3"], ["retry", "3"], ["cancel", "5"]])
def test_a_wrong_file_of_a_peer_stops_no_command(
    words: list[str], config: Path, worklist: Database
) -> None:
    usual_jobs(worklist)
    (config / "peers" / "broken.toml").write_text('port = "104\n')

    result = call("worklist", *words, "--config", config)

    assert result.exit_code == 0, result.output


# --- list -----------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_lists_every_job_with_its_whole_uid_within_the_screen(
    columns: int, config: Path, worklist: Database
) -> None:
    usual_jobs(worklist)

    result = call("worklist", "list", "--config", config, columns=columns)

    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert [line for line in lines if study(3) in line] == [f"     {study(3)}"]
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("3    failed") for line in lines)
    assert "     no pixels" in lines
    assert any("1 of 412" in line for line in lines)
    assert lines[-1] == "1 delivered, 1 failed, 1 reported, 1 undelivered, 1 waiting"


def test_lists_as_json_for_a_script(config: Path, worklist: Database) -> None:
    usual_jobs(worklist)

    found = told(call("worklist", "list", "--json", "--config", config))

    assert [job["id"] for job in found] == [5, 4, 3, 2, 1]
    assert found[2]["state"] == "failed"
    assert found[2]["reason"] == "no pixels"
    assert found[0]["updated_at"].endswith("+00:00")


@pytest.mark.parametrize("columns", [80, 120])
def test_a_job_whose_results_the_pacs_confirmed_is_listed_as_such(
    columns: int, config: Path, worklist: Database
) -> None:
    with worklist.transaction() as tx:
        delivered_job(tx, pipelines={LONG: 0})
        delivered_job(tx, study_uid=study(1), peers=("viewer",))
    confirm(worklist, 1)

    result = call("worklist", "list", "--config", config, columns=columns)
    found = told(call("worklist", "list", "--json", "--config", config))

    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines if line[:1].isdigit()][:2] == [
        ["2", "delivered"],
        ["1", "PACS-confirmed"],
    ]
    assert max(len(line.rstrip()) for line in lines) <= columns
    assert [(job["state"], job["confirmed"]) for job in found] == [
        ("delivered", False),
        ("delivered", True),
    ]


@pytest.mark.parametrize(
    ("answered", "words"), [(True, "sent, PACS-confirmed"), (False, "sent, asked to confirm")]
)
def test_shows_of_each_result_whether_the_peer_confirmed_it(
    answered: bool, words: str, config: Path, worklist: Database
) -> None:
    with worklist.transaction() as tx:
        delivered_job(tx)
    confirm(worklist, 1, answered=answered)

    result = call("worklist", "show", "1", "--config", config, columns=120)
    job = told(call("worklist", "show", "1", "--json", "--config", config))

    assert result.stdout.count(words) == 2
    assert job["confirmed"] is answered
    assert [item["confirmed_at"] is not None for item in job["deliveries"]] == [answered] * 2


def test_lists_what_was_asked_for(config: Path, worklist: Database) -> None:
    usual_jobs(worklist)

    def ids(*options: str) -> list[int]:
        listed = told(call("worklist", "list", "--json", "--config", config, *options))
        return [job["id"] for job in listed]

    assert ids("--state", "failed", "--state", "waiting") == [5, 3]
    assert ids("--study", study(2)) == [2]
    assert ids("--limit", "2") == [5, 4]
    assert ids("--study", "1.2.3") == []


def test_a_job_that_waits_says_what_for(config: Path, worklist: Database) -> None:
    with worklist.transaction() as tx:
        waiting_job(tx, pipelines={"all": 0})
        short = waiting_job(tx, study_uid=study(2), images=2, pipelines={"all": 0})
        studies.expect(tx, short.study_uid, 20)
        waiting_job(tx, study_uid=study(3), pipelines={"gone": 0})

    found = told(call("worklist", "list", "--json", "--config", config))
    shown = call("worklist", "show", "1", "--config", config).stdout.splitlines()

    until = (NOW + timedelta(seconds=1800)).astimezone()
    assert [job["waits_for"] for job in found] == [
        None,
        f"2 of 20 images, waits until {until:%H:%M:%S}",
        "waits for 10 s quiet",
    ]
    assert "     waits for 10 s quiet" in [line.rstrip() for line in shown]


def test_the_counts_call_a_confirmed_job_what_the_rows_call_it(
    config: Path, worklist: Database
) -> None:
    with worklist.transaction() as tx:
        delivered_job(tx)
        delivered_job(tx, study_uid=study(1), peers=("viewer",))
    confirm(worklist, 1)

    lines = call("worklist", "list", "--config", config).stdout.splitlines()

    assert lines[-1] == "1 PACS-confirmed, 1 delivered"


def test_a_study_that_was_not_analysed_is_listed_with_its_reason(
    config: Path, worklist: Database
) -> None:
    with worklist.transaction() as tx:
        not_analysed_job(tx)
        held_job(tx, study_uid=study(2))

    lines = [
        line.strip() for line in call("worklist", "list", "--config", config).stdout.splitlines()
    ]

    assert "the model is for frontal views" in lines
    assert "PatientID, 2 values" in lines
    assert lines[-1] == "1 held, 1 not-analysed"


def test_a_state_that_does_not_exist_is_a_mistake_that_names_all(config: Path) -> None:
    result = call("worklist", "list", "--state", "done", "--config", config, columns=200)

    assert result.exit_code == 2
    assert all(state in result.stderr for state in State)


def test_an_empty_worklist_says_so(config: Path, worklist: Database) -> None:
    result = call("worklist", "list", "--config", config)

    assert (result.exit_code, result.stdout) == (0, "The worklist is empty.\n")


def test_words_of_a_peer_are_shown_as_they_are(config: Path, worklist: Database) -> None:
    words = "[bold]no[/bold] [/] C:\\x"
    with worklist.transaction() as tx:
        queue.fail(tx, running_job(tx), words, now=NOW)

    assert words in call("worklist", "list", "--config", config).stdout
    assert words in call("worklist", "show", "1", "--config", config, columns=200).stdout


# --- show -----------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_shows_findings_deliveries_and_history_within_the_screen(
    columns: int, config: Path, worklist: Database
) -> None:
    usual_jobs(worklist)

    result = call("worklist", "show", "2", "--config", config, columns=columns)

    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert max(map(len, lines)) <= columns
    for words in (
        "findings (automated, not verified)",
        "nodule   present  75.0 %",
        "SR      pacs  refused  1         0xA900: no SR here",
        "history of the study",
    ):
        assert words in lines
    assert any(line.endswith("undelivered  pacs: 0xA900: no SR here") for line in lines)


def test_a_grade_is_shown_with_what_its_numbers_count(config: Path, worklist: Database) -> None:
    told_of = {
        "KL 0": Score(probability=0.01, presence=Presence.ABSENT),
        "KL 1": Score(probability=0.99, presence=Presence.ABSENT, at_least=True),
        "KL 2": Score(probability=0.887, presence=Presence.PRESENT, at_least=True),
    }
    with worklist.transaction() as tx:
        job = running_job(tx)
        made = [replace(result, summary=told_of) for result in make_results(job)]
        queue.finish(tx, job, made, wanted("pacs"), now=NOW)

    shown = call("worklist", "show", "1", "--config", config, columns=80).stdout

    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for words in ("KL 0 1.0 %", "KL 1 or higher 99.0 %", "KL 2 or higher the grade 88.7 %"):
        assert words in lines


def test_shows_as_json_for_a_script(config: Path, worklist: Database) -> None:
    usual_jobs(worklist)

    job = told(call("worklist", "show", "1", "--json", "--config", config))

    assert (job["id"], job["state"], job["received"]) == (1, "delivered", 2)
    rest = {"at_least": False, "threshold": None, "calibrated": None}
    said = {"nodule": {"probability": 0.75, "presence": "present"} | rest}
    assert [made["findings"] for made in job["results"]] == [said] * 2
    assert {item["state"] for item in job["deliveries"]} == {"sent"}
    assert job["history"][-1]["event"] == "delivered"


@pytest.mark.parametrize("command", ["show", "retry", "cancel"])
def test_a_job_that_does_not_exist_is_named(command: str, config: Path, worklist: Database) -> None:
    result = call("worklist", command, "7", "--config", config)

    assert result.exit_code == 1
    assert "there is no job 7" in result.stderr

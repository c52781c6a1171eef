"""What an operator sees of results, and how a model's results are recalled: with real objects."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)
from typer.testing import Result

from dicomnode.config.load import load
from dicomnode.node.build import open_store
from dicomnode.records import Job, State, Verdict, WithdrawalReason
from dicomnode.storage.database import Database
from dicomnode.worklist import jobs, outbox, queue
from dicomnode.worklist import recall as recalls
from tests.cli import call, told
from tests.factories import uid
from tests.unit.report.samples import made, make_header, make_source
from tests.worklist import NOW, running_job, say, wanted


def study(number: int) -> str:
    return uid("recalled", number)


def reported(worklist: Database, config: Path, number: int = 1, *, sent: bool = True) -> Job:
    """A job with a real capture and report, on disk and with the PACS."""
    source = make_source(make_header(StudyInstanceUID=study(number), PatientID="SECRET-ID"))
    found = made(source)
    store = open_store(load(config))
    for result in found:
        store.keep_result(study(number), result.ref.sop_instance_uid, result.part10)
    with worklist.transaction() as tx:
        job = running_job(tx, study_uid=study(number))
        queue.finish(tx, job, found, wanted("pacs"), now=NOW)
        for item in outbox.of_job(tx, job.id) if sent else []:
            say(tx, item, Verdict.STORED)
        return jobs.get(tx, job.id)


def model_of(worklist: Database, config: Path) -> str:
    """The model that the sample results are of."""
    (found, *_) = told(call("results", "list", "--json", "--config", config))
    return str(found["model"])


def state(worklist: Database, job: Job) -> State:
    with worklist.reading() as tx:
        return jobs.get(tx, job.id).state


def owed(worklist: Database, config: Path) -> list[Dataset]:
    """The objects that the PACS is owed."""
    store = open_store(load(config))
    with worklist.reading() as tx:
        items = outbox.owed_to(tx, "pacs")
    paths = [store.path_of_result(item.study_uid, item.sop_instance_uid) for item in items]
    return [dcmread(BytesIO(path.read_bytes())) for path in paths]


# --- list -----------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_lists_each_result_with_its_model_and_where_it_went(
    columns: int, config: Path, worklist: Database
) -> None:
    reported(worklist, config)
    reported(worklist, config, 2, sent=False)

    result = call("results", "list", "--config", config, columns=columns)

    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [line.split()[:2] for line in lines if line[:1].isdigit()] == [
        ["2", "SR"],
        ["2", "SC"],
        ["1", "SR"],
        ["1", "SC"],
    ]
    assert lines[1].endswith(f"{model_of(worklist, config)}  pacs owed")
    assert lines[-2].endswith("pacs sent")
    assert "SECRET" not in result.output
    assert max(map(len, lines)) <= columns


def test_lists_as_json_what_was_asked_for(config: Path, worklist: Database) -> None:
    reported(worklist, config)
    reported(worklist, config, 2)

    def kinds(*options: str) -> list[tuple[int, str]]:
        found = told(call("results", "list", "--json", "--config", config, *options))
        return [(one["job_id"], one["kind"]) for one in found]

    assert kinds("--study", study(1)) == [(1, "sr"), (1, "sc")]
    assert kinds("--limit", "1") == [(2, "sr")]
    assert len(kinds("--model", model_of(worklist, config))) == 4
    assert kinds("--model", "other@1") == []


def test_says_that_there_is_no_such_result(config: Path, worklist: Database) -> None:
    result = call("results", "list", "--study", "1.2.3", "--config", config)

    assert (result.exit_code, result.stdout) == (0, "There are no such results.\n")


# --- recall ---------------------------------------------------------------------------------


def recall(config: Path, model: str, *options: str) -> Result:
    return call("results", "recall", "--model", model, *options, "--config", config, columns=120)


def test_a_recall_owes_the_pacs_a_rejection_a_page_and_an_addendum_that_follows_the_report(
    config: Path, worklist: Database
) -> None:
    job = reported(worklist, config)
    with worklist.reading() as tx:
        _, report = outbox.of_job(tx, job.id)

    result = recall(config, model_of(worklist, config), "--reason", "safety", "--yes")

    assert result.exit_code == 0, result.output
    assert "Results withdrawn here: of 1 of 1 jobs." in result.stdout
    assert "What tells the peers is owed to them now" in result.stdout
    assert "to be told" in result.stdout
    assert state(worklist, job) is State.REPORTED
    by_class = {ds.SOPClassUID: ds for ds in owed(worklist, config)}
    assert set(by_class) == {
        SecondaryCaptureImageStorage,
        ComprehensiveSRStorage,
        KeyObjectSelectionDocumentStorage,
    }
    title = by_class[KeyObjectSelectionDocumentStorage].ConceptNameCodeSequence[0]
    assert title.CodeValue == "113037"
    addendum = by_class[ComprehensiveSRStorage]
    (before,) = addendum.PredecessorDocumentsSequence
    named = before.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == report.sop_instance_uid
    assert {ds.PatientID for ds in by_class.values()} == {"SECRET-ID"}
    assert {ds.StudyInstanceUID for ds in by_class.values()} == {job.study_uid}
    assert "SECRET" not in result.output


def test_a_recall_is_done_once(config: Path, worklist: Database) -> None:
    job = reported(worklist, config)
    model = model_of(worklist, config)
    recall(config, model, "--yes")
    before = told(call("worklist", "show", str(job.id), "--json", "--config", config))

    again = recall(config, model, "--yes")

    assert again.exit_code == 0
    assert f"No result of {model} stands.\n" in again.stdout
    assert told(call("worklist", "show", str(job.id), "--json", "--config", config)) == before


def test_a_dry_run_says_what_would_be_withdrawn_and_does_nothing(
    config: Path, worklist: Database
) -> None:
    job = reported(worklist, config)
    reported(worklist, config, 2, sent=False)

    result = recall(config, model_of(worklist, config), "--dry-run")

    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [line.split() for line in lines if line[:1].isdigit()] == [
        ["1", "delivered", "SC,", "SR", "pacs", "chest"],
        ["2", "reported", "none", "sent", "nobody", "chest"],
    ]
    assert any(study(1) in line for line in lines)
    assert state(worklist, job) is State.DELIVERED
    assert stopped(worklist) == {}


def test_without_a_yes_nothing_is_withdrawn(config: Path, worklist: Database) -> None:
    job = reported(worklist, config)

    result = recall(config, model_of(worklist, config))

    assert result.exit_code == 1
    assert "and withdraw the results of 1 jobs?" in result.output
    assert state(worklist, job) is State.DELIVERED
    assert stopped(worklist) == {}


def test_what_is_gone_from_the_disk_is_listed_and_the_rest_is_withdrawn(
    config: Path, worklist: Database
) -> None:
    gone, here = reported(worklist, config), reported(worklist, config, 2)
    model = model_of(worklist, config)
    open_store(load(config)).remove_study(gone.study_uid)

    result = recall(config, model, "--yes")

    assert result.exit_code == 1
    assert "nobody: gone from the disk" in result.stdout
    assert "results could not be withdrawn: 1" in result.stderr
    assert state(worklist, gone) is State.DELIVERED
    assert state(worklist, here) is State.REPORTED


def test_a_model_that_nobody_knows_is_named_with_those_that_are_known(
    config: Path, worklist: Database
) -> None:
    reported(worklist, config)

    result = recall(config, "chest@9", "--yes")

    assert result.exit_code == 1
    assert "there is no model chest@9" in result.stderr
    assert model_of(worklist, config) in result.stderr
    assert shipped(config) in result.stderr
    assert stopped(worklist) == {}


def shipped(config: Path) -> str:
    """The model of the pipeline."""
    found = told(call("models", "list", "--json", "--config", config))["demonstration"]
    return f"{found['name']}@{found['version']}"


def stopped(worklist: Database) -> dict[str, WithdrawalReason]:
    with worklist.reading() as tx:
        return recalls.stopped(tx)


def test_a_pipeline_that_uses_the_model_is_named(config: Path, worklist: Database) -> None:
    reported(worklist, config)
    model, other = shipped(config), model_of(worklist, config)
    assert model != other

    result = recall(config, model, "--dry-run")

    assert f"pipelines/all.toml uses {model}" in result.stdout
    assert "all.toml" not in recall(config, other, "--dry-run").output


def test_a_model_without_results_is_stopped_until_it_is_reinstated(
    config: Path, worklist: Database
) -> None:
    model = shipped(config)

    result = recall(config, model, "--reason", "safety", "--yes")

    assert (result.exit_code, stopped(worklist)) == (0, {model: WithdrawalReason.SAFETY})
    assert f"{model} is stopped" in result.stdout
    assert "withdrawn" not in result.stdout
    assert f"pipelines/all.toml: {model} was recalled" in call("check", "--config", config).stdout

    result = call("results", "reinstate", "--model", model, "--config", config)

    assert (result.exit_code, stopped(worklist)) == (0, {})
    assert f"{model} gives results again" in result.stdout
    again = call("results", "reinstate", "--model", model, "--config", config)
    assert again.exit_code == 1
    assert f"{model} is not recalled" in again.stderr


def test_a_recall_stops_the_model_before_it_withdraws(
    config: Path, worklist: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported(worklist, config)
    model = model_of(worklist, config)
    seen = []

    def look(*_: object) -> bool:
        seen.append(stopped(worklist))
        return True

    monkeypatch.setattr("dicomnode.node.recall.Recall.carry_out", look)

    recall(config, model, "--yes")

    assert seen == [{model: WithdrawalReason.QUALITY}]


def test_what_was_withdrawn_stays_so_when_the_model_is_reinstated(
    config: Path, worklist: Database
) -> None:
    job = reported(worklist, config)
    model = model_of(worklist, config)
    recall(config, model, "--yes")
    with worklist.transaction() as tx:
        for item in outbox.owed_to(tx, "pacs"):
            say(tx, item, Verdict.STORED)

    call("results", "reinstate", "--model", model, "--config", config)

    assert state(worklist, job) is State.WITHDRAWN


@pytest.mark.parametrize(
    "model", ["results list", "results recall --model a@1 --yes", "results reinstate --model a@1"]
)
def test_says_that_the_node_has_not_run_yet(model: str, config: Path) -> None:
    result = call(*model.split(), "--config", config)

    assert result.exit_code == 1
    assert "the node has not run yet" in result.stderr

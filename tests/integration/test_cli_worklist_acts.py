"""What an operator may do with jobs."""

from pathlib import Path

import pytest

from dicomnode.storage.database import Database
from tests.cli import call
from tests.worklist import events, failed_job, not_analysed_job, study, usual_jobs


def test_retry_makes_what_failed_ready_again(config: Path, worklist: Database) -> None:
    usual_jobs(worklist)

    result = call("worklist", "retry", "3", "--config", config)

    assert (result.exit_code, result.stdout) == (0, "job 3 is ready\n")
    with worklist.reading() as tx:
        assert events(tx, study(3))[-1] == "ready"


def test_retry_takes_up_every_study_that_stands_in_a_state(
    config: Path, worklist: Database
) -> None:
    with worklist.transaction() as tx:
        first, second = (not_analysed_job(tx, study_uid=study(n)) for n in (1, 2))
        other = failed_job(tx, study_uid=study(3))

    said = call("worklist", "retry", "--state", "not-analysed", "--config", config).stdout
    again = call("worklist", "retry", "--state", "not-analysed", "--config", config).stdout

    assert said == f"job {other.id + 1} is ready\njob {other.id + 2} is ready\n"
    assert again == "no job is in that state\n"  # the first revisions are superseded
    assert [first.id, second.id] == [1, 2]


def test_retry_of_several_jobs_takes_each(config: Path, worklist: Database) -> None:
    usual_jobs(worklist)

    said = call("worklist", "retry", "2", "3", "--config", config).stdout

    assert said == "job 2 is reported\njob 3 is ready\n"


@pytest.mark.parametrize("words", [[], ["3", "--state", "failed"]])
def test_retry_wants_numbers_or_a_state(words: list[str], config: Path) -> None:
    result = call("worklist", "retry", *words, "--config", config)

    assert result.exit_code == 2
    assert "by their numbers, or by --state" in result.output


def test_retry_owes_again_what_a_peer_refused(config: Path, worklist: Database) -> None:
    usual_jobs(worklist)

    assert call("worklist", "retry", "2", "--config", config).stdout == "job 2 is reported\n"


def test_what_ended_well_cannot_be_retried(config: Path, worklist: Database) -> None:
    usual_jobs(worklist)

    result = call("worklist", "retry", "1", "--config", config)

    assert result.exit_code == 1
    assert "job 1 is delivered" in result.stderr


def test_cancel_stops_a_job_once(config: Path, worklist: Database) -> None:
    usual_jobs(worklist)

    assert call("worklist", "cancel", "5", "--config", config).stdout == "job 5 is cancelled\n"
    assert call("worklist", "cancel", "5", "--config", config).exit_code == 1

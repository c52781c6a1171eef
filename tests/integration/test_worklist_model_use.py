import pytest

from dicomnode.records import WithdrawalReason
from dicomnode.storage.database import Database
from dicomnode.worklist import model_use, recall
from tests.worklist import MODEL, after, delivered_job, failed_job, not_analysed_job, reported_job


def test_a_model_has_been_in_use_since_its_first_result(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx, study_uid="1.1", now=after(10))
        failed_job(tx, study_uid="1.2", now=after(20))
        reported_job(tx, study_uid="1.3", now=after(30))
    with database.reading() as tx:
        uses = model_use.uses(tx, [MODEL, "other@1"])
    assert (uses[MODEL].jobs, uses[MODEL].exact) == (2, True)
    assert (uses[MODEL].first_at, uses[MODEL].last_at) == (after(10), after(30))
    assert (uses["other@1"].jobs, uses["other@1"].first_at) == (0, None)


def test_a_notice_is_no_use_of_a_model(database: Database) -> None:
    with database.transaction() as tx:
        not_analysed_job(tx)
    with database.reading() as tx:
        assert model_use.uses(tx, [MODEL])[MODEL].jobs == 0


def test_no_more_results_are_looked_at_than_can_be_quickly(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as tx:
        for number in range(3):
            delivered_job(tx, study_uid=f"1.{number}", now=after(number))
    monkeypatch.setattr(model_use, "LOOKED_AT", 4)  # two results a job
    with database.reading() as tx:
        use = model_use.uses(tx, [MODEL])[MODEL]
    assert (use.jobs, use.exact, use.last_at) == (2, False, after(2))


def test_who_was_recalled_is_told_until_reinstated(database: Database) -> None:
    with database.transaction() as tx:
        delivered_job(tx)
        recall.stop(tx, MODEL, WithdrawalReason.SAFETY, now=after(5))
        (told,) = model_use.recalled(tx).values()
        assert (told.model, told.reason, told.at) == (MODEL, WithdrawalReason.SAFETY, after(5))
        recall.reinstate(tx, MODEL)
        assert model_use.recalled(tx) == {}
        assert model_use.spoken(tx) == [MODEL]

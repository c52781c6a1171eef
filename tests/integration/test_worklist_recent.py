"""The last studies, with some images of each, on both databases."""

from datetime import timedelta

from dicomnode.storage.database import Database
from dicomnode.worklist.recent import recent
from tests.worklist import NOW, enter, make_ref


def test_the_last_studies_come_with_some_images_of_each_kind(database: Database) -> None:
    with database.transaction() as tx:
        for study in range(3):
            at = NOW + timedelta(minutes=study)
            for number in range(6):
                ref = make_ref(study, number, study_uid=f"1.2.{study}")
                changes = {"study_uid": ref.study_uid, "own": number == 5}
                enter(tx, number, ref=ref, now=at, **changes)
        found = recent(tx, 2)
    assert [each.study_uid for each in found] == ["1.2.2", "1.2.1"]
    assert [each.images for each in found] == [5, 5]
    assert [len(each.samples) for each in found] == [4, 4]


def test_without_studies_there_is_none(database: Database) -> None:
    with database.reading() as tx:
        assert recent(tx) == []

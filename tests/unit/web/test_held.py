"""A held study tells which image names which patient, and what a person can do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.dicom.attributes import Header, read_header
from dicomnode.people.accounts import Role
from dicomnode.records import State
from dicomnode.storage.database import Database
from dicomnode.web import held
from dicomnode.web.site import Site
from dicomnode.worklist import by_hand, jobs, queue, studies
from tests.answered import image_of, keep_image, make_image
from tests.factories import STUDY_UID
from tests.web import client, make_site
from tests.worklist import NOW, PIPELINE, enter
from tests.worklist import claim as take

HERE = f"/studies/{STUDY_UID}"


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url))
    site.store.prepare()
    with site.database.transaction() as tx:
        for number in range(1, 17):
            image = make_image(number)
            if number == 2:
                image.PatientID, image.PatientName = "SYN-9999", "Other^<b>"
            keep_image(site.store, image)
            enter(tx, number, ref=image_of(image), patient_id=str(image.PatientID))
        waiting = jobs.latest(tx, STUDY_UID, PIPELINE)
        assert waiting is not None
        assert studies.close(tx, waiting, State.READY, now=NOW)
        job = take(tx)
        assert job is not None
        queue.hold(tx, job, "the images disagree about the patient", now=NOW)
    yield site
    site.pictures.close()
    held.look.cache_clear()


def shown(site: Site, role: Role = Role.OPERATOR) -> str:
    answer = client(site, role).get(HERE, headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_each_value_stands_beside_the_images_that_have_it(site: Site) -> None:
    text = shown(site, Role.VIEWER)
    _, _, table = text.partition("held-head")
    table = table.partition("</section>")[0]
    usual, _, other = table.partition("SYN-9999")
    assert "SYN-0001" in usual
    assert "and 3 more" in usual  # of 15, 12 are named
    assert other.partition("</tr>")[0].count("series 1, image 2") == 1
    assert f"{HERE}/images/{image_of(make_image(2)).sop_instance_uid}" in other
    assert "PatientName (alphabetic)" in table
    assert "Other^&lt;b&gt;" in table


def test_the_title_says_that_the_images_name_two_patients(site: Site) -> None:
    text = shown(site)
    assert "SYN-0001: its images name 2 patients</h1>" in text
    assert "files it under <strong>SYN-0001</strong>" in text


def test_the_way_out_is_not_to_do_it_again(site: Site) -> None:
    text = shown(site)
    assert 'value="retry"' not in text
    assert 'value="cancel"' in text
    assert "new Study and SOP Instance UIDs" in text
    assert "the sender gets an error" in text
    with site.database.transaction() as tx:
        (job,) = jobs.listed(tx, study_uid=STUDY_UID)
        by_hand.cancel(tx, job.id, now=NOW)
    assert "held-head" not in shown(site)


def test_a_study_is_read_once_and_not_beyond_a_limit(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> Header:
        read.append(path)
        return read_header(path)

    monkeypatch.setattr(held, "_MOST_READ", 1)
    monkeypatch.setattr(held, "read_header", counted)
    for _ in range(2):
        assert "1 of 16 images were looked at, and agree" in shown(site)
    assert len(read) == 1

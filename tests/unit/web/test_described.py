from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, config
from pydicom.datadict import dictionary_VR

from dicomnode.storage.database import Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.web.described import Described, describe
from dicomnode.worklist import dossier
from tests.answered import image_of, keep_image, make_image
from tests.factories import STUDY_UID, uid
from tests.web import client, make_site
from tests.worklist import enter, make_ref

NOTHING = Described(description="", study_time="", modalities=())


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path)


def described(store: ObjectStore, *images: dict[str, Any]) -> Described:
    refs = []
    for number, changes in enumerate(images, 1):
        image = make_image(number)
        for keyword, said in changes.items():  # whatever a modality writes
            vr = dictionary_VR(keyword)
            image.add(DataElement(keyword, vr, said, validation_mode=config.IGNORE))
        keep_image(store, image)
        refs.append(image_of(image))
    return describe(store, refs)


def test_a_study_is_told_in_the_words_of_its_images(store: ObjectStore) -> None:
    ct = {"Modality": "CT", "StudyDescription": "", "StudyTime": ""}
    pet = {"Modality": "PT", "StudyDescription": "PET/CT Kopf, Schädel", "StudyTime": "131415.120"}
    pet["SpecificCharacterSet"] = "ISO_IR 100"
    assert described(store, ct, pet, ct) == Described(
        description="PET/CT Kopf, Schädel", study_time="13:14:15", modalities=("CT", "PT")
    )


@pytest.mark.parametrize(
    ("said", "told"), [("09", "09"), ("0905", "09:05"), ("09:05:06", "09:05:06"), ("9", "9")]
)
def test_a_time_is_as_exact_as_it_is_written(store: ObjectStore, said: str, told: str) -> None:
    assert described(store, {"StudyTime": said}).study_time == told


def test_an_image_that_is_gone_or_broken_says_nothing(store: ObjectStore) -> None:
    image = make_image()
    assert describe(store, [image_of(image)]) == NOTHING
    keep_image(store, image, b"no DICOM")
    assert describe(store, [image_of(image)]) == NOTHING


def test_of_each_series_the_first_image_is_asked(database: Database) -> None:
    with database.transaction() as tx:
        for number, series in enumerate((1, 1, 2, 3), 1):
            enter(tx, number, ref=replace(make_ref("image", number), series_uid=uid(series)))
        firsts = dossier.first_of_series(tx, STUDY_UID, 2)
    assert [ref.sop_instance_uid for ref in firsts] == [
        make_ref("image", number).sop_instance_uid for number in (1, 3)
    ]


def test_the_page_and_the_interface_show_it(tmp_path: Path, sqlite_url: str) -> None:
    site = make_site(tmp_path, Database(sqlite_url))
    image = make_image()
    image.StudyDescription, image.StudyTime = "Thorax a.p.", "0905"
    keep_image(site.store, image)
    with site.database.transaction() as tx:
        enter(tx, ref=image_of(image))
    browser = client(site)
    there = f"studies/{image.StudyInstanceUID}"
    told = browser.get(f"/api/{there}").json()["described"]
    assert told == {
        "description": "Thorax a.p.",
        "study_time": "09:05",
        "modalities": [image.Modality],
    }
    page = browser.get(f"/{there}").text
    for words in ("Thorax a.p.", "09:05", f"<dt>Modality</dt><dd>{image.Modality}<"):
        assert words in page

"""Odd and hostile objects with a name, each with the one outcome that is right."""

from pathlib import Path

import pytest
from pydicom.filereader import read_file_meta_info

from dicomnode.errors import DicomnodeError
from dicomnode.receive.intake import Intake
from dicomnode.storage.objects import ObjectStore
from dicomnode.storage.seal import UNSEALED
from tests.factories import make_dataset, make_request
from tests.fuzz.corpus_objects import FOLDER, MAX_OBJECT_BYTES, cases
from tests.landing import being_received

FILES = sorted(FOLDER.glob("*/*.dcm"))


def outcome(path: Path, folder: Path) -> str:
    """What becomes of the object when its file meta is its command."""
    meta = read_file_meta_info(path)
    request = make_request(
        make_dataset(),
        sop_class_uid=str(meta.MediaStorageSOPClassUID),
        context_sop_class_uid=str(meta.MediaStorageSOPClassUID),
        sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
        transfer_syntax_uid=str(meta.TransferSyntaxUID),
    )
    store = ObjectStore(folder)
    store.prepare()
    try:
        with Intake(store, max_object_bytes=MAX_OBJECT_BYTES).begin(request) as reception:
            reception.write(path.read_bytes()[144 + meta.FileMetaInformationGroupLength :])
            reception.keep()
    except DicomnodeError as error:
        return type(error).__name__
    return "kept"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_object_of_the_corpus_has_the_outcome_of_its_folder(
    path: Path, tmp_path: Path
) -> None:
    assert outcome(path, tmp_path) == path.parent.name
    assert being_received(tmp_path) == []


def test_the_corpus_is_what_its_program_writes() -> None:
    made = {f"{case.outcome}/{case.name}": case.file() for case in cases()}
    kept = {f"{path.parent.name}/{path.stem}": path.read_bytes() for path in FILES}
    assert set(made) == set(kept)
    deflated = {name for name in made if "deflated" in name}  # other libraries pack otherwise
    assert [name for name in made if made[name] != kept[name] and name not in deflated] == []


def test_the_corpus_is_small_and_has_every_outcome() -> None:
    assert len(FILES) > 60
    assert max(path.stat().st_size for path in FILES) < 4096 + len(UNSEALED)
    assert {path.parent.name for path in FILES} == {
        "kept",
        "BadUID",
        "Mismatch",
        "TooLarge",
        "Unreadable",
    }

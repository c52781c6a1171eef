"""Orthanc at the other end: results are stored, and read back as they were sent."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import (
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from dicomnode.deliver.sender import send
from dicomnode.dicom.network import count_instances, echo
from dicomnode.errors import PeerAway
from dicomnode.records import Peer, Verdict
from tests.factories import STUDY_UID, encode, make_dataset, write_part10
from tests.orthanc import Orthanc
from tests.tools import require

US = "DICOMNODE"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    require("orthanc")
    node = {"AET": US, "Host": "127.0.0.1", "Port": 11112, "AllowFind": True}
    settings = {"DicomAlwaysAllowFind": False, "DicomModalities": {"node": node}}
    with Orthanc(tmp_path_factory.mktemp("orthanc"), settings) as orthanc:
        yield orthanc


def report() -> Dataset:
    """A small SR: nested items, a name that is not ASCII, text longer than a line."""
    text = Dataset()
    text.RelationshipType = "CONTAINS"
    text.ValueType = "TEXT"
    text.ConceptNameCodeSequence = [code(codes.DCM.Comment)]
    text.TextValue = "Größer als üblich.\r\n" * 50
    return make_dataset(
        SOPClassUID=ComprehensiveSRStorage,
        SOPInstanceUID="2.25.1001",
        Modality="SR",
        PatientName="SYNTHETIC^Größe=合成^一",
        PixelData=None,
        Rows=None,
        Columns=None,
        ValueType="CONTAINER",
        ContinuityOfContent="SEPARATE",
        ConceptNameCodeSequence=[code(codes.DCM.ImagingMeasurementReport)],
        ContentSequence=[text, text],
    )


def code(concept: object) -> Dataset:
    item = Dataset()
    item.CodeValue = getattr(concept, "value", "")
    item.CodingSchemeDesignator = getattr(concept, "scheme_designator", "")
    item.CodeMeaning = getattr(concept, "meaning", "")
    return item


def capture() -> Dataset:
    return make_dataset(
        SOPClassUID=SecondaryCaptureImageStorage,
        SOPInstanceUID="2.25.1002",
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelData=bytes(range(256)) * 3,
        RescaleSlope=None,
        RescaleIntercept=None,
    )


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("make", [report, capture])
def test_orthanc_gives_back_what_was_sent(
    orthanc: Orthanc, tmp_path: Path, make: object, syntax: str
) -> None:
    """The dataset byte for byte, where both sides write it in the same way."""
    assert callable(make)
    dataset = make()
    dataset.SOPInstanceUID += f".{len(syntax)}"
    path = write_part10(dataset, tmp_path / "a.dcm", syntax)

    (outcome,) = send([path], orthanc.peer, US)

    assert (outcome.verdict, outcome.message) == (Verdict.STORED, "stored")
    back = orthanc.file(dataset.SOPInstanceUID)
    assert dcmread(BytesIO(back)) == dcmread(path)
    if syntax == ExplicitVRLittleEndian:
        assert back.endswith(encode(dataset))


def test_orthanc_takes_a_result_twice(orthanc: Orthanc, tmp_path: Path) -> None:
    path = write_part10(capture(), tmp_path / "a.dcm")

    outcomes = send([path, path], orthanc.peer, US) + send([path], orthanc.peer, US)

    assert {outcome.verdict for outcome in outcomes} == {Verdict.STORED}


def test_orthanc_tells_how_many_images_a_study_has(orthanc: Orthanc, tmp_path: Path) -> None:
    study_uid = "2.25.2001"
    files = [
        write_part10(make_dataset(n, StudyInstanceUID=study_uid), tmp_path / f"{n}.dcm")
        for n in (11, 12, 13)
    ]
    send(files, orthanc.peer, US)

    assert count_instances(orthanc.peer, US, study_uid) == 3
    assert count_instances(orthanc.peer, US, STUDY_UID + "9") is None


def test_orthanc_hangs_up_where_it_does_not_let_us_ask(orthanc: Orthanc) -> None:
    with pytest.raises(PeerAway, match="hung up on our C-FIND, or did not answer it"):
        count_instances(orthanc.peer, "STRANGER", STUDY_UID)


def test_orthanc_answers_echo_by_its_title_only(orthanc: Orthanc) -> None:
    assert echo(orthanc.peer, US).message == "ORTHANC answers"

    wrong = Peer(name="x", ae_title="ORTANC", host="127.0.0.1", port=orthanc.peer.port)

    assert echo(wrong, US).message.endswith("it does not answer to the AE title ORTANC")

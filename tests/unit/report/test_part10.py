"""Objects as files: what pydicom would write, byte for byte."""

from io import BytesIO
from typing import Any

import pytest
from pydicom import DataElement, Dataset, FileMetaDataset, config, dcmread, dcmwrite
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.errors import ReportError
from dicomnode.records import ResultKind
from dicomnode.report.part10 import encoded, finished
from tests.unit.report.every_kind import EVERY_KIND, good, results
from tests.unit.report.samples import make_header


def by_pydicom(ds: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    ds.file_meta = meta
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_writes_what_pydicom_writes(kind: ResultKind) -> None:
    for result in results():
        if result.kind is kind:
            assert result.part10 == by_pydicom(dcmread(BytesIO(result.part10)))


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("PatientName", ""),
        ("OtherPatientNames", ["Müller^Jörg", "王^小東"]),
        ("ImageType", ["DERIVED", "SECONDARY"]),
        ("ImageType", ["DERIVED", "", "OTHER"]),
        ("StudyDescription", "Röntgen"),
        ("StudyDescription", None),
        ("ImageComments", "one\\two\r\nthree"),
        ("PixelSpacing", [0.1, 1 / 3]),
        ("PixelSpacing", ["0.10", "1e-1"]),
        ("SeriesNumber", "007"),
        ("SeriesNumber", 7),
        ("RetrieveURI", "http://a/b"),
        ("GraphicData", [1.5, 2.5, 3.5]),
        ("GraphicData", []),
        ("FrameIncrementPointer", [0x00181063, 0x00181065]),
        ("Rows", 65535),
        ("RecommendedDisplayGrayscaleValue", 65535),
        ("RecommendedDisplayCIELabValue", [1, 2, 65535]),
        ("ReferencedSegmentNumber", [1, 2]),
        ("DimensionIndexValues", [1, 2**32 - 1]),
        ("RealWorldValueSlope", 0.1),
        ("PixelPaddingValue", 7),
        ("DisplayedAreaTopLeftHandCorner", [-1, 2**31 - 1]),
        ("ExtendedOffsetTable", b"\0" * 16),
        ("EncapsulatedDocument", b"%PDF-odd"),
        ("EncapsulatedDocument", b"%PDF-odd!"),
        ("TextValue", "x" * 70000),
        ("ConceptNameCodeSequence", []),
        ("StudyInstanceUID", "1.2.3"),
        ("FailureAttributes", []),
    ],
)
def test_writes_every_kind_of_value_as_pydicom_does(keyword: str, value: Any) -> None:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.7"), UID("1.2.3.4")
    setattr(ds, keyword, value)
    if keyword == "PixelPaddingValue":
        ds[keyword].VR = "US"

    whole = by_pydicom(ds)

    assert whole.endswith(encoded(ds))
    assert len(encoded(ds)) == len(whole) - 132 - 12 - whole[140]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDescription", "x" * 65535),
        ("ModalitiesInStudy", "Röntgen"),
        ("Rows", 65536),
        ("Rows", "many"),
        ("PixelPaddingValue", 7),
        ("EncapsulatedDocument", "text"),
    ],
)
def test_refuses_what_has_no_room_or_no_meaning(keyword: str, value: Any) -> None:
    tag = tag_for_keyword(keyword) or 0
    ds = Dataset()
    ds[tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE)
    with pytest.raises(ReportError, match=keyword):
        encoded(ds)


def test_a_finished_object_knows_its_name_its_kind_and_its_model() -> None:
    ds = good(ResultKind.SR)
    result = finished(ds, ds, ResultKind.SR, {}, "demonstration@1.0.0")
    assert result.ref.sop_instance_uid == ds.SOPInstanceUID
    assert (result.kind, result.model) == (ResultKind.SR, "demonstration@1.0.0")
    assert {made.model for made in results()} == {"demonstration@1.0.0"}


def test_what_the_gate_refuses_is_not_finished() -> None:
    ds = good(ResultKind.SR)
    del ds.VerificationFlag
    with pytest.raises(ReportError, match="VerificationFlag"):
        finished(ds, ds, ResultKind.SR, {})


def test_what_is_of_another_patient_is_not_finished() -> None:
    with pytest.raises(ReportError, match="PatientID"):
        finished(good(ResultKind.SR), make_header(PatientID="OTHER"), ResultKind.SR, {})

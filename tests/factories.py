"""Things to test with, made by plain functions. Every identity is synthetic."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileDataset, FileMetaDataset, dcmwrite
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, result_uid
from dicomnode.records import Association, Peer, StoreRequest
from dicomnode.storage.seal import UNSEALED

__all__ = [
    "STUDY_UID",
    "encode",
    "make_association",
    "make_dataset",
    "make_part10",
    "make_peer",
    "make_request",
    "uid",
    "write_part10",
]


def uid(*parts: object) -> str:
    """A UID that follows from its parts: `uid("study", 3)` is the same in every test."""
    return result_uid("tests", *(str(part) for part in parts))


STUDY_UID = uid("study")

_CT: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 192",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "SOPClassUID": CTImageStorage,
    "StudyDate": "20250102",
    "StudyTime": "030405",
    "AccessionNumber": "A0001",
    "Modality": "CT",
    "Manufacturer": "Nobody",
    "PatientName": "SYNTHETIC^ONE",
    "PatientID": "SYN-0001",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "StudyInstanceUID": STUDY_UID,
    "SeriesInstanceUID": uid("series"),
    "StudyID": "1",
    "SeriesNumber": 1,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
}


def make_dataset(number: int = 1, *, rows: int = 16, columns: int = 16, **changes: Any) -> Dataset:
    """A small CT slice; `changes` set attributes by keyword, and None leaves one out.

    Slices with different numbers belong to one series and differ in UID and pixels.
    """
    pixels = np.random.default_rng(number).integers(0, 4096, (rows, columns), dtype=np.uint16)
    own = {
        "SOPInstanceUID": uid("instance", number),
        "InstanceNumber": number,
        "Rows": rows,
        "Columns": columns,
        "PixelData": pixels.tobytes(),
    }
    ds = Dataset()
    for keyword, value in (_CT | own | changes).items():
        if value is not None:
            setattr(ds, keyword, value)
    if "PixelData" in ds:
        ds["PixelData"].VR = "OW"
    return ds


def encode(dataset: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """The dataset as it travels: no preamble, no file meta."""
    whole = make_part10(dataset, transfer_syntax_uid)
    group_length = int.from_bytes(whole[140:144], "little")
    return whole[144 + group_length :]


def make_part10(dataset: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """The dataset as a whole Part 10 file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(dataset.get("SOPClassUID", CTImageStorage))
    meta.MediaStorageSOPInstanceUID = UID(dataset.get("SOPInstanceUID", uid("instance")))
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    out = BytesIO()
    dcmwrite(out, FileDataset("", dataset, file_meta=meta), enforce_file_format=True)
    return out.getvalue()


def make_received(dataset: Dataset) -> bytes:
    """The dataset as a Part 10 file with room for a seal, as a receiver writes it."""
    whole = make_part10(dataset)
    start = 144 + int.from_bytes(whole[140:144], "little")
    length = (start - 144 + len(UNSEALED)).to_bytes(4, "little")
    return whole[:140] + length + whole[144:start] + UNSEALED + whole[start:]


def write_part10(
    dataset: Dataset, path: Path, transfer_syntax_uid: str = ExplicitVRLittleEndian
) -> Path:
    """The dataset as a file; returns `path`."""
    path.write_bytes(make_part10(dataset, transfer_syntax_uid))
    return path


def make_association(**changes: Any) -> Association:
    """An accepted association of the peer that `make_peer` makes."""
    usual = Association(id=1, calling_ae="MODALITY", called_ae="DICOMNODE", address="127.0.0.1")
    return replace(usual, **changes)


def make_request(dataset: Dataset, **changes: Any) -> StoreRequest:
    """The C-STORE-RQ with which `dataset` would arrive."""
    usual = StoreRequest(
        association=make_association(),
        sop_class_uid=str(dataset.get("SOPClassUID", "")),
        sop_instance_uid=str(dataset.get("SOPInstanceUID", "")),
        context_sop_class_uid=str(dataset.get("SOPClassUID", "")),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
    )
    return replace(usual, **changes)


def make_peer(**changes: Any) -> Peer:
    """A peer that may send, on this machine; nothing listens on its port."""
    usual = Peer(
        name="modality",
        ae_title="MODALITY",
        host="127.0.0.1",
        port=11113,
        may_send=True,
        timeout_s=5.0,
    )
    return replace(usual, **changes)

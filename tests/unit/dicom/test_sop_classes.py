"""What can be stored: everything the standard stores, and nothing else."""

import pytest
from pydicom import uid as names
from pynetdicom.presentation import AllStoragePresentationContexts

from dicomnode.dicom.sop_classes import (
    STORAGE_SOP_CLASSES,
    TRANSFER_SYNTAXES,
    VERIFICATION,
    Encoding,
    encoding_of,
)
from dicomnode.dicom.uids import is_uid


def test_knows_every_storage_class_that_pynetdicom_knows() -> None:
    known = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    assert known <= STORAGE_SOP_CLASSES


@pytest.mark.parametrize(
    "sop_class",
    [
        names.CTImageStorage,
        "1.2.840.10008.5.1.4.1.1.5",  # Nuclear Medicine, retired
        "1.2.840.10008.5.1.1.29",  # Hardcopy Grayscale, retired
        names.EncapsulatedSTLStorage,
        names.HangingProtocolStorage,
    ],
)
def test_stores_current_and_retired_classes(sop_class: str) -> None:
    assert sop_class in STORAGE_SOP_CLASSES


@pytest.mark.parametrize(
    "sop_class",
    [
        VERIFICATION,
        names.MediaStorageDirectoryStorage,
        "1.2.840.10008.1.20.1",  # Storage Commitment
        "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root FIND
    ],
)
def test_does_not_store_what_is_no_object(sop_class: str) -> None:
    assert sop_class not in STORAGE_SOP_CLASSES


def test_every_uid_is_one() -> None:
    assert all(is_uid(uid) for uid in STORAGE_SOP_CLASSES | TRANSFER_SYNTAXES)


@pytest.mark.parametrize(
    "syntax",
    [
        names.ImplicitVRLittleEndian,
        names.ExplicitVRBigEndian,
        names.DeflatedExplicitVRLittleEndian,
        names.JPEGLSNearLossless,
        names.HTJ2K,
        names.MPEG4HP41,
        names.RLELossless,
        "1.2.840.10008.1.2.4.110",
    ],
)
def test_takes_objects_however_they_are_encoded(syntax: str) -> None:
    assert syntax in TRANSFER_SYNTAXES


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.6.2", "1.2.840.10008.1.2.7.1"])
def test_does_not_take_what_is_no_file(syntax: str) -> None:
    assert syntax not in TRANSFER_SYNTAXES


@pytest.mark.parametrize(
    ("syntax", "implicit", "little", "deflated"),
    [
        (names.ImplicitVRLittleEndian, True, True, False),
        (names.ExplicitVRLittleEndian, False, True, False),
        (names.ExplicitVRBigEndian, False, False, False),
        (names.DeflatedExplicitVRLittleEndian, False, True, True),
        (names.JPEGBaseline8Bit, False, True, False),
    ],
)
def test_knows_how_elements_are_written(
    syntax: str, implicit: bool, little: bool, deflated: bool
) -> None:
    assert encoding_of(syntax) == Encoding(
        implicit_vr=implicit, little_endian=little, deflated=deflated
    )

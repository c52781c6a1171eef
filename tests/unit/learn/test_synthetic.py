"""Synthetic patients as DICOM."""

from io import BytesIO

import numpy as np
from pydicom import dcmread

from dicomnode.dicom.pixels import frames
from dicomnode.learn.drawing import draw
from dicomnode.learn.synthetic import synthetic_dx


def part10(seed: int, *findings: str) -> bytes:
    out = BytesIO()
    synthetic_dx(seed, findings, rows=64).save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_the_same_patient_is_the_same_file() -> None:
    assert part10(1, "nodule") == part10(1, "nodule")
    assert part10(1, "nodule") != part10(1)


def test_what_is_shown_is_what_was_drawn() -> None:
    ds = dcmread(BytesIO(part10(2)))
    (frame,) = frames(ds)
    assert np.allclose(frame.pixels, draw(2, rows=64).pixels / 4095, atol=1e-6)
    assert frame.aspect == 1


def test_an_image_with_other_findings_is_another_object_of_the_same_study() -> None:
    plain, ill = synthetic_dx(3, rows=64), synthetic_dx(3, ["nodule"], rows=64)
    assert plain.SOPInstanceUID != ill.SOPInstanceUID
    assert plain.StudyInstanceUID == ill.StudyInstanceUID
    assert synthetic_dx(4, rows=64).StudyInstanceUID != plain.StudyInstanceUID


def test_identity_and_study_are_as_asked() -> None:
    ds = synthetic_dx(
        5, rows=64, patient_name="SYNTHETIC^FIVE", patient_id="P5", study_uid="1.2.3", number=2
    )
    assert (ds.PatientName, ds.PatientID) == ("SYNTHETIC^FIVE", "P5")
    assert (ds.StudyInstanceUID, ds.InstanceNumber) == ("1.2.3", 2)
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID


def test_the_usual_identity_is_nobodys() -> None:
    ds = synthetic_dx(6, rows=64)
    assert (ds.PatientName, ds.PatientID) == ("SYNTHETIC^ONE", "SYNTHETIC-6")

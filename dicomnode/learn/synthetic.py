"""Synthetic chest radiographs as DICOM: Digital X-Ray images For Presentation (PS3.3 A.26)."""

from collections.abc import Collection

from pydicom import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dicomnode.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, result_uid
from dicomnode.learn.drawing import Radiograph, draw

__all__ = ["synthetic_dx"]

_WIDTH_MM = 350.0  #: of the detector


def synthetic_dx(
    seed: int,
    findings: Collection[str] = (),
    *,
    rows: int = 1024,
    patient_name: str = "SYNTHETIC^ONE",
    patient_id: str = "",
    study_uid: str = "",
    number: int = 1,
) -> FileDataset:
    """One patient's radiograph with file meta, ready to be saved or sent; nobody's identity.

    The same arguments give the same bytes. Without `patient_id` and `study_uid` the seed decides.
    """
    study = study_uid or result_uid("synthetic study", str(seed))
    series = result_uid("synthetic series", study)
    instance = result_uid("synthetic image", series, str(seed), str(number), *sorted(findings))
    ds = FileDataset("", Dataset(), file_meta=_file_meta(instance), preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID = instance, series, study
    ds.PatientName = patient_name
    ds.PatientID = patient_id or f"SYNTHETIC-{seed}"
    ds.PatientBirthDate, ds.PatientSex = "", "O"
    ds.AccessionNumber, ds.StudyID = f"SYN{seed}"[:16], str(seed)[:16]
    ds.InstanceNumber, ds.SeriesNumber = number, 1
    _describe(ds)
    _pixels(ds, draw(seed, findings, rows=rows))
    return ds


def _file_meta(instance: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = UID(instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def _describe(ds: Dataset) -> None:
    """What a digital X-ray unit says of itself and of the exposure (PS3.3 C.8.11)."""
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20250101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.StudyDescription = "Synthetic chest PA"
    ds.ReferringPhysicianName = ""
    ds.Modality, ds.PresentationIntentType = "DX", "FOR PRESENTATION"
    ds.Manufacturer, ds.ManufacturerModelName = "Nobody", "Synthetic"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "0", "1"
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", "PA"
    ds.PatientOrientation = ["L", "F"]
    ds.ImageLaterality = "U"
    ds.AnatomicRegionSequence = Sequence([_code("51185008", "SCT", "Chest")])
    view = _code("272479007", "SCT", "postero-anterior")
    view.ViewModifierCodeSequence = Sequence()
    ds.ViewCodeSequence = Sequence([view])
    ds.DetectorType = "DIRECT"
    ds.PositionerType = "NONE"
    ds.KVP = ""
    ds.AcquisitionContextSequence = Sequence()
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _pixels(ds: Dataset, radiograph: Radiograph) -> None:
    rows, columns = radiograph.pixels.shape
    spacing = round(_WIDTH_MM / columns, 4)
    ds.ImagerPixelSpacing = [spacing, spacing]
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.PixelData = radiograph.pixels.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"

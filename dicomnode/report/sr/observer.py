"""Who speaks in a document, and in which language: TID 1204, 1002 and 1004."""

from pydicom import Dataset

from dicomnode.answers import ModelRef
from dicomnode.dicom.attributes import MANUFACTURER
from dicomnode.dicom.uids import result_uid
from dicomnode.report import codes
from dicomnode.report.catalogue import Words
from dicomnode.report.sr import items

__all__ = ["observer"]


def observer(model: ModelRef | None, words: Words) -> list[Dataset]:
    """First under every root: the language; then the model, or else the node, as device."""
    named = [model.name, model.version, model.digest] if model else [MANUFACTURER]
    maker = model.manufacturer if model else MANUFACTURER
    context = items.HAS_OBS_CONTEXT
    return [
        items.code(codes.LANGUAGE, codes.language(words), items.HAS_CONCEPT_MOD),
        items.code(codes.OBSERVER_TYPE, codes.DEVICE, context),
        items.uid(codes.DEVICE_UID, result_uid("device", *named)),
        items.text(codes.DEVICE_NAME, " ".join(named[:2]), context),
        items.text(codes.DEVICE_MANUFACTURER, maker or "unknown", context),
        items.text(codes.DEVICE_MODEL, named[0], context),
    ]

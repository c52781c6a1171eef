"""SOP classes and transfer syntaxes this node accepts: every one that can be stored as a file.

Bytes are kept as they come, so nothing here asks whether a decoder is at hand.
"""

from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary

__all__ = [
    "STORAGE_COMMITMENT",
    "STORAGE_SOP_CLASSES",
    "TRANSFER_SYNTAXES",
    "VERIFICATION",
    "Encoding",
    "encoding_of",
]

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"  #: Push Model (PS3.4 J.3)

_NO_STORAGE = {
    "1.2.840.10008.1.3.10",  # Media Storage Directory: a DICOMDIR, never sent
    STORAGE_COMMITMENT,  # asks for storage, it stores nothing
    "1.2.840.10008.1.20.2",
}
_NEWER_SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.9.100.1",  # Waveform Presentation State
    "1.2.840.10008.5.1.4.1.1.9.100.2",  # Waveform Acquisition Presentation State
    "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
    "1.2.840.10008.5.1.4.1.1.66.8",  # Height Map Segmentation
}

#: Composite objects a C-STORE can carry (PS3.4 Table B.5-1), the retired ones too.
STORAGE_SOP_CLASSES = frozenset(
    {
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and uid not in _NO_STORAGE
    }
    | _NEWER_SOP_CLASSES
)

_NOT_FOR_FILES = {
    "1.2.840.10008.1.2.6.1",  # MIME: for mail and web services
    "1.2.840.10008.1.2.6.2",  # XML: for web services
    "1.2.840.10008.1.2.7.1",  # SMPTE ST 2110: live video and sound
    "1.2.840.10008.1.2.7.2",
    "1.2.840.10008.1.2.7.3",
    "1.2.840.10008.1.20",  # Papyrus 3: never a transfer syntax of the network
}
_NEWER_TRANSFER_SYNTAXES = {
    "1.2.840.10008.1.2.4.110",  # JPEG XL Lossless
    "1.2.840.10008.1.2.4.111",  # JPEG XL JPEG Recompression
    "1.2.840.10008.1.2.4.112",  # JPEG XL
    "1.2.840.10008.1.2.8.1",  # Deflated Image Frame Compression
}

#: How a dataset may be encoded (PS3.5 section 10, PS3.6 Table A-1).
TRANSFER_SYNTAXES = frozenset(
    {
        uid
        for uid, (_, kind, *_) in UID_dictionary.items()
        if kind == "Transfer Syntax" and uid not in _NOT_FOR_FILES
    }
    | _NEWER_TRANSFER_SYNTAXES
)

_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = {
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
    "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How the elements of a dataset are written (PS3.5 section 7.1, annex A)."""

    implicit_vr: bool
    little_endian: bool
    deflated: bool


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Everything that is not named otherwise is Explicit VR Little Endian (PS3.5 A.4)."""
    return Encoding(
        implicit_vr=transfer_syntax_uid == _IMPLICIT,
        little_endian=transfer_syntax_uid != _BIG_ENDIAN,
        deflated=transfer_syntax_uid in _DEFLATED,
    )

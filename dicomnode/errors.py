"""Every error dicomnode raises on purpose, as one tree.

```
DicomnodeError
├── ConfigError            files of ae_config/ hold mistakes (all of them listed)
│   └── ConfigChanged      somebody changed the files while somebody else was about to
├── ObjectRefused          a received object cannot be kept, whoever sends it again
│   ├── BadUID             a UID is missing or is not a UID (PS3.5 9.1)
│   ├── Mismatch           command, presentation context and dataset disagree
│   ├── Unreadable         the dataset cannot be parsed, or ends early
│   ├── TooLarge           more bytes than the node takes for one object
│   └── Conflict           the same SOP Instance UID is kept with other bytes
├── StoreError             the disk refused                                     (retry)
│   └── StoreFull          there is no room left                                (retry)
├── DatabaseAway           the worklist's database does not answer              (retry)
├── WrongStep              the table of moves has no such arrow
├── LeaseLost              another worker holds the job now
├── NotFound               no such job, model, peer or pipeline
│   └── PipelineUnknown    to this worker; the next one may have it                 (retry)
├── AccountError           somebody's account cannot be made, or changed, like this
├── AuditAway              audit messages cannot be written or sent now           (retry)
├── ModelError             a model folder is incomplete, altered or unusable
├── NotAnalysable          these images cannot be analysed by this model; says why (`Cause`)
├── PatientsDiffer         the images of one study name more than one patient
├── ReportError            a result cannot be built from this source
├── ConnectionLost         a caller hung up, or stayed silent for too long
├── ProtocolViolation      what a caller sends is not the DICOM upper layer (PS3.8)
├── PeerAway               no association with a peer: away, busy or unwilling  (retry)
└── PeerRefused            a peer answered, and said no
```

An error says what is wrong, where, and what to do, in words fit for a log: never a patient's data.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

__all__ = [
    "AccountError",
    "AuditAway",
    "BadUID",
    "Cause",
    "ConfigChanged",
    "ConfigError",
    "Conflict",
    "ConnectionLost",
    "DatabaseAway",
    "DicomnodeError",
    "LeaseLost",
    "Mismatch",
    "Mistake",
    "ModelError",
    "NotAnalysable",
    "NotFound",
    "ObjectRefused",
    "PatientsDiffer",
    "PeerAway",
    "PeerRefused",
    "PipelineUnknown",
    "ProtocolViolation",
    "ReportError",
    "StoreError",
    "StoreFull",
    "TooLarge",
    "Trouble",
    "Unreadable",
    "WrongStep",
]


class DicomnodeError(Exception):
    """Root of the tree."""

    retry: ClassVar[bool] = False  #: may the same step succeed later, with no human in between?


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong in one file of the configuration."""

    file: Path
    line: int | None = None  #: from 1; None where the mistake has no place
    key: str = ""  #: dotted, such as receive.port; empty for the file as a whole
    value: str = ""  #: as shown to a person; never a secret
    problem: str  #: what is wrong, and what would be right

    def __str__(self) -> str:
        place = [f"{self.file}:{self.line}" if self.line else f"{self.file}"]
        if self.key:
            place.append(f"{self.key} = {self.value}" if self.value else self.key)
        return f"{'  '.join(place)}\n    {self.problem}"


class ConfigError(DicomnodeError):
    """The files of `ae_config/` hold mistakes; the message lists every one."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


class ConfigChanged(ConfigError):
    """The files are not those any more that the one who wants to change them has seen."""


class ObjectRefused(DicomnodeError):
    """A received object cannot be kept; sending the same bytes again will not help."""


class BadUID(ObjectRefused):
    """A UID is missing, or is not a UID (PS3.5 section 9.1)."""


class Mismatch(ObjectRefused):
    """Command, presentation context and dataset name different objects."""


class Unreadable(ObjectRefused):
    """The dataset cannot be parsed, or ends before its declared length."""


class TooLarge(ObjectRefused):
    """The object has more bytes than the node's limit."""


class Conflict(ObjectRefused):
    """An object with this SOP Instance UID and other bytes is already kept."""


class StoreError(DicomnodeError):
    """The disk refused to keep or to give bytes."""

    retry = True


class StoreFull(StoreError):
    """There is no room left to keep an object."""


class DatabaseAway(DicomnodeError):
    """The worklist's database does not answer."""

    retry = True


class WrongStep(DicomnodeError):
    """The table of moves has no such arrow."""


class LeaseLost(DicomnodeError):
    """The job's lease ran out, or was taken; what was being done must be dropped."""


class NotFound(DicomnodeError):
    """There is no such job, model, peer or pipeline."""


class PipelineUnknown(NotFound):
    """A job's pipeline is not configured; or not yet for the worker that took the job."""

    retry = True


class AccountError(DicomnodeError):
    """Somebody's account cannot be made, or changed, like this."""


class AuditAway(DicomnodeError):
    """Audit messages cannot be written or sent now; they are kept until they can."""

    retry = True


class ModelError(DicomnodeError):
    """A model folder is incomplete, was altered, or cannot be run here."""


class Cause(StrEnum):
    """Why a study was not analysed; every language's catalogue has a sentence for each."""

    NO_IMAGE = "no-image"  #: none of the objects is an image, or they are gone
    MODALITY = "modality"  #: the model is for other modalities
    VIEW = "view"  #: the model is for other views
    SIZE = "size"  #: too few pixels, or too few grey levels
    GEOMETRY = "geometry"  #: slices that form no stack that the model could read
    PIXELS = "pixels"  #: pixel data that cannot be read here
    UNFAMILIAR = "unfamiliar"  #: nothing like what the model was trained on
    NONE_FITS = "none-fits"  #: no image is one that the model is for, for different reasons
    INCOMPLETE = "incomplete"  #: images are missing, and the pipeline says: do not process
    MODEL_FAILED = "model-failed"  #: the model is unusable, or broke
    RECALLED = "recalled"  #: this version of the model was recalled


class NotAnalysable(DicomnodeError):
    """These images cannot be analysed by this model."""

    def __init__(self, detail: str, cause: Cause = Cause.PIXELS) -> None:
        super().__init__(detail)
        self.cause = cause


class PatientsDiffer(DicomnodeError):
    """The images of one study name more than one patient: a person has to look."""


class ReportError(DicomnodeError):
    """A result cannot be built from this source."""


class Trouble(StrEnum):
    """What was wrong with an association that came to us; the page says how to mend each."""

    CALLED_AE = "called-ae"  #: it was meant for another AE
    CALLING_AE = "calling-ae"  #: whoever this is, they may not send
    TOO_MANY = "too-many"  #: as many are open as are allowed
    TOO_MANY_OF_ONE = "too-many-of-one"  #: as many of this caller are
    LOW_DISK = "low-disk"  #: the disk is nearly full
    STOPPING = "stopping"  #: this node is being stopped
    VERSION = "version"  #: another version of the protocol
    APPLICATION = "application"  #: another application context than DICOM's
    PLAIN_TO_TLS = "plain-to-tls"  #: DICOM without TLS came to a port of TLS
    TLS_TO_PLAIN = "tls-to-plain"  #: the other way round
    HTTP = "http"  #: somebody took us for a web server
    HANDSHAKE = "tls-handshake"  #: TLS, and no agreement on a certificate or version
    NO_DICOM = "no-dicom"  #: bytes that are not of the DICOM upper layer
    CONTEXTS = "contexts"  #: nothing of what it proposed was of use
    OBJECTS = "objects"  #: objects were refused
    SILENT = "silent"  #: nothing came for too long
    SLOW = "slow"  #: less came than can be waited for
    ABORTED = "aborted"  #: by the caller
    HUNG_UP = "hung-up"  #: the caller, or the network, without a release
    VIOLATION = "violation"  #: of the protocol, within an association
    FAULT = "fault"  #: of ours
    LOST = "lost"  #: its receiver's process died


class ConnectionLost(DicomnodeError):
    """A caller hung up, aborted, or stayed silent for too long."""

    def __init__(self, words: str, trouble: Trouble = Trouble.HUNG_UP) -> None:
        super().__init__(words)
        self.trouble = trouble


class ProtocolViolation(DicomnodeError):
    """A caller sends what is not the DICOM upper layer or DIMSE (PS3.8 section 9, PS3.7)."""

    def __init__(self, words: str, trouble: Trouble = Trouble.VIOLATION) -> None:
        super().__init__(words)
        self.trouble = trouble


class PeerAway(DicomnodeError):
    """A peer cannot be reached, did not let us in, did not answer in time, or hung up."""

    retry = True


class PeerRefused(DicomnodeError):
    """A peer answered, and will not take what we offer."""

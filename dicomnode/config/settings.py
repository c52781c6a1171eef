"""`node.toml`: this node. One frozen model for each section, with defaults and units."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
)

from dicomnode.config.auditing import AuditSettings
from dicomnode.config.fields import AbsolutePath, AETitle, DatabaseURL, Section
from dicomnode.config.web import WebSettings

__all__ = [
    "ClassifySettings",
    "DeliverSettings",
    "LogSettings",
    "NodeSettings",
    "ReceiveSettings",
    "StorageSettings",
    "WorklistSettings",
]


def _not_below_the_first(longest_s: float, info: ValidationInfo) -> float:
    first_s = info.data.get("first_retry_s", longest_s)
    if longest_s < first_s:
        raise ValueError(f"must not be less than first_retry_s = {first_s}")
    return longest_s


LongestWait = Annotated[PositiveFloat, AfterValidator(_not_below_the_first)]


class ReceiveSettings(Section):
    """Where and how this node takes images."""

    ae_title: AETitle = Field("DICOMNODE", description="Our AE title: what senders must call.")
    address: str = Field(
        "127.0.0.1",
        description=(
            "Address to listen on. 127.0.0.1 hears this machine only; 0.0.0.0 hears every network "
            "card."
        ),
    )
    port: Annotated[int, Field(ge=0, lt=65536)] = Field(
        11112, description="TCP port to listen on; 0 takes any that is free."
    )
    max_associations: PositiveInt = Field(
        100, description="Associations open at once; one more is refused for the moment."
    )
    max_associations_of_one: NonNegativeInt = Field(
        0,
        description=(
            "As many of them for one AE title, and for one address, so that a caller that fails "
            "keeps nobody else out; 0 keeps two free for each other peer that may send, but no "
            "more than a quarter."
        ),
    )
    processes: NonNegativeInt = Field(
        0,
        description=(
            "Processes that receive, on the one port; 0 takes one for each core, four at most."
        ),
    )
    max_pdu_bytes: Annotated[int, Field(ge=4096, le=1048576)] = Field(
        131072, description="Largest P-DATA we ask senders for, in bytes."
    )
    max_object_bytes: PositiveInt = Field(
        4294967296, description="Largest object taken, in bytes; a larger one is refused."
    )
    idle_timeout_s: PositiveFloat = Field(
        60.0, description="An association that stays silent so long is ended, in seconds."
    )
    conflict: Literal["refuse", "keep"] = Field(
        "refuse",
        description=(
            "The same SOP Instance UID with other bytes: refuse answers an error and keeps the "
            "first; keep keeps both, and the first stays the one that is analysed. Either way it "
            "is recorded."
        ),
    )
    tls_certificate: AbsolutePath | None = Field(
        None,
        description="PEM file with our certificate and its chain. With it, only TLS is spoken.",
        examples=["/etc/dicomnode/tls/certificate.pem"],
    )
    tls_key: AbsolutePath | None = Field(
        None,
        description="PEM file with its private key; empty where the certificate's file holds it.",
        examples=["/etc/dicomnode/tls/key.pem"],
    )
    tls_client_ca: AbsolutePath | None = Field(
        None,
        description=(
            "PEM file of the authorities whose certificates a caller must show; without it, "
            "callers need none."
        ),
        examples=["/etc/dicomnode/tls/callers.pem"],
    )


class StorageSettings(Section):
    """Where bytes are kept, and for how long."""

    folder: AbsolutePath = Field(
        Path("/var/lib/dicomnode"),
        description="Folder for received objects, results and the SQLite worklist.",
    )
    min_free_bytes: NonNegativeInt = Field(
        1073741824,
        description="Refuse new objects (0xA700) when less room than this is left, in bytes.",
    )
    low_water_bytes: NonNegativeInt = Field(
        0,
        description=(
            "Turn senders away at the door, for the moment, when less room than this is left, in "
            "bytes: before an object must be refused. 0 takes twice min_free_bytes."
        ),
    )
    keep_days: NonNegativeFloat = Field(
        30.0,
        description=(
            "Days to keep a study after its last job ended; failed and undelivered ones stay. "
            "0 keeps all for ever."
        ),
    )

    @property
    def low_water_mark_bytes(self) -> int:
        """Room below which no association that wants to store is let in."""
        return self.low_water_bytes or 2 * self.min_free_bytes

    @property
    def runtimes(self) -> Path:
        """Where it is remembered which runtime was chosen for each model, with its files."""
        return self.folder / "runtimes"


class WorklistSettings(Section):
    """The database that holds the worklist, and how work is tried again."""

    url: DatabaseURL = Field(
        "",
        description=(
            "SQLAlchemy URL, without a password, of a database for this node alone. Empty: SQLite "
            "in the storage folder."
        ),
        examples=["postgresql://dicomnode@database/dicomnode"],
    )
    password_file: AbsolutePath | None = Field(
        None,
        description="File whose first line is the database password.",
        examples=["/etc/dicomnode/database-password"],
    )
    lease_s: Annotated[float, Field(ge=2)] = Field(
        30.0,
        description=(
            "A worker that gives no sign of life for so long loses its job to another, in seconds."
        ),
    )
    attempts: PositiveInt = Field(
        5,
        description=(
            "How often a job is tried; after that it has failed and waits for a person. One whose "
            "worker was lost is tried twice at least, as it may not have been the reason."
        ),
    )
    first_retry_s: PositiveFloat = Field(
        10.0,
        description="Wait after a failed attempt, in seconds; it doubles each time, with jitter.",
    )
    longest_retry_s: LongestWait = Field(600.0, description="Longest such wait, in seconds.")


class ClassifySettings(Section):
    """The models and the device they run on."""

    models: tuple[AbsolutePath, ...] = Field(
        (),
        description="Folders that hold model folders; the demonstration model is always there.",
        examples=[("/var/lib/dicomnode/models",)],
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where models run: auto takes CUDA, else MPS, else the CPU."
    )
    threads: NonNegativeInt = Field(
        0,
        description=(
            "CPU threads for a model; 0 shares the cores among the workers, and leaves one free "
            "where torch runs it."
        ),
    )
    runtime: Literal["auto", "torch", "compiled", "onnxruntime", "openvino"] = Field(
        "auto",
        description=(
            "What runs a model's network. auto measures once, in half a minute, which of torch, "
            "onnxruntime and OpenVINO is the fastest here and says the same; it remembers it in "
            "the storage folder. compiled is torch.compile, which needs a C++ compiler."
        ),
    )
    workers: NonNegativeInt = Field(
        0,
        description=(
            "Processes that run models, each with all models in its memory; 0 takes one for each "
            "NVIDIA GPU, else one. The first takes the first GPU, and so on."
        ),
    )
    side_by_side: NonNegativeInt = Field(
        0,
        description=(
            "Studies that each of them works on at once, so that one is decoded while another is "
            "classified; 0 takes 2, and 4 on a GPU. One that was interrupted is run alone."
        ),
    )
    early: bool = Field(
        True,
        description=(
            "Classify images while their study is still coming in, when nothing else is to be done."
        ),
    )
    stuck_after_s: Annotated[float, Field(ge=5)] = Field(
        300.0,
        description=(
            "A worker in which one call into a model or decoder lasts so long is ended, in "
            "seconds; its jobs are tried again."
        ),
    )


class DeliverSettings(Section):
    """How results are sent, and how long the node tries."""

    batch: PositiveInt = Field(50, description="Most results sent in one association.")
    first_retry_s: PositiveFloat = Field(
        5.0,
        description="Wait after a failed delivery, in seconds; it doubles each time, with jitter.",
    )
    longest_retry_s: LongestWait = Field(60.0, description="Longest such wait, in seconds.")
    give_up_after_h: PositiveFloat = Field(
        168.0, description="A result not delivered for so long is marked undelivered, in hours."
    )


class LogSettings(Section):
    """What is logged, and how; no line ever carries patient data."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severity shown."
    )
    format: Literal["text", "json"] = Field(
        "text", description="Each event as one line of text, or as one JSON object."
    )


class NodeSettings(Section):
    """The whole of `node.toml`."""

    receive: ReceiveSettings = ReceiveSettings()
    storage: StorageSettings = StorageSettings()
    worklist: WorklistSettings = WorklistSettings()
    classify: ClassifySettings = ClassifySettings()
    deliver: DeliverSettings = DeliverSettings()
    web: WebSettings = WebSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()

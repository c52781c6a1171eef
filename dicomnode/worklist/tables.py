"""Every table of the node. Where a file lies follows from its UIDs, so no path stands here."""

from typing import Any

import sqlalchemy as sa

from dicomnode.storage.database import UTCDateTime, Words

__all__ = [
    "associations",
    "audit",
    "audit_places",
    "commitments",
    "configurations",
    "deliveries",
    "findings",
    "history",
    "instances",
    "jobs",
    "matches",
    "metadata",
    "nodes",
    "peer_health",
    "recalls",
    "results",
    "samples",
    "sessions",
    "shadows",
    "studies",
    "tokens",
    "users",
]

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_UID = sa.String(64)
_STATE = sa.String(16)
_NAME = sa.String(64)
_OWED = sa.text("state = 'owed'")
_REFUSED = sa.text("state = 'refused'")
_UNCONFIRMED = sa.text("confirmed_at IS NULL AND state = 'sent'")
_TROUBLED = sa.text("cause != ''")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


#: So that Postgres searches by the beginning of a text, whatever its language's order.
_BEGINNING = "text_pattern_ops"


def _study(**options: Any) -> sa.Column[str]:
    return sa.Column("study_uid", _UID, sa.ForeignKey("studies.study_uid"), **options)


studies = sa.Table(
    "studies",
    metadata,
    sa.Column("study_uid", _UID, primary_key=True),
    sa.Column("patient_id", Words, nullable=False),
    sa.Column("accession_number", Words, nullable=False),
    sa.Column("study_date", Words, nullable=False),
    sa.Column("calling_ae", sa.String(16), nullable=False),  # who sent the last image
    sa.Column("expected", sa.Integer),  # images the sending peer has of it, where it told
    sa.Column("first_received_at", UTCDateTime, nullable=False),
    sa.Column("last_received_at", UTCDateTime, nullable=False),
    sa.Column("removed_at", UTCDateTime),  # when retention removed its images
    sa.Column("promised_at", UTCDateTime),  # when a peer first relied on its images
    sa.Index(None, "removed_at", "last_received_at"),
    sa.Index(None, "last_received_at", "study_uid"),
    sa.Index(None, "study_date", "last_received_at", "study_uid"),
    sa.Index(None, "calling_ae", "last_received_at", "study_uid"),
    *(
        sa.Index(None, name, postgresql_ops={name: _BEGINNING})
        for name in ("patient_id", "accession_number")
    ),
)

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("id", _ID, primary_key=True),  # in order of arrival
    sa.Column("sop_instance_uid", _UID, nullable=False, unique=True),
    sa.Column("sop_class_uid", _UID, nullable=False),
    sa.Column("series_uid", Words, nullable=False),
    _study(nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),  # of the dataset as received
    sa.Column("calling_ae", sa.String(16), nullable=False),
    sa.Column("own", sa.Boolean, nullable=False),  # a result that came back to us
    sa.Column("received_at", UTCDateTime, nullable=False),
    sa.Index(None, "study_uid", "own"),
    sqlite_autoincrement=True,
)

matches = sa.Table(
    "matches",
    metadata,
    sa.Column("instance_id", _ID, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("pipeline", sa.String(64), primary_key=True),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _study(nullable=False),
    sa.Column("pipeline", sa.String(64), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("state", _STATE, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("lease", sa.String(128)),
    sa.Column("lease_until", UTCDateTime),
    sa.Column("expected", sa.Integer),  # images the sender had when the job was closed
    sa.Column("last_instance_id", _ID),  # the job's images are those up to here; open while waiting
    sa.Column("partial", sa.Boolean, nullable=False),
    sa.Column("reason", Words, nullable=False),
    sa.Column("refused", sa.String(16)),  # the cause, where a notice goes out in place of results
    sa.Column("because", Words, nullable=False, server_default=""),  # of that, or of the recall
    sa.Column("model", Words, nullable=False, server_default=""),  # another than the pipeline's
    sa.Column("ready_at", UTCDateTime),
    sa.Column("not_before", UTCDateTime, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
    sa.UniqueConstraint("study_uid", "pipeline", "revision"),
    sa.Index("ix_jobs_in_order", "state", sa.desc("priority"), "ready_at", "id"),
    sa.Index(None, "state", "updated_at"),
    sa.Index(None, "pipeline", "id"),
    sa.Index(None, "state", "pipeline"),
    sqlite_autoincrement=True,
)

results = sa.Table(
    "results",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("job_id", _ID, sa.ForeignKey("jobs.id"), nullable=False, index=True),
    _study(nullable=False, index=True),
    sa.Column("sop_instance_uid", _UID, nullable=False, unique=True),
    sa.Column("sop_class_uid", _UID, nullable=False),
    sa.Column("series_uid", _UID, nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("model", Words, nullable=False, server_default="", index=True),  # name@version
    sa.Column("summary", sa.JSON, nullable=False),  # by label: probability and presence
    sa.Column("withdrawn_at", UTCDateTime),  # when it was recalled
    sa.Column("created_at", UTCDateTime, nullable=False),
    sqlite_autoincrement=True,
)

#: What is present by the newest answer of a pipeline that was not recalled: to be searched.
findings = sa.Table(
    "findings",
    metadata,
    sa.Column("job_id", _ID, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("label", Words, primary_key=True),
    _study(nullable=False),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Index(None, "label", "study_uid"),
)

#: What candidates said of a job's images, beside its results; never owed to anyone.
shadows = sa.Table(
    "shadows",
    metadata,
    sa.Column("job_id", _ID, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("model", Words, primary_key=True),  # name@version
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("begun_at", UTCDateTime, nullable=False),
    sa.Column("seconds", sa.Float),  # that the answer took; none while there is no answer
    sa.Column("summary", sa.JSON, nullable=False),  # as of a result
    sa.Column("refused", sa.String(16)),  # the cause, where the candidate gave no answer
    sa.Column("because", Words, nullable=False),
)

#: Model versions that were recalled: no job gives a result of them any more.
recalls = sa.Table(
    "recalls",
    metadata,
    sa.Column("model", Words, primary_key=True),  # name@version
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("at", UTCDateTime, nullable=False),
)

#: What peers were asked to confirm (Storage Commitment, PS3.4 Annex J).
commitments = sa.Table(
    "commitments",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("transaction_uid", _UID, nullable=False, unique=True),
    sa.Column("peer", sa.String(64), nullable=False),
    sa.Column("asked_at", UTCDateTime, nullable=False),
    sa.Column("answered_at", UTCDateTime),
    sqlite_autoincrement=True,
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", _ID, primary_key=True),  # in the order in which they must leave
    sa.Column("result_id", _ID, sa.ForeignKey("results.id"), nullable=False),
    sa.Column("job_id", _ID, sa.ForeignKey("jobs.id"), nullable=False, index=True),
    sa.Column("peer", sa.String(64), nullable=False),
    sa.Column("state", _STATE, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("not_before", UTCDateTime, nullable=False),
    sa.Column("lease", sa.String(128)),
    sa.Column("lease_until", UTCDateTime),
    sa.Column("message", Words, nullable=False),  # what the peer said last
    sa.Column("commitment_id", _ID, sa.ForeignKey("commitments.id")),  # of the last question
    sa.Column("confirmed_at", UTCDateTime),  # when the peer confirmed that it keeps the result
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
    sa.UniqueConstraint("result_id", "peer"),
    sa.Index("ix_deliveries_owed", "peer", "id", postgresql_where=_OWED, sqlite_where=_OWED),
    sa.Index(
        "ix_deliveries_refused",
        "peer",
        "updated_at",
        postgresql_where=_REFUSED,
        sqlite_where=_REFUSED,
    ),
    sa.Index(
        "ix_deliveries_unconfirmed",
        "peer",
        "created_at",
        postgresql_where=_UNCONFIRMED,
        sqlite_where=_UNCONFIRMED,
    ),
    sqlite_autoincrement=True,
)

history = sa.Table(
    "history",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _study(nullable=False, index=True),
    sa.Column("job_id", _ID, sa.ForeignKey("jobs.id")),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("event", sa.String(32), nullable=False),
    sa.Column("detail", Words, nullable=False),
)

#: Who may use the page, and what for.
users = sa.Table(
    "users",
    metadata,
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("role", _STATE, nullable=False),
    sa.Column("password", Words),  # Argon2's own text; none for who logs in elsewhere
    sa.Column("subject", Words, unique=True),  # of OpenID Connect: issuer and subject
    sa.Column("disabled_at", UTCDateTime),
    sa.Column("created_at", UTCDateTime, nullable=False),
)

#: Browsers that are logged in. Keys are kept as their SHA-256: who reads this can be nobody.
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("user", _NAME, sa.ForeignKey("users.name"), nullable=False, index=True),
    sa.Column("csrf", sa.String(64), nullable=False),  # what its forms must hold
    sa.Column("address", sa.String(64), nullable=False, server_default=""),  # where it began
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("seen_at", UTCDateTime, nullable=False),
)

#: Keys of scripts, each in the name of a user and with no more rights than these.
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("user", _NAME, sa.ForeignKey("users.name"), nullable=False, index=True),
    sa.Column("note", Words, nullable=False),  # what it is for
    sa.Column("role", _STATE, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("ends_at", UTCDateTime),
    sa.Column("used_at", UTCDateTime),
    sqlite_autoincrement=True,
)

#: Who did what, and who looked at whose data (PS3.15 A.5); never changed.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("user", _NAME, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),  # else it was refused
    sa.Column("study_uid", Words, nullable=False),
    sa.Column("patient_id", Words, nullable=False),
    sa.Column("detail", Words, nullable=False),
    sa.Index(None, "at", "id"),
    sa.Index(None, "user", "at", "id"),
    sa.Index(None, "action", "at", "id"),
    sa.Index(None, "user", "action", "at", "id"),
    sa.Index(None, "study_uid", "at", "id"),
    sqlite_autoincrement=True,
)

#: How far each receiver of audit messages has been told, and what is still being gathered for it.
audit_places = sa.Table(
    "audit_places",
    metadata,
    sa.Column("sink", _STATE, primary_key=True),  # file or syslog
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("place", sa.JSON, nullable=False),
)

#: Every configuration that was in force, whole, so that it can be again.
configurations = sa.Table(
    "configurations",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("user", _NAME, nullable=False),  # empty: by hand, in the files
    sa.Column("note", Words, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # SHA-256 of names and texts
    sa.Column("files", sa.JSON, nullable=False),  # name in ae_config/ to text
    sqlite_autoincrement=True,
)

#: The nodes that work on this worklist, and what each has in force.
nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("holder", sa.String(128), primary_key=True),  # AE title @ machine
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("started_at", UTCDateTime, nullable=False),
    sa.Column("seen_at", UTCDateTime, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # of the configuration in force
    sa.Column("mistakes", sa.JSON, nullable=False),  # of the files as they are, in words
    sa.Column("restart", sa.JSON, nullable=False),  # changed keys that count after a restart
)

#: Associations that ended or were refused, newest kept. Those that are alike make one row,
#: which gets a new number each time: rows are in the order in which they last happened.
associations = sa.Table(
    "associations",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("at", UTCDateTime, nullable=False),  # when the first of them began
    sa.Column("ended_at", UTCDateTime),  # when the last of them ended
    sa.Column("calling_ae", Words, nullable=False),
    sa.Column("called_ae", Words, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("state", _STATE, nullable=False),  # released, aborted, lost, rejected or no-request
    sa.Column("cause", sa.String(32), nullable=False),  # what was wrong, else empty
    sa.Column("reason", Words, nullable=False),  # in words
    sa.Column("refused_contexts", sa.JSON, nullable=False),  # SOP Class UID, transfer syntaxes
    sa.Column("stored", sa.Integer, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),  # objects
    sa.Column("refusals", sa.JSON, nullable=False, server_default="{}"),  # those, by why
    sa.Column("count", sa.Integer, nullable=False, server_default="1"),  # associations
    sa.Index(None, "at"),
    sa.Index(None, "ended_at"),
    sa.Index(
        "ix_associations_troubled",
        "ended_at",
        postgresql_where=_TROUBLED,
        sqlite_where=_TROUBLED,
    ),
    sqlite_autoincrement=True,
)

#: How each peer answered last.
peer_health = sa.Table(
    "peer_health",
    metadata,
    sa.Column("peer", _NAME, primary_key=True),
    sa.Column("echoed_at", UTCDateTime, nullable=False),
    sa.Column("problem", Words, nullable=False),  # empty where it heard us
    sa.Column("heard_at", UTCDateTime),  # when it last did
)

#: The machine, minute by minute.
samples = sa.Table(
    "samples",
    metadata,
    sa.Column("holder", sa.String(128), primary_key=True),
    sa.Column("at", UTCDateTime, primary_key=True),
    sa.Column("cpu", sa.Float, nullable=False),  # share of all cores, 0..1
    sa.Column("gpu", sa.Float),  # share, 0..1; none without one
    sa.Column("memory_bytes", sa.BigInteger, nullable=False),  # in use, of the node's processes
    sa.Column("disk_free_bytes", sa.BigInteger, nullable=False),
)

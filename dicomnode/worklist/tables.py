"""The tables of studies, jobs and results. Where a file lies follows from its UIDs alone."""

from typing import Any

import sqlalchemy as sa

from dicomnode.storage.columns import ID, STATE, UID, UTCDateTime, Words, new_metadata

__all__ = [
    "commitments",
    "deliveries",
    "findings",
    "history",
    "instances",
    "jobs",
    "matches",
    "metadata",
    "recalls",
    "results",
    "shadows",
    "studies",
]

metadata = new_metadata()

_OWED = sa.text("state = 'owed'")
_REFUSED = sa.text("state = 'refused'")
_UNCONFIRMED = sa.text("confirmed_at IS NULL AND state = 'sent'")

#: So that Postgres searches by the beginning of a text, whatever its language's order.
_BEGINNING = "text_pattern_ops"


def _study(**options: Any) -> sa.Column[str]:
    return sa.Column("study_uid", UID, sa.ForeignKey("studies.study_uid"), **options)


studies = sa.Table(
    "studies",
    metadata,
    sa.Column("study_uid", UID, primary_key=True),
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
    sa.Column("id", ID, primary_key=True),  # in order of arrival
    sa.Column("sop_instance_uid", UID, nullable=False, unique=True),
    sa.Column("sop_class_uid", UID, nullable=False),
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
    sa.Column("instance_id", ID, sa.ForeignKey("instances.id"), primary_key=True),
    sa.Column("pipeline", sa.String(64), primary_key=True),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", ID, primary_key=True),
    _study(nullable=False),
    sa.Column("pipeline", sa.String(64), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("state", STATE, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("lease", sa.String(128)),
    sa.Column("lease_until", UTCDateTime),
    sa.Column("expected", sa.Integer),  # images the sender had when the job was closed
    sa.Column("last_instance_id", ID),  # the job's images are those up to here; open while waiting
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
    sa.Column("id", ID, primary_key=True),
    sa.Column("job_id", ID, sa.ForeignKey("jobs.id"), nullable=False, index=True),
    _study(nullable=False, index=True),
    sa.Column("sop_instance_uid", UID, nullable=False, unique=True),
    sa.Column("sop_class_uid", UID, nullable=False),
    sa.Column("series_uid", UID, nullable=False),
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
    sa.Column("job_id", ID, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("label", Words, primary_key=True),
    _study(nullable=False),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Index(None, "label", "study_uid"),
)

#: What candidates said of a job's images, beside its results; never owed to anyone.
shadows = sa.Table(
    "shadows",
    metadata,
    sa.Column("job_id", ID, sa.ForeignKey("jobs.id"), primary_key=True),
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
    sa.Column("id", ID, primary_key=True),
    sa.Column("transaction_uid", UID, nullable=False, unique=True),
    sa.Column("peer", sa.String(64), nullable=False),
    sa.Column("asked_at", UTCDateTime, nullable=False),
    sa.Column("answered_at", UTCDateTime),
    sqlite_autoincrement=True,
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", ID, primary_key=True),  # in the order in which they must leave
    sa.Column("result_id", ID, sa.ForeignKey("results.id"), nullable=False),
    sa.Column("job_id", ID, sa.ForeignKey("jobs.id"), nullable=False, index=True),
    sa.Column("peer", sa.String(64), nullable=False),
    sa.Column("state", STATE, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("not_before", UTCDateTime, nullable=False),
    sa.Column("lease", sa.String(128)),
    sa.Column("lease_until", UTCDateTime),
    sa.Column("message", Words, nullable=False),  # what the peer said last
    sa.Column("commitment_id", ID, sa.ForeignKey("commitments.id")),  # of the last question
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
    sa.Column("id", ID, primary_key=True),
    _study(nullable=False, index=True),
    sa.Column("job_id", ID, sa.ForeignKey("jobs.id")),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("event", sa.String(32), nullable=False),
    sa.Column("detail", Words, nullable=False),
)

"""The tables of deeds, callers, configurations, and of how nodes and peers stand."""

import sqlalchemy as sa

from dicomnode.storage.columns import ID, NAME, STATE, UTCDateTime, Words, new_metadata

__all__ = [
    "associations",
    "audit",
    "audit_places",
    "configurations",
    "metadata",
    "nodes",
    "peer_health",
    "samples",
]

metadata = new_metadata()

_TROUBLED = sa.text("cause != ''")

#: Who did what, and who looked at whose data (PS3.15 A.5); never changed.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("user", NAME, nullable=False),
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
    sa.Column("sink", STATE, primary_key=True),  # file or syslog
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("place", sa.JSON, nullable=False),
)

#: Every configuration that was in force, whole, so that it can be again.
configurations = sa.Table(
    "configurations",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("user", NAME, nullable=False),  # empty: by hand, in the files
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
    sa.Column("id", ID, primary_key=True),
    sa.Column("at", UTCDateTime, nullable=False),  # when the first of them began
    sa.Column("ended_at", UTCDateTime),  # when the last of them ended
    sa.Column("calling_ae", Words, nullable=False),
    sa.Column("called_ae", Words, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("state", STATE, nullable=False),  # released, aborted, lost, rejected or no-request
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
    sa.Column("peer", NAME, primary_key=True),
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

"""The tables of users, their sessions and their keys."""

import sqlalchemy as sa

from dicomnode.storage.columns import ID, NAME, STATE, UTCDateTime, Words, new_metadata

__all__ = [
    "metadata",
    "sessions",
    "tokens",
    "users",
]

metadata = new_metadata()

#: Who may use the page, and what for.
users = sa.Table(
    "users",
    metadata,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("role", STATE, nullable=False),
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
    sa.Column("user", NAME, sa.ForeignKey("users.name"), nullable=False, index=True),
    sa.Column("csrf", sa.String(64), nullable=False),  # what its forms must hold
    sa.Column("address", sa.String(64), nullable=False, server_default=""),  # where it began
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("seen_at", UTCDateTime, nullable=False),
)

#: Keys of scripts, each in the name of a user and with no more rights than these.
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("user", NAME, sa.ForeignKey("users.name"), nullable=False, index=True),
    sa.Column("note", Words, nullable=False),  # what it is for
    sa.Column("role", STATE, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("ends_at", UTCDateTime),
    sa.Column("used_at", UTCDateTime),
    sqlite_autoincrement=True,
)
